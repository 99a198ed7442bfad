#pragma once

#include <array>
#include <cstdint>

#include "common/proxy_inspector.h"
#include "common/slot.h"

namespace pikaproxy {

// What a proxy does per second.
struct ProxyRates {
  double ops_per_second = 0;
  double errors_per_second = 0;
  uint64_t clients = 0;  // Connected at the end of it.
  uint64_t p50_us = 0;   // 0 when there were no requests.
  uint64_t p99_us = 0;
  // Over a longer time than the others, so that a plan made from it does not follow a moment.
  std::array<double, kSlotCount> slot_ops_per_second{};
};

// Makes rates of snapshots. One thread at a time.
class RateMeter {
 public:
  // Half of what a slot did this long ago still counts.
  static constexpr double kSlotHalfLifeSeconds = 10;

  // `now_ms` of any clock that only goes forward. The first snapshot, and one at the same time as
  // the one before, change nothing.
  const ProxyRates& update(const ProxySnapshot& snapshot, int64_t now_ms);

 private:
  ProxySnapshot before_;
  int64_t before_at_ = 0;
  bool has_before_ = false;
  bool has_slots_ = false;
  ProxyRates rates_;
};

}  // namespace pikaproxy
