#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/slot.h"

namespace pikaproxy {

enum class PlanKind : uint8_t { kRebalance, kDrain, kMove };
// What is balanced.
enum class PlanStrategy : uint8_t { kSlots, kKeys, kBytes, kOps };
std::string_view plan_kind_name(PlanKind kind) noexcept;
std::string_view plan_strategy_name(PlanStrategy strategy) noexcept;

// Slots that go from one group to another; keys and bytes are 0 where nobody counted them.
struct PlanMove {
  uint32_t from = 0;
  uint32_t to = 0;
  std::vector<SlotId> slots;
  uint64_t keys = 0;
  uint64_t bytes = 0;

  bool operator==(const PlanMove&) const = default;
};

// What a group has.
struct GroupShare {
  uint64_t slots = 0;
  uint64_t keys = 0;
  uint64_t bytes = 0;
  uint64_t ops_per_second = 0;

  bool operator==(const GroupShare&) const = default;
};

// What could be moved, worked out for one version of the topology and good for that one only.
struct Plan {
  uint64_t id = 0;
  uint64_t topology_version = 0;
  PlanKind kind = PlanKind::kRebalance;
  PlanStrategy strategy = PlanStrategy::kSlots;
  std::vector<PlanMove> moves;
  std::map<uint32_t, GroupShare> before;
  std::map<uint32_t, GroupShare> after;
  std::vector<std::string> warnings;
  std::string created_by;
  int64_t created_at = 0;  // Milliseconds since 1970 UTC.
  int64_t expires_at = 0;

  bool operator==(const Plan&) const = default;
};

}  // namespace pikaproxy
