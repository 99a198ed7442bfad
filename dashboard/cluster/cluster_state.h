#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dashboard/cluster/migration.h"
#include "dashboard/cluster/plan.h"
#include "dashboard/cluster/promotion.h"
#include "dashboard/cluster/topology.h"

namespace pikaproxy {

// Everything that the controller decides about, as one immutable value. A decision is a pure
// function from a state to the next one; Controller makes it come true.
struct ClusterState {
  ClusterTopology topology;
  std::map<uint64_t, std::shared_ptr<const Migration>> migrations;  // Ended ones too.
  std::map<uint64_t, std::shared_ptr<const Plan>> plans;
  std::map<uint64_t, std::shared_ptr<const Promotion>> promotions;  // Ended ones too.
  uint64_t next_migration_id = 1;
  uint64_t next_plan_id = 1;
  uint64_t next_promotion_id = 1;

  const Migration* migration(uint64_t id) const;
  // The migration that has not ended and has this slot; nullptr: none.
  const Migration* migration_of(SlotId slot) const;
};

using StateOutcome = Outcome<ClusterState>;

// Migrations that have ended are kept up to this number; then the oldest go.
inline constexpr size_t kMigrationsKept = 1000;

// As for ClusterTopology, and between topology and migrations: the step of each slot of a migration
// that has not ended goes with the slot's state, and no two such migrations share a slot.
std::string find_contradiction(const ClusterState& state);

// A change of the topology by an operator. Refused if it touches a slot of a migration that has not
// ended, or removes a group that takes part in one, or changes how its master is reached.
using TopologyChange = std::function<TopologyOutcome(const ClusterTopology&)>;
StateOutcome change_topology(const ClusterState& state, const TopologyChange& change);

// ---- Plans ----

// Stores `plan` under the next id. Expired ones go.
ClusterState add_plan(const ClusterState& state, Plan plan, int64_t now);
StateOutcome remove_plan(const ClusterState& state, uint64_t id);

// ---- Migrations, as operators ask for ----

struct MigrationRequest {
  std::vector<SlotMove> moves;
  MoveLimits limits;
  uint32_t parallel_slots = Migration::kParallelSlotsDefault;
  uint64_t plan_id = 0;
  std::string created_by;
};
// What a plan moves; refused if the plan has expired or the topology has changed since.
Outcome<std::vector<SlotMove>> moves_of_plan(const ClusterState& state, uint64_t plan_id,
                                             int64_t now);
// Its id is next_migration_id of the state before.
StateOutcome create_migration(const ClusterState& state, const MigrationRequest& request,
                              int64_t now);
StateOutcome pause_migration(const ClusterState& state, uint64_t id);
StateOutcome resume_migration(const ClusterState& state, uint64_t id);
// `rollback`: what has moved goes back; otherwise slots in work are finished, and no further begun.
StateOutcome cancel_migration(const ClusterState& state, uint64_t id, bool rollback);
// A failed one goes on. (What is running is left as it is: its pauses are the runner's.)
StateOutcome retry_migration(const ClusterState& state, uint64_t id);
StateOutcome set_migration_limits(const ClusterState& state, uint64_t id, MoveLimits limits,
                                  uint32_t parallel_slots);

// ---- Migrations, as their runners do ----
// The slots are of migration `id` and go on together: all or none.

using Slots = std::vector<SlotId>;

StateOutcome start_migration(const ClusterState& state, uint64_t id, int64_t now);
StateOutcome set_mover(const ClusterState& state, uint64_t id, GroupPair way, MoverKind mover);
StateOutcome add_warning(const ClusterState& state, uint64_t id, const std::string& text);
StateOutcome add_moved(const ClusterState& state, uint64_t id, uint64_t keys, uint64_t bytes);
// pending -> preparing, locked.
StateOutcome prepare_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// preparing -> pending, normal again.
StateOutcome revert_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// preparing -> migrating, or returning on the way back.
StateOutcome move_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// migrating or returning -> finishing, normal at its new group.
StateOutcome settle_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// finishing -> done.
StateOutcome complete_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// migrating or cancelling -> cancelling, locked.
StateOutcome lock_cancelled_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// cancelling stays; the slot migrates as before, so that its requests go on.
StateOutcome unlock_cancelled_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// cancelling -> returning, migrating the other way.
StateOutcome return_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// migrating, returning or cancelling -> held, locked.
StateOutcome hold_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// held -> target_stands or source_stands.
StateOutcome judge_slots(const ClusterState& state, uint64_t id, const Slots& slots,
                         SlotStep stands);
// held and alike -> migrating, or returning.
StateOutcome release_slots(const ClusterState& state, uint64_t id, const Slots& slots);
// Of a migration that is being cancelled: pending -> dropped, and with rollback done -> pending on
// the way back. The state itself when there is nothing to do.
StateOutcome sort_out_cancelled(const ClusterState& state, uint64_t id);
// When no slot is in work: cancelled or succeeded, or failed with `error`.
StateOutcome end_migration(const ClusterState& state, uint64_t id, const std::string& error,
                           int64_t now);

}  // namespace pikaproxy
