#include "dashboard/cluster/load_survey.h"

#include <map>
#include <utility>
#include <vector>

#include "dashboard/cluster/controller.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::milliseconds kAskTimeout{3'000};

}  // namespace

Result<SlotLoads> LoadSurvey::count_keys(const ClusterTopology& topology, int64_t now) {
  std::map<uint32_t, std::vector<SlotId>> slots;
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const ClusterSlot& entry = topology.slots[slot];
    if (entry.group != 0) slots[entry.group].push_back(static_cast<SlotId>(slot));
    if (entry.target != 0) slots[entry.target].push_back(static_cast<SlotId>(slot));
  }
  Found found;
  found.at = now;
  for (const auto& [group, of_group] : slots) {
    const ServerAccess server = Controller::master_of(topology, group);
    const auto facts = tools_.ask(server, kAskTimeout);
    if (!facts) return Error{facts.error()};
    const auto counts = tools_.count(server, of_group);
    if (!counts) return Error{counts.error()};
    const double bytes_per_key =
        facts->keys == 0 ? 0 : static_cast<double>(facts->memory_bytes) / facts->keys;
    for (const auto& [slot, count] : *counts) {
      found.loads[slot].keys += count.keys;
      found.loads[slot].bytes += static_cast<uint64_t>(bytes_per_key * count.keys);
    }
  }
  const std::lock_guard lock(mutex_);
  last_ = found;
  return found.loads;
}

Result<SlotLoads> LoadSurvey::count_ops() const {
  const auto ops = ops_per_second_ ? ops_per_second_() : std::nullopt;
  if (!ops) {
    return Error{
        "No proxy counts requests by slot, so they cannot be balanced: balance by keys or bytes."};
  }
  SlotLoads loads;
  for (size_t slot = 0; slot < kSlotCount; ++slot) loads[slot].ops_per_second = (*ops)[slot];
  return loads;
}

std::optional<LoadSurvey::Found> LoadSurvey::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

}  // namespace pikaproxy
