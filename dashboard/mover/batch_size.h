#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace pikaproxy {

// How many keys to move in one step, so that one takes about as long as clients of the source may
// be kept waiting: it does nothing else meanwhile. Follows what the steps before have taken. Asks
// no clock itself. One thread.
class BatchSize {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // Small keys of an ordinary server take some 10 microseconds each.
  static constexpr size_t kFirst = 128;
  // Fewer would not keep clients waiting less on a busy machine, where a step is slow because
  // others have the processor; they only make more steps. Bytes are bounded elsewhere.
  static constexpr size_t kSmallest = 64;
  static constexpr size_t kLargest = 256;
  static constexpr Duration kLongest = std::chrono::milliseconds(2);

  size_t keys() const noexcept { return keys_; }

  // A step of so many keys has taken so long. One that was slow by chance counts little: only the
  // second in a row makes them smaller.
  void note(size_t keys, Duration took) noexcept {
    if (took > kLongest) {
      if (was_slow_) keys_ = std::max(kSmallest, keys_ - keys_ / 4);
      was_slow_ = true;
      return;
    }
    was_slow_ = false;
    if (keys >= keys_ && took < kLongest / 2) keys_ = std::min(kLargest, keys_ + keys_ / 8 + 1);
  }

 private:
  size_t keys_ = kFirst;
  bool was_slow_ = false;
};

}  // namespace pikaproxy
