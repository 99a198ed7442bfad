#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "dashboard/mover/move_engine.h"
#include "dashboard/mover/server_link.h"

namespace pikaproxy {

// What the threads of one job share about its two servers: which commands that were given up may
// still come late, and which keys an unfinished attempt may have left at both ends. See "Settling"
// in docs/slot-migration.md. Any thread.
class RouteState {
 public:
  using End = RouteEnd;

  // `cluster` and `instance` are in the names of our connections (common/connection_name.h):
  // `instance` tells those of this engine from those of earlier ones.
  RouteState(MoveRoute route, const std::string& cluster, std::string instance, StopSignal& stop);

  const MoveRoute& route() const noexcept { return route_; }
  const ServerAccess& server(End end) const noexcept {
    return end == End::kSource ? route_.source : route_.target;
  }
  StopSignal& stop() noexcept { return stop_; }

  Result<std::unique_ptr<ServerLink>> connect(End end);
  // A broken link. If answers are missing, nothing moves until it is settled.
  void give_up(End end, std::unique_ptr<ServerLink> link);
  // What the source sends to the target by itself may come late.
  void expect_late_transfer();

  // Moves hold the shared lock; while it is held, nothing that was given up can come late. Settles
  // first if need be; the error says which server keeps it from that.
  Result<std::shared_lock<std::shared_mutex>> enter();
  // As enter(), but alone: no key is on its way.
  Result<std::unique_lock<std::shared_mutex>> enter_alone();
  // As enter_alone(), when one end is given up for good: nothing that was given up can come late at
  // the other.
  Result<std::unique_lock<std::shared_mutex>> enter_without(End lost);

  // How far an attempt that failed had come for a key.
  enum class Attempt : uint8_t {
    kWriting,     // COPY: the target may have a part of it.
    kCommitting,  // COPY: the target has all of it, the source was told to delete it.
    kTransfer,    // The source was told to move it.
  };
  using Key = std::pair<uint32_t, std::string>;  // Database and key.
  void set_unfinished(uint32_t db, const std::string& key, Attempt attempt);
  void set_finished(uint32_t db, const std::string& key);
  // Whether `key` has an unfinished attempt, and which.
  bool unfinished(uint32_t db, const std::string& key, Attempt& attempt) const;
  bool has_unfinished() const noexcept {
    return unfinished_count_.load(std::memory_order_relaxed) > 0;
  }
  std::vector<std::pair<Key, Attempt>> unfinished() const;

 private:
  struct GivenUp {
    End end;
    std::unique_ptr<ServerLink> link;
  };

  // With gate_ held alone.
  Result<bool> settle();
  Result<bool> settle_without(End lost);
  Result<bool> settle_end(End end, std::vector<GivenUp>& given_up, ServerLink& control);
  // Whether a connection of that name was made by an earlier process of this cluster.
  bool is_earlier(const std::string& name) const;
  Result<bool> kill_earlier(ServerLink& control);
  Result<bool> kill_transfers(ServerLink& target, const std::string& source_ip);
  Result<bool> fail(std::string error);

  const MoveRoute route_;
  const std::string name_prefix_;    // Of movers.
  const std::string worker_prefix_;  // Of proxies' workers.
  const std::string instance_;
  StopSignal& stop_;

  std::shared_mutex gate_;
  std::atomic<bool> settled_{false};  // False at first: an earlier process may have left things.

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool earlier_killed_ = false;
  bool late_transfer_ = true;
  std::vector<GivenUp> given_up_;
  std::string error_;  // Of the last settling.
  ServerLink::Clock::time_point retry_at_{};
  std::chrono::milliseconds pause_{0};
  std::map<Key, Attempt> unfinished_;
  std::atomic<size_t> unfinished_count_{0};
};

}  // namespace pikaproxy
