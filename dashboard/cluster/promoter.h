#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "dashboard/cluster/controller.h"
#include "dashboard/cluster/promotion_state.h"
#include "dashboard/mover/stop_signal.h"

namespace pikaproxy {

struct PromoterOptions {
  using Milliseconds = std::chrono::milliseconds;

  // While slots are not locked: how long a replica may take to come near its master, and how near
  // that is. What is left then takes moments.
  Milliseconds approach_timeout{30'000};
  uint64_t near_bytes = 1u << 20;
  // For migrations of the group to let go of their keys.
  Milliseconds pause_timeout{30'000};
  // While slots are locked, so clients wait: for proxies, then for the replica to have everything.
  Milliseconds lock_timeout{1'000};
  Milliseconds catch_up_timeout{2'000};
  Milliseconds ask_timeout{1'000};  // For a server to answer.
  Milliseconds retry_pause{500};    // Between attempts.
  int attempts = 3;                 // To make a server a master or a replica.
  // The same for the old master, whose slots are open again by then: Pika refuses for as long as it
  // counts replicas of its own, and notices within its keep-alive time (20 s) that one has gone.
  Milliseconds demote_timeout{30'000};
};

// Takes promotions through their steps, each on a thread of its own:
//
//   checking    the replica follows the master and comes near it; else failed, nothing happened
//   pausing     migrations of the group hold their slots; else released, failed
//   locking     slots locked, proxies drained, replica's offset = master's; else unlocked, failed
//   promoting   REPLICAOF NO ONE; then the old master becomes a replica (nobody writes to it then)
//   repointing  the table with the new master is in force; every other server becomes its replica,
//               or leaves the group; the old master last, and with more patience
//
// With `force` the old master need not answer: what it has and the replica lacks is lost, which is
// said in the warnings; it stays in the group, so that health tells when it comes back as a master.
//
// After a restart: what was not yet promoting is undone; promoting goes on, since the replica had
// everything and nothing was written since. Should the replica be unreachable then, the old master
// is made sure of and the slots are unlocked; should that be unreachable too, both are tried again,
// and requests get -TRYAGAIN meanwhile.
class Promoter {
 public:
  // Goes on with what has not ended. `controller` and `events` outlive the promoter; `events` may
  // be null.
  Promoter(Controller& controller, PromoterOptions options, EventBus* events);
  ~Promoter();
  Promoter(const Promoter&) = delete;
  Promoter& operator=(const Promoter&) = delete;

  // Any thread. The new promotion's id; with dry_run nothing has begun.
  Outcome<uint64_t> start(const PromotionRequest& request, const Controller::Terms& terms);
  // Makes a server of the group that is not its master a replica of it; blocks. Refused while the
  // group's promotion is under way.
  Outcome<ServerFacts> replicate(uint32_t group, const Address& server, bool dry_run);
  // What keeps one from going on; empty: nothing.
  std::string problem(uint64_t id) const;

  // Threads end at the next place where that does no harm. More than once is harmless.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Failure {
    std::string text;
  };

  void launch(uint64_t id, bool is_inherited);
  // Of a process that ended: the step was waiting for something, and changed nothing at a server.
  void undo_early(uint64_t id);
  void run(uint64_t id);

  void check(const Promotion& promotion);
  void pause(const Promotion& promotion);
  void lock(const Promotion& promotion);
  void promote(const Promotion& promotion);
  void repoint(const Promotion& promotion);
  void go_back(const Promotion& promotion, const std::string& why);
  void fail(const Promotion& promotion, const std::string& why);
  void warn(uint64_t id, const std::string& text);
  // Throws Failure when the replica has not got `offset` within `timeout`.
  void wait_for_offset(const Promotion& promotion, uint64_t offset, uint64_t near_bytes,
                       std::chrono::milliseconds timeout);
  // Empty, or why not after all attempts, and after `patience` if the server answers so long.
  std::string make_replica(const Promotion& promotion, const Address& server, int attempts,
                           std::chrono::milliseconds patience = {});
  Result<ServerFacts> ask(const Promotion& promotion, const Address& server) const;
  ServerAccess access(const Promotion& promotion, const Address& server) const;
  // Until the store takes it, or the end.
  bool decide_surely(const Controller::Decision& decision,
                     std::optional<StopPoint> persisted = std::nullopt);
  void set_problem(uint64_t id, std::string text);
  void tell(uint64_t id);

  Controller& controller_;
  const PromoterOptions options_;
  EventBus* const events_;
  StopSignal stop_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<uint64_t, std::thread> threads_;
  std::map<uint64_t, std::string> problems_;
  bool stopped_ = false;
};

// The operation as the API shows it: {"id", "group", "server", "old_master", "mode", "state",
// "step", "progress", "problem", "error", "warnings", "excluded", "created_by", "created_at",
// "ended_at"}.
nlohmann::json promotion_json(const Promotion& promotion, const std::string& problem);

}  // namespace pikaproxy
