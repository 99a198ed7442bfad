#include <optional>
#include <set>
#include <utility>

#include "common/crc32.h"
#include "common/slot.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/cluster/cluster_json.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

constexpr size_t kKeyMax = 4096;

// With what is known about its load; null where nobody has counted.
Json slot_with_load(SlotId slot, const ClusterSlot& entry,
                    const std::optional<LoadSurvey::Found>& found,
                    const std::optional<SlotLoads>& ops) {
  Json json = slot_json(slot, entry);
  json["keys"] = found ? Json(found->loads[slot].keys) : Json();
  json["bytes"] = found ? Json(found->loads[slot].bytes) : Json();
  json["counted_at"] = found ? time_json(found->at) : Json();
  json["ops_per_second"] = ops ? Json((*ops)[slot].ops_per_second) : Json();
  return json;
}

std::optional<SlotLoads> ops_of(const ClusterParts& parts) {
  auto ops = parts.survey.count_ops();
  if (!ops) return std::nullopt;
  return std::move(*ops);
}

ApiResult list_slots(const ClusterParts& parts, const ApiRequest& request) {
  QueryReader query(request);
  const auto group = query.integer("group", 1, ClusterGroup::kIdMax);
  const auto state_name = query.choice("state", {"unassigned", "normal", "locked", "migrating"});
  const auto view = query.choice("view", {"slots", "ranges"});
  if (auto problem = query.finish()) return *problem;
  const auto state = parts.controller.state();
  const ClusterTopology& topology = state->topology;
  const auto is_wanted = [&](const ClusterSlot& slot) {
    return (!group || slot.group == *group || slot.target == *group) &&
           (!state_name || slot_state_name(slot.state) == *state_name);
  };
  Json list = Json::array();
  const bool as_ranges = view && *view == "ranges";
  const auto found = parts.survey.last();
  const auto ops = ops_of(parts);
  for (size_t number = 0; number < kSlotCount; ++number) {
    const ClusterSlot& slot = topology.slots[number];
    if (!is_wanted(slot)) continue;
    if (!as_ranges) {
      list.push_back(slot_with_load(static_cast<SlotId>(number), slot, found, ops));
    } else if (number > 0 && topology.slots[number - 1] == slot) {
      list.back()["to"] = number;
    } else {
      Json range = slot_json(static_cast<SlotId>(number), slot);
      range.erase("slot");
      range["from"] = range["to"] = number;
      list.push_back(std::move(range));
    }
  }
  ApiReply reply;
  reply.headers = etag(topology.version);
  reply.body = {{"topology_version", topology.version},
                {as_ranges ? "ranges" : "slots", std::move(list)}};
  return reply;
}

ApiResult get_slot(const ClusterParts& parts, const ApiRequest& request) {
  const auto number = path_integer(request, "slot", 0, kSlotCount - 1);
  if (!number) return not_found("slot " + request.path.at("slot"));
  const auto slot = static_cast<SlotId>(*number);
  const auto state = parts.controller.state();
  ApiReply reply;
  reply.headers = etag(state->topology.version);
  reply.body =
      slot_with_load(slot, state->topology.slots[slot], parts.survey.last(), ops_of(parts));
  const Migration* migration = state->migration_of(slot);
  reply.body["migration_id"] = migration == nullptr ? Json() : Json(migration->id);
  reply.body["topology_version"] = state->topology.version;
  return reply;
}

ApiResult look_up(const ClusterParts& parts, const ApiRequest& request) {
  const std::string* key = request.http.query_value("key");
  QueryReader query(request);
  if (key == nullptr) query.fail("key", "Name the key: ?key=user:1.");
  if (key != nullptr && key->size() > kKeyMax) {
    query.fail("key", "Must have at most " + std::to_string(kKeyMax) + " bytes.");
  }
  if (auto problem = query.finish()) return *problem;
  const SlotId slot = slot_of(*key);
  const auto state = parts.controller.state();
  const ClusterSlot& entry = state->topology.slots[slot];
  ApiReply reply;
  reply.headers = etag(state->topology.version);
  reply.body = slot_json(slot, entry);
  reply.body["key"] = *key;
  reply.body["hash_part"] = std::string(hash_part(*key));
  reply.body["crc32"] = crc32(hash_part(*key));
  const ClusterGroup* group = state->topology.group(entry.owner());
  // While it migrates, requests go to the target.
  reply.body["server"] = group == nullptr ? Json() : Json(group->master().to_string());
  reply.body["topology_version"] = state->topology.version;
  return reply;
}

// What keys stay behind, out of reach, when slots change their owner without a migration.
Json lost_json(const ClusterParts& parts, const ClusterTopology& before,
               const ClusterTopology& after) {
  std::map<uint32_t, std::vector<SlotId>> by_owner;
  for (size_t number = 0; number < kSlotCount; ++number) {
    const ClusterSlot& old = before.slots[number];
    if (old.group != 0 && old.group != after.slots[number].group) {
      by_owner[old.group].push_back(static_cast<SlotId>(number));
    }
  }
  Json list = Json::array();
  for (const auto& [owner, slots] : by_owner) {
    const auto counts = parts.controller.tools().count(Controller::master_of(before, owner), slots);
    Json keys;
    if (counts) {
      uint64_t sum = 0;
      for (const auto& [slot, count] : *counts) sum += count.keys;
      keys = sum;
    }
    list.push_back({{"group_id", owner}, {"ranges", ranges_json(slots)}, {"keys", keys}});
  }
  return list;
}

ApiResult assign(const ClusterParts& parts, const ApiRequest& request) {
  BodyReader body(request.body);
  std::vector<SlotAssignment> assignments;
  body.objects("ranges", {.min = 1, .max = kSlotCount}, [&](BodyReader& range) {
    const int64_t from = range.integer("from", 0, kSlotCount - 1);
    const int64_t to = range.integer("to", 0, kSlotCount - 1);
    const int64_t group = range.integer("group_id", 1, ClusterGroup::kIdMax);
    if (from > to) {
      range.fail("to", "invalid", "Must not be less than from.");
      return;
    }
    for (int64_t slot = from; slot <= to; ++slot) {
      assignments.push_back({static_cast<SlotId>(slot), static_cast<uint32_t>(group)});
    }
  });
  const bool force = body.optional_boolean("force").value_or(false);
  if (auto problem = body.finish()) return *problem;
  Json lost = Json::array();
  if (force) {
    // Counted before: afterwards these keys are out of reach.
    const auto state = parts.controller.state();
    const auto tried = assign_slots(state->topology, assignments, force);
    if (!tried) return problem_of(tried.refusal(), state->topology.version);
    lost = lost_json(parts, state->topology, *tried);
  }
  auto made = make_change(parts.controller, request, [&](const ClusterState& state) {
    return change_topology(state, [&](const ClusterTopology& topology) {
      return assign_slots(topology, assignments, force);
    });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  const Change& change = std::get<Change>(made);
  ApiReply reply = reply_to_change(change, 200, {{"assigned", assignments.size()}});
  reply.object = "slots";
  reply.after = difference_json(change.before->topology, change.after->topology);
  reply.after["lost"] = lost;
  reply.body["lost"] = std::move(lost);
  return reply;
}

}  // namespace

std::vector<ApiRoute> slots_routes(const ClusterParts& parts) {
  const auto with = [parts](ApiResult (*handler)(const ClusterParts&, const ApiRequest&)) {
    return [parts, handler](const ApiRequest& request) { return handler(parts, request); };
  };
  return {
      {.method = "GET",
       .path = "/slots",
       .operation_id = "listSlots",
       .query = {"group", "state", "view"},
       .handler = with(list_slots)},
      {.method = "GET",
       .path = "/slots/lookup",
       .operation_id = "lookUpSlot",
       .query = {"key"},
       .handler = with(look_up)},
      {.method = "PUT",
       .path = "/slots/assignment",
       .operation_id = "assignSlots",
       .role = Role::kAdmin,
       .needs_version = true,
       .handler = with(assign)},
      {.method = "GET",
       .path = "/slots/{slot}",
       .operation_id = "getSlot",
       .handler = with(get_slot)},
  };
}

}  // namespace pikaproxy
