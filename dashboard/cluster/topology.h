#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/address.h"
#include "common/slot.h"
#include "common/slot_table.h"
#include "dashboard/cluster/refusal.h"

namespace pikaproxy {

// What the cluster consists of, and every way in which that may change. Values and pure functions:
// a change takes a topology and returns the next one, whose version is higher by one, or refuses.
// Who calls them, writes the result to disk and pushes it to proxies is Controller.

struct ClusterServer {
  Address address;
  bool is_master = false;

  bool operator==(const ClusterServer&) const = default;
};

// Servers that hold the same keys: one master and its replicas.
struct ClusterGroup {
  static constexpr uint32_t kIdMax = 9999;
  static constexpr uint32_t kWeightMax = 1000;

  uint32_t id = 0;  // 1..kIdMax, for the life of the group.
  std::string name;
  std::string username;                // Of its servers; empty = "default".
  std::string password;                // Empty = no AUTH.
  uint32_t weight = 1;                 // Its share when slots are balanced; 0 = none.
  std::vector<ClusterServer> servers;  // Exactly one is the master.

  const Address& master() const;
  const ClusterServer* find(const Address& address) const;

  bool operator==(const ClusterGroup&) const = default;
};

// Who serves a slot; groups by id, 0 = none. The states are those of SlotEntry.
struct ClusterSlot {
  SlotState state = SlotState::kUnassigned;
  uint32_t group = 0;
  uint32_t target = 0;

  // The group that serves it, or will once its migration is done.
  uint32_t owner() const noexcept { return state == SlotState::kMigrating ? target : group; }

  bool operator==(const ClusterSlot&) const = default;
};

struct ClusterTopology {
  uint64_t version = 0;
  std::map<uint32_t, ClusterGroup> groups;
  std::array<ClusterSlot, kSlotCount> slots;

  const ClusterGroup* group(uint32_t id) const;
  // The group that has this server, or nullptr.
  const ClusterGroup* group_of(const Address& server) const;
  // Slots that name the group as their group or target.
  size_t slots_of(uint32_t id) const;
  // "group 3 (cache)", or "group 3".
  std::string describe(uint32_t id) const;

  bool operator==(const ClusterTopology&) const = default;
};

using TopologyOutcome = Outcome<ClusterTopology>;

// Names of slot states in the API and the store: "unassigned", "normal", "locked", "migrating".
std::string_view slot_state_name(SlotState state) noexcept;
std::optional<SlotState> slot_state_named(std::string_view name) noexcept;

// The table that proxies follow: epoch = version, groups in the order of their ids.
SlotTable slot_view(const ClusterTopology& topology);

// Empty, or the first sentence about what is wrong: no or two masters, a server in two groups, a
// slot of a group that does not exist ... Every change keeps it empty.
std::string find_contradiction(const ClusterTopology& topology);

// ---- Groups ----

struct GroupSpec {
  std::optional<uint32_t> id;  // None: the lowest that is free.
  std::string name;            // Empty: "group-<id>".
  std::string username;
  std::string password;
  uint32_t weight = 1;
  Address master;
  std::vector<Address> replicas;
};
// The id that a group made from `spec` gets, or 0 if none is free.
uint32_t id_for(const ClusterTopology& topology, const GroupSpec& spec);
TopologyOutcome create_group(const ClusterTopology& topology, const GroupSpec& spec);

// What is not set stays.
struct GroupPatch {
  std::optional<std::string> name;
  std::optional<std::string> username;
  std::optional<std::string> password;
  std::optional<uint32_t> weight;
};
TopologyOutcome patch_group(const ClusterTopology& topology, uint32_t id, const GroupPatch& patch);

// Refused while a slot names the group.
TopologyOutcome delete_group(const ClusterTopology& topology, uint32_t id);

TopologyOutcome add_server(const ClusterTopology& topology, uint32_t id, const Address& server);
// Not the master.
TopologyOutcome remove_server(const ClusterTopology& topology, uint32_t id, const Address& server);
TopologyOutcome set_master(const ClusterTopology& topology, uint32_t id, const Address& server);

// ---- Slots ----

struct SlotAssignment {
  SlotId slot = 0;
  uint32_t group = 0;
};
// Gives slots to groups, moves no key. A slot that another group owns is refused unless `force`;
// one that is locked or migrating always is.
TopologyOutcome assign_slots(const ClusterTopology& topology,
                             const std::vector<SlotAssignment>& assignments, bool force);

// A slot's way from one group to another; see docs/slot-migration.md. The functions below are all
// or nothing: one slot in another state refuses the whole.
struct SlotMove {
  SlotId slot = 0;
  uint32_t from = 0;
  uint32_t to = 0;

  bool operator==(const SlotMove&) const = default;
};
// normal(from) -> locked(from).
TopologyOutcome lock_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves);
// locked(from) -> normal(from).
TopologyOutcome unlock_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves);
// locked(from) or locked(to) -> migrating(from -> to).
TopologyOutcome switch_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves);
// migrating(from -> to) -> normal(to).
TopologyOutcome finish_slots(const ClusterTopology& topology, const std::vector<SlotMove>& moves);
// migrating(from -> to) -> locked(to): requests go to `to` by now, so that is where they have to
// come to an end before the direction may change.
TopologyOutcome lock_for_return(const ClusterTopology& topology,
                                const std::vector<SlotMove>& moves);

}  // namespace pikaproxy
