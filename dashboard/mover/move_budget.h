#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dashboard/mover/move_engine.h"

namespace pikaproxy {

// Spreads the background's work over time. Asks no clock itself. One thread.
class MoveBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  void set_limits(MoveLimits limits) noexcept { limits_ = limits; }

  // Records work that was done, at `now`; the next may begin at free_at().
  void spend(uint64_t keys, uint64_t bytes, Time now) noexcept {
    // Time that was not used is not saved up.
    free_at_ = std::max(free_at_, now) + std::max(time_of(keys, limits_.keys_per_second),
                                                  time_of(bytes, limits_.bytes_per_second));
  }
  Time free_at() const noexcept { return free_at_; }

  // Keys to move in one step: a tenth of a second's, so that the rate is even.
  size_t batch(size_t largest) const noexcept {
    if (limits_.keys_per_second == 0) return largest;
    return std::clamp<uint64_t>(limits_.keys_per_second / 10, 1, largest);
  }

 private:
  static Duration time_of(uint64_t amount, uint64_t per_second) noexcept {
    if (per_second == 0) return Duration(0);
    const double seconds = static_cast<double>(amount) / static_cast<double>(per_second);
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }

  MoveLimits limits_;
  Time free_at_{};
};

}  // namespace pikaproxy
