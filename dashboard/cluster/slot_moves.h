#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dashboard/cluster/cluster_state.h"
#include "dashboard/mover/move_engine.h"

namespace pikaproxy {

// The pair of groups that a slot goes between, in the direction it goes.
GroupPair way_of(const SlotMove& move);
// For texts, as "1->2".
std::string name_of(GroupPair way);
// For texts, as "0-3,7".
std::string ranges_of(const Slots& slots);

// `slots` are in the migration.
std::vector<SlotMove> moves_of(const Migration& migration, const Slots& slots);

// The server of this way that a forced promotion gives up.
std::optional<RouteEnd> lost_end(const ClusterState& state, GroupPair way);

}  // namespace pikaproxy
