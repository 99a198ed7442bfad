#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "dashboard/cluster/cluster_state.h"

namespace pikaproxy {

// Works out which slots should move where. Pure functions.

// What each slot carries; all zero where nobody has counted.
struct SlotLoad {
  uint64_t keys = 0;
  uint64_t bytes = 0;
  uint64_t ops_per_second = 0;
};
using SlotLoads = std::array<SlotLoad, kSlotCount>;

struct PlanRequest {
  PlanKind kind = PlanKind::kRebalance;
  PlanStrategy strategy = PlanStrategy::kSlots;
  std::vector<SlotId> slots;             // kMove: these ...
  uint32_t target = 0;                   // ... go there.
  std::vector<uint32_t> drain_groups;    // kDrain: these give all away.
  std::map<uint32_t, uint32_t> weights;  // Instead of the groups' own.
  uint32_t max_moves = kSlotCount;       // kRebalance: at most so many slots.
};

// The moves, with before, after and warnings; id, times and author are the caller's.
//
//   rebalance by slots   every group gets its share by weight, rounded up or down, with as few
//   moves
//                        as any such placement needs
//   rebalance by load    slots go from the group that is furthest above its share to the one that
//   is
//                        furthest below, as long as that narrows the gap; the largest that fits
//                        first, so that few move
//   drain                each slot of the drained groups moves once, nothing else does; the others
//                        come as near to their shares as that allows
//   move                 what is asked for
//
// Slots of migrations that have not ended stay where these take them. Unassigned ones are left.
Outcome<Plan> make_plan(const ClusterState& state, const PlanRequest& request,
                        const SlotLoads& loads);

}  // namespace pikaproxy
