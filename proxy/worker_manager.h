#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/key_mover.h"
#include "common/proxy_control.h"
#include "common/proxy_inspector.h"
#include "common/proxy_status.h"
#include "common/proxy_users.h"
#include "proxy/client/users.h"
#include "proxy/dispatch/script_cache.h"
#include "proxy/io/resolver.h"
#include "proxy/pubsub/subscription_counts.h"
#include "proxy/routing/topology.h"
#include "proxy/worker.h"

namespace pikaproxy {

// Owns the workers and what they share: the settings in force, ids of clients, known scripts.
// Any thread unless a method says otherwise.
class WorkerManager : public ProxyStatus,
                      public ProxyControl,
                      public ProxyInspector,
                      public ProxyUsers {
 public:
  // `config` has been checked; `topology` was made from it.
  WorkerManager(const Config& config, std::shared_ptr<const Topology> topology);
  ~WorkerManager() override;

  // Who moves keys that requests need; null = nobody: such requests are refused. Before start();
  // outlives stop().
  void set_mover(KeyMover* mover) noexcept { mover_ = mover; }
  // The cluster's name, which our connections to servers carry. Before start().
  void set_cluster(std::string_view cluster);
  KeyMover* mover() const noexcept { return mover_; }

  void start();
  // Hands an accepted, non-blocking socket to the worker with the fewest clients. False if
  // proxy.max_clients are connected; the socket is still the caller's then.
  bool add_client(int fd, uint8_t listener = 0);
  // Changes settings while running: `edit` gets a copy of those in force and returns whether it
  // changed them. `installed` runs when all workers have them, on the last one's thread; at once on
  // this one if nothing changed. A changed list of groups becomes the topology, until a table has
  // been installed.
  void change_config(const std::function<bool(Config&)>& edit, std::function<void()> installed);
  Config config() const;

  // ProxyUsers
  std::vector<UserConfig> configured_users() const override;
  void set_stored_users(std::vector<UserConfig> users, std::function<void()> installed) override;

  // No new clients, the others finish what is in flight; false if that took longer than `timeout`.
  bool drain(Milliseconds timeout);
  // Ends all threads. Who still waits for a table to be installed gets an error, on this one.
  void stop();

  const std::vector<std::unique_ptr<Worker>>& workers() const noexcept { return workers_; }
  ScriptCache& scripts() noexcept { return scripts_; }
  // What the clients of this proxy subscribe to.
  SubscriptionCounts& subscribers() noexcept { return subscribers_; }
  const SubscriptionCounts& subscribers() const noexcept { return subscribers_; }
  // What the workers' connections to that server subscribe to there.
  std::shared_ptr<SubscriptionCounts> subscriptions_at(const Address& server);
  // SCRIPT FLUSH: neither the cache nor any worker takes a script for known any more.
  void forget_scripts();
  uint64_t client_count() const noexcept { return clients_.load(std::memory_order_relaxed); }
  // Bytes queued in all workers.
  uint64_t queued_bytes() const noexcept;
  int64_t started_unix_ms() const noexcept { return started_unix_ms_; }
  void reset_stats();
  void note_reload(bool successful) noexcept;

  // For workers.
  // By which servers list a worker's connections; its number follows.
  const std::string& connection_name() const noexcept { return connection_name_; }
  uint64_t next_client_id() noexcept { return next_client_id_.fetch_add(1) + 1; }
  void client_gone(const Worker& worker) noexcept;
  // Asks every worker on its own thread; then `found` runs on the asker's thread with one that said
  // yes, or null.
  void find_worker(Worker& asker, std::function<bool(Worker&)> ask,
                   std::function<void(const Worker*)> found);
  // Has every worker answer on its own thread, then `client` get what `combine` makes of the
  // answers, in the order of its requests. Called on the client's worker's thread.
  void ask_workers(Client& client, const Command& command, std::function<std::string(Worker&)> ask,
                   std::function<std::string(const std::vector<std::string>&)> combine);
  // The same where a worker's answer may take its time; it has to come on the worker's thread.
  using Answer = std::function<void(std::string)>;
  void ask_workers_later(Client& client, const Command& command,
                         std::function<void(Worker&, Answer)> ask,
                         std::function<std::string(const std::vector<std::string>&)> combine);

  // ProxyStatus
  std::string metrics() const override;
  std::string not_ready_reason() const override;

  // ProxyInspector
  ProxySnapshot snapshot() const override;
  Result<std::vector<ProxyClient>> clients() override;
  Result<bool> kill_client(uint64_t id) override;
  std::vector<ProxySlowRequest> slow_requests() const override;
  Result<std::vector<ProxyHotKey>> hot_keys() override;

  // ProxyControl. Who waits is told on a worker's thread, in stop(), or, once that has begun, on a
  // thread of its own.
  void install(std::shared_ptr<const SlotTable> table, Installed done) override;
  uint64_t epoch() const override { return table_epoch_.load(std::memory_order_relaxed); }

  // Connections refused because of proxy.max_clients.
  Counter& rejected() noexcept { return rejected_; }
  const Counter& rejected() const noexcept { return rejected_; }
  uint64_t topology_epoch() const noexcept {
    return topology_epoch_.load(std::memory_order_relaxed);
  }

 private:
  // A table on its way to the workers.
  struct Installation {
    std::shared_ptr<const SlotTable> table;
    std::atomic<size_t> not_routing{0};  // Workers.
    // Guarded by config_mutex_.
    size_t undrained = 0;  // Workers.
    std::vector<Installed> waiting;
    // The one before, while `waiting` there has not been told; and what it waited for, as the first
    // worker says that has something to say.
    std::shared_ptr<Installation> superseded;
    std::string undrained_before;
  };

  // Why `table` cannot be installed now; empty if it can. With config_mutex_ held.
  std::string refusal(const SlotTable& table) const;
  void worker_routes(Installation& installation, std::string undrained_before);
  // Tells those who waited for the table before.
  void tell_superseded(Installation& installation);
  void worker_drained(const std::shared_ptr<Installation>& installation);
  // Tells them, but not on this thread, which may be in install(). With config_mutex_ held.
  void tell_later(std::vector<Installed> waiting, Result<uint64_t> result);
  std::shared_ptr<const SlotTable> table() const;

  // Constant after construction.
  std::vector<std::unique_ptr<Worker>> workers_;
  Resolver resolver_;  // Ends before the workers do: its answers are posted to them.
  int64_t started_unix_ms_ = 0;
  std::string connection_name_;
  KeyMover* mover_ = nullptr;

  ScriptCache scripts_;
  SubscriptionCounts subscribers_;
  std::atomic<uint64_t> next_client_id_{0};
  std::atomic<uint64_t> clients_{0};
  std::unique_ptr<std::atomic<uint32_t>[]> clients_of_;  // By worker.
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> topology_epoch_{1};
  std::atomic<uint64_t> table_epoch_{0};
  std::atomic<uint64_t> max_clients_{0};
  std::atomic<bool> last_reload_ok_{true};
  std::atomic<int64_t> last_reload_unix_s_{0};
  Counter rejected_;  // Listener's thread.

  mutable std::mutex config_mutex_;
  // Guarded by config_mutex_, which also keeps what is posted to all workers in one order.
  Config config_;
  std::vector<UserConfig> stored_users_;
  std::shared_ptr<const RedisUsers> users_;     // Made of these two.
  std::shared_ptr<Installation> installation_;  // The newest; null before the first.
  bool stopped_ = false;

  std::mutex subscriptions_mutex_;
  // Guarded by subscriptions_mutex_.
  std::map<Address, std::weak_ptr<SubscriptionCounts>> subscriptions_;
};

}  // namespace pikaproxy
