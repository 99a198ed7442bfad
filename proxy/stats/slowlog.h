#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "common/config.h"
#include "proxy/io/event_loop.h"

namespace pikaproxy {

class Client;
struct Task;

// Requests of one worker that took long, newest last, with the part of the time that was spent at
// the server. The lock is taken for slow requests and for reading only.
class Slowlog {
 public:
  struct Entry {
    uint64_t id = 0;                // Unique over all workers.
    int64_t unix_time = 0;          // Seconds; when it was answered.
    int64_t total_us = 0;           // From parsed to answered.
    int64_t server_us = 0;          // Of these, between sent and answered; 0 = answered here.
    std::vector<std::string> args;  // As much as the task kept of them.
    std::string client;             // host:port
    std::string client_name;
    std::string server;  // Empty when several or none took part.
  };

  // Worker's thread.
  void configure(const SlowlogConfig& config);
  bool is_slow(Ticks total) const noexcept { return threshold_ >= 0 && total >= threshold_; }
  // `client` is null if it left.
  void add(const Task& task, Ticks total, Client* client);

  // Any thread.
  void copy_to(std::vector<Entry>& entries) const;
  void reset();

 private:
  Ticks threshold_ = -1;  // Worker's thread only.

  mutable std::mutex mutex_;
  size_t max_len_ = 0;         // Guarded by mutex_.
  std::deque<Entry> entries_;  // Guarded by mutex_.
};

}  // namespace pikaproxy
