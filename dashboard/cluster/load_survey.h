#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "dashboard/cluster/planner.h"
#include "dashboard/cluster/server_tools.h"

namespace pikaproxy {

// How much each slot carries. Any thread.
class LoadSurvey {
 public:
  using OpsPerSlot = std::array<uint64_t, kSlotCount>;

  // `ops_per_second`: what proxies count; may be empty, or give nothing.
  LoadSurvey(ServerTools tools, std::function<std::optional<OpsPerSlot>()> ops_per_second)
      : tools_(std::move(tools)), ops_per_second_(std::move(ops_per_second)) {}

  // Scans the masters of all groups with slots, which takes as long as that takes. Bytes are a
  // slot's share of its server's memory, by keys.
  Result<SlotLoads> count_keys(const ClusterTopology& topology, int64_t now);
  // Errors: nobody counts operations.
  Result<SlotLoads> count_ops() const;

  // What count_keys() found last, with its time; nothing before the first.
  struct Found {
    SlotLoads loads;
    int64_t at = 0;  // Milliseconds since 1970 UTC.
  };
  std::optional<Found> last() const;

 private:
  const ServerTools tools_;
  const std::function<std::optional<OpsPerSlot>()> ops_per_second_;
  mutable std::mutex mutex_;
  std::optional<Found> last_;  // Guarded by mutex_.
};

}  // namespace pikaproxy
