#include "dashboard/cluster/slot_moves.h"

#include <utility>

#include "common/slot_ranges.h"
#include "dashboard/cluster/promotion_state.h"

namespace pikaproxy {

std::string name_of(GroupPair way) {
  return std::to_string(way.first) + "->" + std::to_string(way.second);
}

GroupPair way_of(const SlotMove& move) {
  return {move.from, move.to};
}

std::string ranges_of(const Slots& slots) {
  std::vector<SlotRange> ranges;
  for (const SlotId slot : slots) ranges.push_back({slot, slot});
  return format_slot_ranges(merge_slot_ranges(std::move(ranges)));
}

std::vector<SlotMove> moves_of(const Migration& migration, const Slots& slots) {
  std::vector<SlotMove> moves;
  for (const SlotId slot : slots) moves.push_back(migration.find(slot)->move());
  return moves;
}

std::optional<RouteEnd> lost_end(const ClusterState& state, GroupPair way) {
  const Promotion* holder = holder_of(state, way.first, way.second);
  if (holder == nullptr || !holder->force) return std::nullopt;
  return holder->group == way.first ? RouteEnd::kSource : RouteEnd::kTarget;
}

}  // namespace pikaproxy
