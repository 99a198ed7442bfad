#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace pikaproxy {

// What failed, by a name the caller chooses, and when it may be tried again: each failure in a row
// doubles the pause, within bounds. Any thread.
class RetryPauses {
 public:
  using Clock = std::chrono::steady_clock;

  RetryPauses(std::chrono::milliseconds min, std::chrono::milliseconds max)
      : min_(min), max_(max) {}

  bool may_try(const std::string& what) const;
  // It has failed. True if the problem is another than before.
  bool pause(const std::string& what, const std::string& problem);
  // It has succeeded.
  void clear(const std::string& what);
  // All may be tried at once; their problems stay until they have succeeded.
  void end_all();

  // As a sentence each.
  std::vector<std::string> problems() const;
  std::string problem(const std::string& what) const;  // Empty: none.
  // When the next of them may be tried, at most `latest`.
  Clock::time_point next_end(Clock::time_point latest) const;

 private:
  struct Pause {
    std::chrono::milliseconds length{0};
    Clock::time_point until{};
    std::string problem;
  };

  const std::chrono::milliseconds min_;
  const std::chrono::milliseconds max_;
  mutable std::mutex mutex_;
  std::map<std::string, Pause> pauses_;  // Guarded by mutex_.
};

}  // namespace pikaproxy
