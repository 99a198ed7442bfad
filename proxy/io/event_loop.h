#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "proxy/io/byte_queue.h"

namespace pikaproxy {

class Stream;

// Bytes received at once: enough that large values need few calls, little enough to stay in a
// core's cache (docs/performance.md).
inline constexpr size_t kScratchBytes = 64 * 1024;

// Microseconds of the monotonic clock.
using Ticks = int64_t;

// What a worker runs: readiness of its sockets, timers, work posted by other threads. This and
// Stream are the seam between protocol code and the kernel: nothing else in proxy/ reads or writes
// a client's or server's socket.
//
// Why not asio's loop for these sockets: its reactor costs one more system call per request (an
// epoll_ctl or a recv that finds nothing); docs/architecture.md has the figures.
//
// A turn: wait -> data of ready sockets -> posted work -> timers -> one gathered write per stream
// that has output -> streams closed in this turn are destroyed.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Until stop(). The thread that calls it owns the loop and everything in it.
  void run();
  // Any thread: run() returns after the current turn.
  void stop();
  // Any thread: has `work` run on the loop's thread.
  void post(std::function<void()> work);
  // After run() has returned, by whoever joined its thread: runs what was posted too late for it.
  void run_leftovers() { run_posted(); }

  // Loop's thread only, all below.

  // Time at the start of the turn (or of its writing part): cheap, exact enough for latencies.
  Ticks now() const noexcept { return now_; }

  using TimerId = std::pair<Ticks, uint64_t>;
  // Runs `work` once, `delay` microseconds from now at the earliest.
  TimerId add_timer(Ticks delay, std::function<void()> work);
  void cancel_timer(TimerId id) noexcept;

  // Destroys the stream at the end of the turn; it is closed at once.
  void destroy_later(std::unique_ptr<Stream> stream);

  // Called at the end of each turn, before the writes.
  void set_turn_end(std::function<void()> work) { turn_end_ = std::move(work); }

  BlockPool& pool() noexcept { return pool_; }

  // For metrics; any thread.
  uint64_t turns() const noexcept { return turns_.load(std::memory_order_relaxed); }
  // Microseconds spent in turns, waiting excluded.
  uint64_t busy_us() const noexcept { return busy_us_.load(std::memory_order_relaxed); }

 private:
  friend class Stream;

  int wait_timeout_ms() const noexcept;
  void refresh_now() noexcept;
  void run_posted();
  void run_timers();
  void flush_dirty();

  static constexpr size_t kPipeBytes = 256 * 1024;

  // Constant after construction.
  const int epoll_fd_;
  const int wake_fd_;
  // Through which bytes go from socket to socket without a copy; empty between two streams. -1 if
  // the system has none for us.
  int pipe_read_fd_ = -1;
  int pipe_write_fd_ = -1;
  const std::unique_ptr<char[]> scratch_;

  // Loop's thread only.
  BlockPool pool_;
  Ticks now_ = 0;
  std::map<TimerId, std::function<void()>> timers_;
  uint64_t next_timer_ = 0;
  Stream* dirty_first_ = nullptr;  // Streams with output to be written this turn,
  Stream* dirty_last_ = nullptr;   // and those that are written after them.
  std::vector<std::unique_ptr<Stream>> doomed_;
  std::function<void()> turn_end_;
  std::atomic<uint64_t> turns_{0};
  std::atomic<uint64_t> busy_us_{0};

  // Any thread.
  std::atomic<bool> stopping_{false};
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;  // Guarded by posted_mutex_.
  bool wake_pending_ = false;                  // Guarded by posted_mutex_.
};

}  // namespace pikaproxy
