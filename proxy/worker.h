#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/config.h"
#include "common/request_parser.h"
#include "common/slot.h"
#include "proxy/backend/backend_manager.h"
#include "proxy/backend/replica_reads.h"
#include "proxy/client/client.h"
#include "proxy/client/task.h"
#include "proxy/client/tracking.h"
#include "proxy/client/users.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/io/event_loop.h"
#include "proxy/io/mailbox.h"
#include "proxy/pubsub/subscriptions.h"
#include "proxy/routing/topology.h"
#include "proxy/stats/hot_keys.h"
#include "proxy/stats/monitor.h"
#include "proxy/stats/slowlog.h"
#include "proxy/stats/stats.h"

namespace pikaproxy {

class Resolver;
class WorkerManager;

// One thread with its event loop, its clients, its connections to all servers, its counters.
// Nothing that a request touches is shared with another worker: what others decide (a new topology,
// new settings, a new client) arrives as posted work.
class Worker {
 public:
  // `manager` and `resolver` outlive the worker. Does nothing before start().
  Worker(WorkerManager& manager, size_t index, Resolver& resolver,
         std::shared_ptr<const Config> config, std::shared_ptr<const RedisUsers> users,
         std::shared_ptr<const Topology> topology);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Any thread.
  void start();
  // Takes over an accepted, non-blocking socket. `listener`: see Client.
  void add_client(int fd, uint8_t listener);
  // New settings and users, and a new topology unless that is null; then `installed` runs on this
  // thread.
  void install(std::shared_ptr<const Config> config, std::shared_ptr<const RedisUsers> users,
               std::shared_ptr<const Topology> topology, std::function<void()> installed);
  // A topology made from a slot table. `routes` runs on this thread when requests go by it, and is
  // told what the one before still waited for, empty if nothing. `drained` runs when nothing that
  // was sent to its leaving groups before can run there any more; not if another topology comes
  // first, or the end.
  void install_table(std::shared_ptr<const Topology> topology,
                     std::function<void(std::string undrained)> routes,
                     std::function<void()> drained);
  // Clients get the replies they wait for, then their connections end; `drained` runs on this
  // thread.
  void drain(std::function<void()> drained);
  // Ends the thread; open connections are closed.
  void stop();
  const WorkerStats& stats() const noexcept { return stats_; }
  const Slowlog& slowlog() const noexcept { return slowlog_; }
  EventLoop& loop() noexcept { return loop_; }
  // For answers that may come after the worker's end.
  const std::shared_ptr<Mailbox>& mailbox() const noexcept { return mailbox_; }
  // Among the manager's workers.
  size_t index() const noexcept { return index_; }

  // The worker's thread only, all below.
  WorkerStats& stats() noexcept { return stats_; }
  Slowlog& slowlog() noexcept { return slowlog_; }
  HotKeys& hot_keys() noexcept { return hot_keys_; }
  WorkerManager& manager() noexcept { return manager_; }
  const Config& config() const noexcept { return *config_; }
  const RedisUsers& users() const noexcept { return *users_; }
  const Topology& topology() const noexcept { return *topology_; }
  BackendManager& backends() noexcept { return backends_; }
  Tracking& tracking() noexcept { return tracking_; }
  const SlotGate& gate() noexcept { return dispatcher_.gate(); }
  Monitors& monitors() noexcept { return monitors_; }
  ReplicaReads& replica_reads() noexcept { return replica_reads_; }
  Subscriptions& subscriptions() noexcept { return subscriptions_; }
  TaskPool& tasks() noexcept { return tasks_; }
  RequestParser& parser() noexcept { return parser_; }
  uint32_t now_s() const noexcept { return static_cast<uint32_t>(loop_.now() / 1'000'000); }
  // Reached proxy.memory_max, over all workers.
  bool memory_full() const noexcept { return memory_full_; }

  // A client's request, parsed. `raw`: its bytes.
  // False: not before all earlier requests of the client have been answered.
  bool dispatch(Client& client, RequestParser& parser, std::string_view raw) {
    return dispatcher_.dispatch(client, parser, raw);
  }
  // The client's own connections to servers, and what it subscribes to: it has gone, or begins
  // anew.
  void drop_connections(Client& client) {
    if (client.watch != nullptr || client.wait != nullptr || client.replica_wait != nullptr) {
      dispatcher_.drop_connections(client);
    }
    if (client.subscriptions != nullptr) subscriptions_.drop(client);
  }
  // See Dispatcher::ask().
  void ask(Backend& backend, std::string_view request,
           std::function<void(std::string_view)> answer) {
    dispatcher_.ask(backend, request, std::move(answer));
  }
  // See Dispatcher::unblock().
  void unblock(Client& client, bool with_error, std::function<void(bool)> done) {
    dispatcher_.unblock(client, with_error, std::move(done));
  }

  // CLIENT PAUSE: requests wait for so long, or only those that write. If there is a pause already,
  // the later end and the stricter one count.
  void pause(Milliseconds duration, bool only_writes);
  void unpause();
  bool is_paused() const noexcept { return is_paused_; }
  bool is_pause_for_writes() const noexcept { return pause_only_writes_; }

  // A backend's words about a task it has let go of: the reply's last bytes, all of them where none
  // came before.
  void complete(Task* task, std::string_view piece);
  // The same with an error of our own; `text` begins with its code.
  void fail(Task* task, std::string_view text);
  // A large reply is on its way.
  void try_streaming(Task* task);
  void stream(Task* task, std::string_view piece);
  // Nobody holds the task any more.
  void free(Task* task) noexcept { tasks_.give_back(task, loop_.pool()); }

  // Its client left while it was held. Frees the task.
  void drop_held(Task* task) { dispatcher_.drop_held(task); }

  void resume_later(Client* client) { resuming_.push_back(client); }
  void remove_client(Client* client, Disconnect why);
  // Calls `visit` for each client; it may shut the client.
  void for_each_client(const std::function<void(Client&)>& visit);

 private:
  void tick();
  void end_turn();
  void count(const Task& task);
  // Groups that slots are leaving and that are not known to be drained of these slots.
  std::vector<GroupIndex> groups_to_drain(const Topology& topology);
  void note_drained();
  // What table_drained_ waits for, for people; empty if nothing.
  std::string undrained();
  void use_topology(std::shared_ptr<const Topology> topology);

  // Constant after construction.
  WorkerManager& manager_;
  const size_t index_;

  EventLoop loop_;
  const std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>(loop_);
  WorkerStats stats_;
  Slowlog slowlog_;
  HotKeys hot_keys_;
  TaskPool tasks_;
  RequestParser parser_;
  Dispatcher dispatcher_;
  Tracking tracking_{*this};
  BackendManager backends_;
  ReplicaReads replica_reads_;
  Monitors monitors_;
  Subscriptions subscriptions_;
  std::shared_ptr<const Config> config_;
  std::shared_ptr<const RedisUsers> users_;
  std::shared_ptr<const Topology> topology_;
  // By slot: the id of the group that is drained of it, since the slot is locked or migrating; 0 =
  // none. A server that hangs later keeps no other slot's table from being installed.
  std::array<uint32_t, kSlotCount> drained_of_{};
  Client* clients_ = nullptr;
  std::vector<Client*> resuming_;
  std::function<void()> drained_;        // Of clients, see drain().
  std::function<void()> table_drained_;  // Of old requests, see install_table(); null when told.
  uint32_t last_second_ = 0;
  bool memory_full_ = false;
  bool is_paused_ = false;
  bool pause_only_writes_ = false;
  Ticks pause_end_ = 0;
  std::thread thread_;
};

}  // namespace pikaproxy
