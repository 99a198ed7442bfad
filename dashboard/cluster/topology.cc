#include "dashboard/cluster/topology.h"

#include <algorithm>
#include <set>

#include "common/text.h"

namespace pikaproxy {
namespace {

constexpr size_t kNameMax = 64;
constexpr size_t kCredentialMax = 512;
constexpr size_t kServersMax = 16;

Refusal conflict(std::string code, std::string message) {
  return {Refusal::Kind::kConflict, std::move(code), std::move(message)};
}

Refusal impossible(std::string pointer, std::string message) {
  return {Refusal::Kind::kImpossible, "invalid_value", std::move(message), std::move(pointer)};
}

Refusal no_group(uint32_t id) {
  return {Refusal::Kind::kNotFound, "not_found",
          "there is no group " + std::to_string(id) + ": GET /api/v1/groups lists the groups"};
}

// A copy to be changed.
ClusterTopology next(const ClusterTopology& topology) {
  ClusterTopology copy = topology;
  ++copy.version;
  return copy;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_' || c == '.' || c == '-';
         });
}

// What is wrong with these, if anything. `self`: the group that may have the name already.
std::optional<Refusal> name_problem(const ClusterTopology& topology, const std::string& name,
                                    uint32_t self) {
  if (!is_name(name)) {
    return impossible("/name", "the name " + quote(name) +
                                   " is no group's name: it is 1 to 64 letters, digits, \"_\", "
                                   "\".\" and \"-\"");
  }
  for (const auto& [id, group] : topology.groups) {
    if (id != self && group.name == name) {
      return conflict("name_taken", topology.describe(id) + " has this name: choose another");
    }
  }
  return std::nullopt;
}

std::optional<Refusal> credential_problem(const std::string& pointer, const std::string& text) {
  if (text.size() > kCredentialMax || text.find('\0') != std::string::npos) {
    return impossible(pointer, "it is at most 512 bytes, none of them zero");
  }
  return std::nullopt;
}

std::optional<Refusal> weight_problem(uint32_t weight) {
  if (weight > ClusterGroup::kWeightMax) {
    return impossible("/weight", "a weight is 0 to " + std::to_string(ClusterGroup::kWeightMax));
  }
  return std::nullopt;
}

std::optional<Refusal> server_problem(const ClusterTopology& topology, const Address& server) {
  if (!server.is_unix() && server.port == 0) {
    return impossible("/servers", server.to_string() + " has no port: write host:port");
  }
  if (const ClusterGroup* owner = topology.group_of(server)) {
    return conflict("server_taken", server.to_string() + " belongs to " +
                                        topology.describe(owner->id) +
                                        ": a server is in one group only");
  }
  return std::nullopt;
}

std::string describe(const ClusterTopology& topology, const ClusterSlot& slot) {
  switch (slot.state) {
    case SlotState::kUnassigned:
      return "unassigned";
    case SlotState::kNormal:
      return "served by " + topology.describe(slot.group);
    case SlotState::kLocked:
      return "locked for a migration";
    case SlotState::kMigrating:
      return "migrating from " + topology.describe(slot.group) + " to " +
             topology.describe(slot.target);
  }
  return {};
}

Refusal wrong_state(const ClusterTopology& topology, SlotId slot) {
  return conflict("slot_busy", "slot " + std::to_string(slot) + " is " +
                                   describe(topology, topology.slots[slot]) +
                                   ": GET /api/v1/migrations shows what is going on");
}

// Sets each slot to what `after` says, provided that `before` holds for it.
template <typename Before, typename After>
TopologyOutcome change_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves,
                             Before before, After after) {
  ClusterTopology changed = next(topology);
  for (const SlotMove& move : moves) {
    if (topology.group(move.from) == nullptr) return no_group(move.from);
    if (topology.group(move.to) == nullptr) return no_group(move.to);
    if (move.from == move.to) {
      return impossible("", "slot " + std::to_string(move.slot) + " already belongs to " +
                                topology.describe(move.to));
    }
    if (!before(topology.slots[move.slot], move)) return wrong_state(topology, move.slot);
    changed.slots[move.slot] = after(move);
  }
  return changed;
}

bool is_migrating(const ClusterSlot& slot, const SlotMove& move) {
  return slot == ClusterSlot{SlotState::kMigrating, move.from, move.to};
}

}  // namespace

const Address& ClusterGroup::master() const {
  return std::find_if(servers.begin(), servers.end(),
                      [](const ClusterServer& server) { return server.is_master; })
      ->address;
}

const ClusterServer* ClusterGroup::find(const Address& address) const {
  const auto found = std::find_if(servers.begin(), servers.end(), [&](const ClusterServer& server) {
    return server.address == address;
  });
  return found == servers.end() ? nullptr : &*found;
}

const ClusterGroup* ClusterTopology::group(uint32_t id) const {
  const auto found = groups.find(id);
  return found == groups.end() ? nullptr : &found->second;
}

const ClusterGroup* ClusterTopology::group_of(const Address& server) const {
  for (const auto& [id, group] : groups) {
    if (group.find(server) != nullptr) return &group;
  }
  return nullptr;
}

size_t ClusterTopology::slots_of(uint32_t id) const {
  return static_cast<size_t>(std::count_if(
      slots.begin(), slots.end(),
      [id](const ClusterSlot& slot) { return slot.group == id || slot.target == id; }));
}

std::string ClusterTopology::describe(uint32_t id) const {
  const ClusterGroup* found = group(id);
  return "group " + std::to_string(id) + (found == nullptr ? "" : " (" + found->name + ")");
}

std::string_view slot_state_name(SlotState state) noexcept {
  switch (state) {
    case SlotState::kUnassigned:
      return "unassigned";
    case SlotState::kNormal:
      return "normal";
    case SlotState::kLocked:
      return "locked";
    case SlotState::kMigrating:
      return "migrating";
  }
  return "";
}

std::optional<SlotState> slot_state_named(std::string_view name) noexcept {
  for (const SlotState state :
       {SlotState::kUnassigned, SlotState::kNormal, SlotState::kLocked, SlotState::kMigrating}) {
    if (slot_state_name(state) == name) return state;
  }
  return std::nullopt;
}

SlotTable slot_view(const ClusterTopology& topology) {
  SlotTable table;
  table.epoch = topology.version;
  std::map<uint32_t, uint16_t> index = {{0, SlotEntry::kNone}};
  for (const auto& [id, group] : topology.groups) {
    index[id] = static_cast<uint16_t>(table.groups.size());
    TableGroup& entry = table.groups.emplace_back();
    entry = {id, group.name, group.master(), group.username, group.password, {}};
    for (const ClusterServer& server : group.servers) {
      if (!server.is_master) entry.replicas.push_back(server.address);
    }
  }
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const ClusterSlot& from = topology.slots[slot];
    table.slots[slot] = {from.state, index.at(from.group), index.at(from.target)};
  }
  return table;
}

std::string find_contradiction(const ClusterTopology& topology) {
  std::set<std::string> names;
  std::set<Address> servers;
  for (const auto& [id, group] : topology.groups) {
    const std::string title = topology.describe(id);
    if (id != group.id || id == 0 || id > ClusterGroup::kIdMax) return title + " has a wrong id";
    if (!is_name(group.name) || !names.insert(group.name).second) {
      return title + " has no name of its own";
    }
    if (group.weight > ClusterGroup::kWeightMax) return title + " has too large a weight";
    if (group.servers.size() > kServersMax) return title + " has too many servers";
    const auto masters =
        std::count_if(group.servers.begin(), group.servers.end(),
                      [](const ClusterServer& server) { return server.is_master; });
    if (masters != 1) return title + " has " + std::to_string(masters) + " masters instead of one";
    for (const ClusterServer& server : group.servers) {
      if (!servers.insert(server.address).second) {
        return server.address.to_string() + " is in two groups";
      }
    }
  }
  for (size_t number = 0; number < kSlotCount; ++number) {
    const ClusterSlot& slot = topology.slots[number];
    const bool has_group = topology.group(slot.group) != nullptr;
    const bool has_target = topology.group(slot.target) != nullptr;
    const bool good = slot.state == SlotState::kUnassigned ? slot.group == 0 && slot.target == 0
                      : slot.state == SlotState::kMigrating
                          ? has_group && has_target && slot.group != slot.target
                          : has_group && slot.target == 0;
    if (!good) {
      return "slot " + std::to_string(number) + " is " + std::string(slot_state_name(slot.state)) +
             " but names groups " + std::to_string(slot.group) + " and " +
             std::to_string(slot.target);
    }
  }
  return {};
}

uint32_t id_for(const ClusterTopology& topology, const GroupSpec& spec) {
  if (spec.id) return *spec.id;
  uint32_t id = 1;
  while (id <= ClusterGroup::kIdMax && topology.group(id) != nullptr) ++id;
  return id <= ClusterGroup::kIdMax ? id : 0;
}

TopologyOutcome create_group(const ClusterTopology& topology, const GroupSpec& spec) {
  ClusterGroup group;
  group.id = id_for(topology, spec);
  if (!spec.id && group.id == 0) return conflict("groups_full", "all ids of groups are in use");
  if (group.id == 0 || group.id > ClusterGroup::kIdMax) {
    return impossible("/id", "a group's id is 1 to " + std::to_string(ClusterGroup::kIdMax));
  }
  if (topology.group(group.id) != nullptr) {
    return conflict("id_taken", topology.describe(group.id) + " exists: choose another id");
  }
  group.name = spec.name.empty() ? "group-" + std::to_string(group.id) : spec.name;
  group.username = spec.username;
  group.password = spec.password;
  group.weight = spec.weight;
  if (auto problem = name_problem(topology, group.name, group.id)) return *problem;
  if (auto problem = credential_problem("/username", spec.username)) return *problem;
  if (auto problem = credential_problem("/password", spec.password)) return *problem;
  if (auto problem = weight_problem(spec.weight)) return *problem;
  if (spec.replicas.size() + 1 > kServersMax) {
    return impossible("/servers",
                      "a group has at most " + std::to_string(kServersMax) + " servers");
  }
  group.servers.push_back({spec.master, true});
  for (const Address& replica : spec.replicas) group.servers.push_back({replica, false});
  std::set<Address> seen;
  for (const ClusterServer& server : group.servers) {
    if (auto problem = server_problem(topology, server.address)) return *problem;
    if (!seen.insert(server.address).second) {
      return impossible("/servers", server.address.to_string() + " is there twice");
    }
  }
  ClusterTopology changed = next(topology);
  changed.groups.emplace(group.id, std::move(group));
  return changed;
}

TopologyOutcome patch_group(const ClusterTopology& topology, uint32_t id, const GroupPatch& patch) {
  if (topology.group(id) == nullptr) return no_group(id);
  if (patch.name) {
    if (auto problem = name_problem(topology, *patch.name, id)) return *problem;
  }
  if (patch.username) {
    if (auto problem = credential_problem("/username", *patch.username)) return *problem;
  }
  if (patch.password) {
    if (auto problem = credential_problem("/password", *patch.password)) return *problem;
  }
  if (patch.weight) {
    if (auto problem = weight_problem(*patch.weight)) return *problem;
  }
  ClusterTopology changed = next(topology);
  ClusterGroup& group = changed.groups.at(id);
  if (patch.name) group.name = *patch.name;
  if (patch.username) group.username = *patch.username;
  if (patch.password) group.password = *patch.password;
  if (patch.weight) group.weight = *patch.weight;
  return changed;
}

TopologyOutcome delete_group(const ClusterTopology& topology, uint32_t id) {
  if (topology.group(id) == nullptr) return no_group(id);
  if (const size_t count = topology.slots_of(id); count > 0) {
    return conflict("group_not_empty", topology.describe(id) + " has " + std::to_string(count) +
                                           " slots: move them to other groups first (POST "
                                           "/api/v1/plans with kind \"drain\")");
  }
  ClusterTopology changed = next(topology);
  changed.groups.erase(id);
  return changed;
}

TopologyOutcome add_server(const ClusterTopology& topology, uint32_t id, const Address& server) {
  const ClusterGroup* group = topology.group(id);
  if (group == nullptr) return no_group(id);
  if (auto problem = server_problem(topology, server)) return *problem;
  if (group->servers.size() >= kServersMax) {
    return conflict("group_full", topology.describe(id) + " has " + std::to_string(kServersMax) +
                                      " servers already, which is the limit");
  }
  ClusterTopology changed = next(topology);
  changed.groups.at(id).servers.push_back({server, false});
  return changed;
}

TopologyOutcome remove_server(const ClusterTopology& topology, uint32_t id, const Address& server) {
  const ClusterGroup* group = topology.group(id);
  if (group == nullptr) return no_group(id);
  const ClusterServer* found = group->find(server);
  if (found == nullptr) {
    return Refusal{Refusal::Kind::kNotFound, "not_found",
                   topology.describe(id) + " has no server " + server.to_string()};
  }
  if (found->is_master) {
    return conflict("is_master", server.to_string() + " is the master of " + topology.describe(id) +
                                     ": promote another server first, or delete the group");
  }
  ClusterTopology changed = next(topology);
  std::erase_if(changed.groups.at(id).servers,
                [&](const ClusterServer& each) { return each.address == server; });
  return changed;
}

TopologyOutcome set_master(const ClusterTopology& topology, uint32_t id, const Address& server) {
  const ClusterGroup* group = topology.group(id);
  if (group == nullptr) return no_group(id);
  const ClusterServer* found = group->find(server);
  if (found == nullptr) {
    return Refusal{Refusal::Kind::kNotFound, "not_found",
                   topology.describe(id) + " has no server " + server.to_string() +
                       ": add it first, as a replica"};
  }
  if (found->is_master) {
    return conflict("is_master",
                    server.to_string() + " is the master of " + topology.describe(id) + " already");
  }
  ClusterTopology changed = next(topology);
  for (ClusterServer& each : changed.groups.at(id).servers) {
    each.is_master = each.address == server;
  }
  return changed;
}

TopologyOutcome assign_slots(const ClusterTopology& topology,
                             const std::vector<SlotAssignment>& assignments, bool force) {
  ClusterTopology changed = next(topology);
  std::set<SlotId> seen;
  for (const auto& [slot, group] : assignments) {
    if (slot >= kSlotCount) return impossible("/ranges", "slots are 0 to 1023");
    if (topology.group(group) == nullptr) {
      Refusal refusal = no_group(group);
      refusal.kind = Refusal::Kind::kImpossible;
      refusal.pointer = "/ranges";
      return refusal;
    }
    if (!seen.insert(slot).second) {
      return impossible("/ranges", "slot " + std::to_string(slot) + " is there twice");
    }
    const ClusterSlot& old = topology.slots[slot];
    if (old.state == SlotState::kLocked || old.state == SlotState::kMigrating) {
      return wrong_state(topology, slot);
    }
    if (old.state == SlotState::kNormal && old.group != group && !force) {
      return conflict("slot_owned", "slot " + std::to_string(slot) + " is " +
                                        describe(topology, old) +
                                        ": a migration moves it together with its keys; with "
                                        "\"force\": true the keys stay behind, out of reach");
    }
    changed.slots[slot] = {SlotState::kNormal, group, 0};
  }
  return changed;
}

TopologyOutcome lock_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves) {
  return change_slots(
      topology, moves,
      [](const ClusterSlot& slot, const SlotMove& move) {
        return slot == ClusterSlot{SlotState::kNormal, move.from, 0};
      },
      [](const SlotMove& move) {
        return ClusterSlot{SlotState::kLocked, move.from, 0};
      });
}

TopologyOutcome unlock_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves) {
  return change_slots(
      topology, moves,
      [](const ClusterSlot& slot, const SlotMove& move) {
        return slot == ClusterSlot{SlotState::kLocked, move.from, 0};
      },
      [](const SlotMove& move) {
        return ClusterSlot{SlotState::kNormal, move.from, 0};
      });
}

TopologyOutcome switch_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves) {
  return change_slots(
      topology, moves,
      [](const ClusterSlot& slot, const SlotMove& move) {
        return slot.state == SlotState::kLocked &&
               (slot.group == move.from || slot.group == move.to);
      },
      [](const SlotMove& move) {
        return ClusterSlot{SlotState::kMigrating, move.from, move.to};
      });
}

TopologyOutcome finish_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves) {
  return change_slots(topology, moves, is_migrating, [](const SlotMove& move) {
    return ClusterSlot{SlotState::kNormal, move.to, 0};
  });
}

TopologyOutcome lock_for_return(const ClusterTopology& topology,
                                const std::vector<SlotMove>& moves) {
  return change_slots(topology, moves, is_migrating, [](const SlotMove& move) {
    return ClusterSlot{SlotState::kLocked, move.to, 0};
  });
}

}  // namespace pikaproxy
