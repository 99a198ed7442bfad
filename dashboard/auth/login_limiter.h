#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace pikaproxy {

// Counts failed logins per user and peer, and per peer: guessing is slowed down without locking a
// user out everywhere. The memory is bounded; what is forgotten first is what failed longest ago.
// Any thread.
class LoginLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr int kFailuresPerUser = 5;
  static constexpr int kFailuresPerPeer = 30;
  static constexpr std::chrono::minutes kWindow{15};
  static constexpr size_t kEntriesMax = 10'000;

  // How long the caller must wait before it may try; 0 = it may. A try counts as failed until
  // succeed() is told otherwise, so that tries at the same time count too.
  std::chrono::seconds begin(const std::string& user, const std::string& peer,
                             Clock::time_point now);
  void succeed(const std::string& user, const std::string& peer);
  // The try was not looked at: as if it had not been.
  void withdraw(const std::string& user, const std::string& peer);

 private:
  struct Entry {
    Clock::time_point first;  // Of the window.
    int failures = 0;
  };

  Entry& entry(const std::string& key, Clock::time_point now);

  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // Guarded by mutex_.
};

}  // namespace pikaproxy
