#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/proxy_inspector.h"

namespace pikaproxy {

// The keys that a worker has most to do with, by looking at one request in 64 on average: the
// others cost a decrement. The space-saving sketch: a key that is not known takes the place of the
// one that was seen least, together with its count, as the error it may have. So a key that is in
// more than 1 of 128 samples is never missed. What was seen in the 10 seconds before these 10
// still counts, what is older does not. Nothing allocates. The worker's thread only.
class HotKeys {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr uint32_t kSampleEvery = 64;
  static constexpr size_t kKept = 128;
  static constexpr size_t kKeyBytesMax = 100;  // Of longer keys the beginning is kept.
  static constexpr std::chrono::seconds kWindow{10};

  // Whether the key of this request is to be noted.
  bool is_due() noexcept { return --until_due_ == 0; }
  // `unit`: its slot.
  void note(std::string_view key, uint32_t unit, Clock::time_point now) noexcept;

  // What was seen, most first, as an estimate that does not exceed what there was (but for the luck
  // of sampling). Keys that were seen once say nothing and are left out.
  std::vector<ProxyHotKey> read(Clock::time_point now) const;

 private:
  struct Entry {
    uint32_t count = 0;
    uint32_t error = 0;  // Of count, what may be another's.
    uint32_t unit = 0;
    uint32_t key_bytes = 0;
    std::array<char, kKeyBytesMax> key;
  };
  struct Window {
    Clock::time_point began{};
    size_t size = 0;
    std::array<uint64_t, kKept> hashes;  // Apart from the entries: all of them are looked through.
    std::array<Entry, kKept> entries;
  };

  uint32_t until_due_ = kSampleEvery;
  std::minstd_rand random_;
  std::array<Window, 2> windows_;
  size_t present_ = 0;  // Of windows_; the other one is what was before.
};

}  // namespace pikaproxy
