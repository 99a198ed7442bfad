#include "dashboard/cluster/cluster_json.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "common/slot_ranges.h"
#include "dashboard/cluster/migration_runner.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

Json group_or_null(uint32_t id) {
  return id == 0 ? Json() : Json(id);
}

Json shares_json(const std::map<uint32_t, GroupShare>& shares) {
  Json list = Json::array();
  for (const auto& [id, share] : shares) {
    list.push_back({{"group_id", id},
                    {"slots", share.slots},
                    {"keys", share.keys},
                    {"bytes", share.bytes},
                    {"ops_per_second", share.ops_per_second}});
  }
  return list;
}

// Slots by step, and the ways they go with their movers.
Json routes_json(const Migration& migration) {
  std::map<GroupPair, std::vector<SlotId>> ways;
  for (const MigrationSlot& entry : migration.slots) {
    ways[{entry.source, entry.target}].push_back(entry.slot);
  }
  Json list = Json::array();
  for (const auto& [way, slots] : ways) {
    const auto mover = migration.movers.find(way);
    list.push_back(
        {{"from", way.first},
         {"to", way.second},
         {"ranges", ranges_json(slots)},
         {"mover", mover == migration.movers.end() ? Json() : Json(mover_name(mover->second))}});
  }
  return list;
}

// The one that all its ways use; null if there are none yet or several.
Json mover_json(const Migration& migration) {
  std::set<MoverKind> kinds;
  for (const auto& [way, mover] : migration.movers) kinds.insert(mover);
  return kinds.size() == 1 ? Json(mover_name(*kinds.begin())) : Json();
}

Json progress_json(const Migration& migration, const MigrationLive& live) {
  const auto total = migration.slots.size();
  // On the way back, what is at home again is done.
  const auto done = static_cast<size_t>(
      std::count_if(migration.slots.begin(), migration.slots.end(), [&](const auto& entry) {
        return entry.step == SlotStep::kDone || entry.step == SlotStep::kDropped;
      }));
  Json eta;
  if (done == total) {
    eta = 0;
  } else if (live.keys_per_second > 0 && migration.count(SlotStep::kPending) == 0) {
    eta =
        static_cast<uint64_t>(static_cast<double>(live.keys_left_estimate) / live.keys_per_second);
  } else if (live.keys_per_second > 0 && done > 0) {
    // What a slot has had so far is what a pending one will have.
    const double keys_per_slot = static_cast<double>(live.keys_moved) / static_cast<double>(done);
    eta = static_cast<uint64_t>(keys_per_slot * static_cast<double>(total - done) /
                                live.keys_per_second);
  }
  return {{"done", done},
          {"total", total},
          {"unit", "slots"},
          {"rate_per_second", live.keys_per_second},
          {"rate_unit", "keys"},
          {"bytes_per_second", live.bytes_per_second},
          {"eta_seconds", std::move(eta)}};
}

}  // namespace

Json time_json(int64_t milliseconds) {
  if (milliseconds == 0) return nullptr;
  const auto seconds = static_cast<std::time_t>(milliseconds / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + length, sizeof text - length, ".%03dZ",
                static_cast<int>(milliseconds % 1000));
  return text;
}

Json ranges_json(const std::vector<SlotId>& slots) {
  std::vector<SlotRange> ranges;
  for (const SlotId slot : slots) ranges.push_back({slot, slot});
  Json list = Json::array();
  for (const SlotRange& range : merge_slot_ranges(std::move(ranges))) {
    list.push_back({{"from", range.first}, {"to", range.last}});
  }
  return list;
}

Json slot_json(SlotId slot, const ClusterSlot& entry) {
  return {{"slot", slot},
          {"state", slot_state_name(entry.state)},
          {"group", group_or_null(entry.group)},
          {"target", group_or_null(entry.target)}};
}

Json migration_json(const Migration& migration, const MigrationLive& live) {
  std::vector<SlotId> current;
  for (const MigrationSlot& entry : migration.slots) {
    if (entry.in_work()) current.push_back(entry.slot);
  }
  Json steps = Json::object();
  for (const MigrationSlot& entry : migration.slots) {
    Json& count = steps[std::string(slot_step_name(entry.step))];
    count = count.is_null() ? 1 : count.get<uint64_t>() + 1;
  }
  const auto limit = [](uint64_t value) { return value == 0 ? Json() : Json(value); };
  return {{"id", migration.id},
          {"state", migration_state_name(migration.state)},
          {"mover", mover_json(migration)},
          {"routes", routes_json(migration)},
          {"progress", progress_json(migration, live)},
          {"steps", std::move(steps)},
          {"keys_moved", live.keys_moved},
          {"bytes_moved", live.bytes_moved},
          {"keys_left_estimate", live.keys_left_estimate},
          {"current_slots", ranges_json(current)},
          {"rate_limit_keys_per_second", limit(migration.limits.keys_per_second)},
          {"rate_limit_bytes_per_second", limit(migration.limits.bytes_per_second)},
          {"parallel_slots", migration.parallel_slots},
          {"plan_id", migration.plan_id == 0 ? Json() : Json(migration.plan_id)},
          {"problems", live.problems},
          {"warnings", migration.warnings},
          {"error", migration.error.empty() ? Json() : Json(migration.error)},
          {"created_by", migration.created_by},
          {"created_at", time_json(migration.created_at)},
          {"started_at", time_json(migration.started_at)},
          {"ended_at", time_json(migration.ended_at)}};
}

Json plan_json(const Plan& plan) {
  Json moves = Json::array();
  for (const PlanMove& move : plan.moves) {
    moves.push_back({{"ranges", ranges_json(move.slots)},
                     {"slots", move.slots.size()},
                     {"from", move.from},
                     {"to", move.to},
                     {"keys", move.keys},
                     {"bytes", move.bytes}});
  }
  return {{"id", plan.id},
          {"topology_version", plan.topology_version},
          {"kind", plan_kind_name(plan.kind)},
          {"strategy", plan_strategy_name(plan.strategy)},
          {"moves", std::move(moves)},
          {"before", shares_json(plan.before)},
          {"after", shares_json(plan.after)},
          {"warnings", plan.warnings},
          {"created_by", plan.created_by},
          {"created_at", time_json(plan.created_at)},
          {"expires_at", time_json(plan.expires_at)}};
}

Json group_json(const ClusterTopology& topology, const ClusterGroup& group) {
  std::vector<SlotId> slots;
  size_t leaving = 0;
  size_t arriving = 0;
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const ClusterSlot& entry = topology.slots[slot];
    if (entry.group == group.id) slots.push_back(static_cast<SlotId>(slot));
    if (entry.state != SlotState::kMigrating) continue;
    leaving += entry.group == group.id ? 1 : 0;
    arriving += entry.target == group.id ? 1 : 0;
  }
  Json servers = Json::array();
  for (const ClusterServer& server : group.servers) {
    servers.push_back(
        {{"addr", server.address.to_string()}, {"role", server.is_master ? "master" : "replica"}});
  }
  return {{"id", group.id},
          {"name", group.name},
          {"username", group.username},
          {"has_password", !group.password.empty()},
          {"weight", group.weight},
          {"slots", slots.size()},
          {"slots_leaving", leaving},
          {"slots_arriving", arriving},
          {"ranges", ranges_json(slots)},
          {"servers", std::move(servers)}};
}

Json difference_json(const ClusterTopology& before, const ClusterTopology& after) {
  Json added = Json::array();
  Json changed = Json::array();
  Json removed = Json::array();
  for (const auto& [id, group] : after.groups) {
    const ClusterGroup* old = before.group(id);
    if (old == nullptr) {
      added.push_back(group_json(after, group));
    } else if (*old != group) {
      changed.push_back({{"id", id},
                         {"before", group_json(before, *old)},
                         {"after", group_json(after, group)},
                         {"password_changed", old->password != group.password}});
    }
  }
  for (const auto& [id, group] : before.groups) {
    if (after.group(id) == nullptr) removed.push_back(group_json(before, group));
  }
  Json slots = Json::array();
  const auto side = [](const ClusterSlot& slot) {
    Json json = slot_json(0, slot);
    json.erase("slot");
    return json;
  };
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    if (before.slots[slot] == after.slots[slot]) continue;
    if (slot > 0 && before.slots[slot - 1] != after.slots[slot - 1] &&
        before.slots[slot - 1] == before.slots[slot] &&
        after.slots[slot - 1] == after.slots[slot]) {
      slots.back()["to"] = slot;
      continue;
    }
    slots.push_back({{"from", slot},
                     {"to", slot},
                     {"before", side(before.slots[slot])},
                     {"after", side(after.slots[slot])}});
  }
  return {{"topology_version", {{"from", before.version}, {"to", after.version}}},
          {"groups",
           {{"added", std::move(added)},
            {"changed", std::move(changed)},
            {"removed", std::move(removed)}}},
          {"slots", std::move(slots)}};
}

}  // namespace pikaproxy
