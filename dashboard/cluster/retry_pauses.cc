#include "dashboard/cluster/retry_pauses.h"

#include <algorithm>

namespace pikaproxy {

bool RetryPauses::may_try(const std::string& what) const {
  const std::lock_guard lock(mutex_);
  const auto found = pauses_.find(what);
  return found == pauses_.end() || Clock::now() >= found->second.until;
}

bool RetryPauses::pause(const std::string& what, const std::string& problem) {
  const std::lock_guard lock(mutex_);
  Pause& pause = pauses_[what];
  pause.length = std::clamp(pause.length * 2, min_, max_);
  pause.until = Clock::now() + pause.length;
  const bool is_new = pause.problem != problem;
  pause.problem = problem;
  return is_new;
}

void RetryPauses::clear(const std::string& what) {
  const std::lock_guard lock(mutex_);
  pauses_.erase(what);
}

void RetryPauses::end_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [what, pause] : pauses_) {
    pause.length = {};
    pause.until = {};
  }
}

std::vector<std::string> RetryPauses::problems() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> problems;
  for (const auto& [what, pause] : pauses_) {
    if (!pause.problem.empty()) problems.push_back(pause.problem);
  }
  return problems;
}

std::string RetryPauses::problem(const std::string& what) const {
  const std::lock_guard lock(mutex_);
  const auto found = pauses_.find(what);
  return found == pauses_.end() ? std::string() : found->second.problem;
}

RetryPauses::Clock::time_point RetryPauses::next_end(Clock::time_point latest) const {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  for (const auto& [what, pause] : pauses_) {
    if (pause.until > now) latest = std::min(latest, pause.until);
  }
  return latest;
}

}  // namespace pikaproxy
