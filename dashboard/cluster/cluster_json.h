#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/config.h"
#include "common/slot.h"
#include "dashboard/cluster/cluster_state.h"

namespace pikaproxy {

struct MigrationLive;

// What the cluster looks like in the API and in events; docs/openapi.yaml has the shapes. Never a
// password.

// RFC 3339 in UTC with milliseconds; null for 0.
nlohmann::json time_json(int64_t milliseconds);
// [{"from": 0, "to": 511}, ...], merged.
nlohmann::json ranges_json(const std::vector<SlotId>& slots);
nlohmann::json slot_json(SlotId slot, const ClusterSlot& entry);
nlohmann::json migration_json(const Migration& migration, const MigrationLive& live);
nlohmann::json plan_json(const Plan& plan);
// Without what its servers say about themselves.
nlohmann::json group_json(const ClusterTopology& topology, const ClusterGroup& group);

// What a change does: {topology_version: {from, to}, groups: {added, changed, removed}, slots:
// [{from, to, before, after}]}. Of a changed password: that it has changed.
nlohmann::json difference_json(const ClusterTopology& before, const ClusterTopology& after);

}  // namespace pikaproxy
