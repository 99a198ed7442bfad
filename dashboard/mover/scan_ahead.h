#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/mover.h"

namespace pikaproxy {

// Goes once through the source's databases on a thread and connection of its own, a few steps ahead
// of the one who moves the keys: while the source moves some, the next ones are sorted out here.
//
//   thread:  SCAN ─> wanted? ─> MEMORY USAGE ──> [ chunk ][ chunk ] ──> next()
class ScanAhead {
 public:
  struct Chunk {
    uint32_t db = 0;
    std::vector<std::string> keys;  // Those that are wanted.
    // As probe_keys() has it; nothing = gone again.
    std::vector<std::optional<uint64_t>> bytes;
    uint64_t scanned = 0;  // With those that are not wanted.
  };

  // `is_wanted` is called by the thread.
  ScanAhead(RouteState& state, std::vector<DatabaseSize> databases,
            std::function<bool(const std::string& key)> is_wanted);
  ~ScanAhead();  // Stops it where it is.
  ScanAhead(const ScanAhead&) = delete;
  ScanAhead& operator=(const ScanAhead&) = delete;

  // Waits for the next chunk. False: that was all, or it failed.
  bool next(Chunk& chunk);
  // A sentence; empty = all databases were gone through. After next() was false.
  const std::string& error() const noexcept { return error_; }

 private:
  void run(std::vector<DatabaseSize> databases);
  // False: it failed, or nobody wants more.
  bool scan(uint32_t db);
  bool put(Chunk chunk);

  // Constant after construction.
  const std::function<bool(const std::string& key)> is_wanted_;

  MoveLinks links_;  // The thread's.

  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable changed_;
  std::deque<Chunk> chunks_;
  bool at_end_ = false;
  bool stopped_ = false;
  std::string error_;  // Final once at_end_ is set.

  std::thread thread_;
};

}  // namespace pikaproxy
