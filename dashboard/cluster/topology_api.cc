#include <algorithm>
#include <set>
#include <utility>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/cluster/cluster_json.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "pikaproxy-topology-1";
constexpr size_t kServersMax = 16;
constexpr size_t kAddressMax = 280;
constexpr size_t kCredentialMax = 512;

// has_password without password: there is one, which this copy does not show.
Json document_of(const ClusterTopology& topology, bool secrets) {
  Json groups = Json::array();
  Json slots = Json::array();
  for (const auto& [id, group] : topology.groups) {
    Json servers = Json::array();
    for (const ClusterServer& server : group.servers) {
      servers.push_back({{"addr", server.address.to_string()},
                         {"role", server.is_master ? "master" : "replica"}});
    }
    Json json = {{"id", id},
                 {"name", group.name},
                 {"username", group.username},
                 {"has_password", !group.password.empty()},
                 {"weight", group.weight},
                 {"servers", std::move(servers)}};
    if (secrets && !group.password.empty()) json["password"] = group.password;
    groups.push_back(std::move(json));
    // A slot that is on its way belongs to the group that it will have in the end.
    std::vector<SlotId> of_group;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (topology.slots[slot].owner() == id) of_group.push_back(static_cast<SlotId>(slot));
    }
    for (Json& range : ranges_json(of_group)) {
      range["group_id"] = id;
      slots.push_back(std::move(range));
    }
  }
  return {{"format", kFormat}, {"groups", std::move(groups)}, {"slots", std::move(slots)}};
}

ApiResult get(const ClusterParts& parts, const ApiRequest& request) {
  QueryReader query(request);
  const bool secrets = query.choice("secrets", {"true", "false"}).value_or("false") == "true";
  if (auto problem = query.finish()) return *problem;
  if (secrets && request.caller.role < Role::kAdmin) {
    return ApiProblem{403, "forbidden", "Passwords of servers are shown to admins only."};
  }
  const auto state = parts.controller.state();
  ApiReply reply;
  reply.headers = etag(state->topology.version);
  reply.body = document_of(state->topology, secrets);
  reply.body["name"] = parts.cluster_name;
  reply.body["topology_version"] = state->topology.version;
  return reply;
}

struct ImportedGroup {
  GroupSpec spec;
  bool keeps_password = false;
};
struct Import {
  std::vector<ImportedGroup> groups;
  std::vector<SlotAssignment> slots;
  bool force = false;
};

void read_group(BodyReader& body, Import& import) {
  ImportedGroup group;
  GroupSpec& spec = group.spec;
  spec.id = static_cast<uint32_t>(body.integer("id", 1, ClusterGroup::kIdMax));
  spec.name = body.text("name", {.min = 1, .max = 64});
  spec.username = body.optional_text("username", {.max = kCredentialMax}).value_or("");
  const auto password = body.optional_secret("password", {.max = kCredentialMax});
  group.keeps_password = body.optional_boolean("has_password").value_or(false) && !password;
  spec.password = password.value_or("");
  spec.weight = static_cast<uint32_t>(
      body.optional_integer("weight", 0, ClusterGroup::kWeightMax).value_or(1));
  size_t masters = 0;
  body.objects("servers", {.min = 1, .max = kServersMax}, [&](BodyReader& server) {
    const std::string text = server.text("addr", {.min = 1, .max = kAddressMax});
    const std::string role = server.choice("role", {"master", "replica"});
    const auto address = parse_address(text);
    if (!address) {
      if (!text.empty()) server.fail("addr", "invalid", address.error());
    } else if (role == "master") {
      spec.master = *address;
      ++masters;
    } else {
      spec.replicas.push_back(*address);
    }
  });
  if (masters != 1) body.fail("servers", "invalid", "Exactly one server must be the master.");
  import.groups.push_back(std::move(group));
}

std::variant<Import, ApiProblem> read_import(const ApiRequest& request) {
  BodyReader body(request.body);
  Import import;
  const std::string format = body.text("format", {.min = 1, .max = 64});
  if (!format.empty() && format != kFormat) {
    body.fail("format", "invalid", std::string("Must be \"") + kFormat + "\".");
  }
  // An export can be sent back as it is.
  body.optional_text("name", {.max = 256});
  body.objects("groups", {.max = 1000}, [&](BodyReader& group) { read_group(group, import); });
  body.objects("slots", {.max = kSlotCount}, [&](BodyReader& range) {
    const int64_t from = range.integer("from", 0, kSlotCount - 1);
    const int64_t to = range.integer("to", 0, kSlotCount - 1);
    const int64_t group = range.integer("group_id", 1, ClusterGroup::kIdMax);
    if (from > to) range.fail("to", "invalid", "Must not be less than from.");
    for (int64_t slot = from; slot <= to; ++slot) {
      import.slots.push_back({static_cast<SlotId>(slot), static_cast<uint32_t>(group)});
    }
  });
  import.force = body.optional_boolean("force").value_or(false);
  if (auto problem = body.finish()) return *problem;
  return import;
}

// The topology that the document describes, as the next version.
TopologyOutcome apply_import(const ClusterTopology& topology, const Import& import) {
  ClusterTopology next;
  for (const ImportedGroup& group : import.groups) {
    GroupSpec spec = group.spec;
    if (group.keeps_password) {
      const ClusterGroup* existing = topology.group(*spec.id);
      if (existing == nullptr || existing->password.empty()) {
        return Refusal{Refusal::Kind::kImpossible, "password_missing",
                       "group " + std::to_string(*spec.id) +
                           " has a password that the document does not show: add it as "
                           "\"password\", or export with ?secrets=true",
                       "/groups"};
      }
      spec.password = existing->password;
    }
    auto created = create_group(next, spec);
    if (!created) {
      Refusal refusal = created.refusal();
      refusal.kind = Refusal::Kind::kImpossible;
      refusal.pointer = "/groups";
      return refusal;
    }
    next = std::move(*created);
  }
  auto assigned = assign_slots(next, import.slots, false);
  if (!assigned) return assigned.refusal();
  next = std::move(*assigned);
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const ClusterSlot& old = topology.slots[slot];
    // A slot of a migration stays as that has it; that the document agrees is checked here, that
    // nothing else of it changes where all changes are.
    if (old.state != SlotState::kUnassigned && old.owner() == next.slots[slot].group) {
      next.slots[slot] = old;
    } else if (old.state != SlotState::kUnassigned && !import.force) {
      return Refusal{Refusal::Kind::kConflict, "slot_owned",
                     "slot " + std::to_string(slot) + " belongs to " +
                         topology.describe(old.owner()) +
                         ", and the document says otherwise: a migration moves it together with "
                         "its keys; with \"force\": true the keys stay behind, out of reach",
                     "/slots"};
    }
  }
  next.version = topology.version + 1;
  if (const std::string found = find_contradiction(next); !found.empty()) {
    return Refusal{
        Refusal::Kind::kConflict, "group_busy",
        "the document lacks what migrations need (" + found + "): wait until they have ended"};
  }
  return next;
}

ApiResult put(const ClusterParts& parts, const ApiRequest& request) {
  auto read = read_import(request);
  if (const auto* problem = std::get_if<ApiProblem>(&read)) return *problem;
  const Import& import = std::get<Import>(read);
  auto made = make_change(parts.controller, request, [&](const ClusterState& state) {
    return change_topology(
        state, [&](const ClusterTopology& topology) { return apply_import(topology, import); });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  const Change& change = std::get<Change>(made);
  ApiReply reply = reply_to_change(change, 200, document_of(change.after->topology, false));
  reply.object = "topology";
  reply.after = difference_json(change.before->topology, change.after->topology);
  if (!change.dry_run) reply.body["difference"] = reply.after;
  return reply;
}

}  // namespace

std::vector<ApiRoute> topology_routes(const ClusterParts& parts) {
  return {
      {.method = "GET",
       .path = "/topology",
       .operation_id = "exportTopology",
       .query = {"secrets"},
       .handler = [parts](const ApiRequest& request) { return get(parts, request); }},
      {.method = "PUT",
       .path = "/topology",
       .operation_id = "importTopology",
       .role = Role::kAdmin,
       .needs_version = true,
       .handler = [parts](const ApiRequest& request) { return put(parts, request); }},
  };
}

}  // namespace pikaproxy
