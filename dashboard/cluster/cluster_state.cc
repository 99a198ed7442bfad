#include "dashboard/cluster/cluster_state.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "common/slot_ranges.h"
#include "dashboard/cluster/promotion_state.h"

namespace pikaproxy {
namespace {

Refusal no_migration(uint64_t id) {
  return {Refusal::Kind::kNotFound, "not_found",
          "there is no migration " + std::to_string(id) +
              ": GET /api/v1/migrations lists those that are kept"};
}

Refusal wrong_state(const Migration& migration, const std::string& what) {
  return {Refusal::Kind::kConflict, "wrong_state",
          "migration " + std::to_string(migration.id) + " is " +
              std::string(migration_state_name(migration.state)) + ": " + what};
}

// Applies `change` to a copy of the migration.
template <typename Change>
StateOutcome with_migration(const ClusterState& state, uint64_t id, Change change) {
  const Migration* found = state.migration(id);
  if (found == nullptr) return no_migration(id);
  auto migration = std::make_shared<Migration>(*found);
  if (std::optional<Refusal> refusal = change(*migration)) return *refusal;
  ClusterState next = state;
  next.migrations[id] = std::move(migration);
  return next;
}

using ChangeOfSlots = TopologyOutcome (*)(const ClusterTopology&, const std::vector<SlotMove>&);

// Takes slots from one of the steps `from` to what `to` says, and the topology through `change`.
template <typename Next>
StateOutcome step_slots(const ClusterState& state, uint64_t id, const Slots& slots,
                        std::initializer_list<SlotStep> from, ChangeOfSlots change, Next to) {
  std::vector<SlotMove> moves;
  auto next = with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    if (migration.ended()) return wrong_state(migration, "it has ended");
    for (const SlotId slot : slots) {
      MigrationSlot* entry = migration.find(slot);
      if (entry == nullptr || std::find(from.begin(), from.end(), entry->step) == from.end()) {
        return Refusal{Refusal::Kind::kConflict, "wrong_step",
                       "slot " + std::to_string(slot) + " is " +
                           (entry == nullptr ? "not part of the migration"
                                             : std::string(slot_step_name(entry->step)))};
      }
      to(*entry);
      moves.push_back(entry->move());
    }
    return std::nullopt;
  });
  if (!next || change == nullptr) return next;
  auto topology = change(state.topology, moves);
  if (!topology) return topology.refusal();
  next->topology = std::move(*topology);
  return next;
}

void drop_oldest(ClusterState& state) {
  size_t ended = 0;
  for (const auto& [id, migration] : state.migrations) ended += migration->ended() ? 1 : 0;
  for (auto it = state.migrations.begin();
       it != state.migrations.end() && ended > kMigrationsKept;) {
    if (it->second->ended()) {
      it = state.migrations.erase(it);
      --ended;
    } else {
      ++it;
    }
  }
}

// A slot that nothing happens to, of this group: a promotion may have locked it.
bool is_at_rest(const ClusterState& state, const ClusterSlot& slot, uint32_t group) {
  if (slot == ClusterSlot{SlotState::kNormal, group, 0}) return true;
  const Promotion* promotion = promotion_of(state, group);
  return slot == ClusterSlot{SlotState::kLocked, group, 0} && promotion != nullptr &&
         promotion->holds_locks();
}

bool fits(const ClusterState& state, const MigrationSlot& entry) {
  const SlotMove move = entry.move();
  const ClusterSlot& slot = state.topology.slots[entry.slot];
  switch (entry.step) {
    case SlotStep::kPending:
      return is_at_rest(state, slot, move.from);
    case SlotStep::kPreparing:
      return slot == ClusterSlot{SlotState::kLocked, move.from, 0};
    case SlotStep::kMigrating:
      return !entry.back && slot == ClusterSlot{SlotState::kMigrating, move.from, move.to};
    case SlotStep::kReturning:
      return entry.back && slot == ClusterSlot{SlotState::kMigrating, move.from, move.to};
    case SlotStep::kFinishing:
    case SlotStep::kDone:
      return is_at_rest(state, slot, move.to);
    case SlotStep::kHeld:
    case SlotStep::kTargetStands:
    case SlotStep::kSourceStands:
      return slot == ClusterSlot{SlotState::kLocked, move.to, 0};
    case SlotStep::kCancelling:
      return !entry.back && (slot == ClusterSlot{SlotState::kLocked, move.to, 0} ||
                             slot == ClusterSlot{SlotState::kMigrating, move.from, move.to});
    case SlotStep::kDropped:
      return true;
  }
  return false;
}

std::optional<Refusal> promotion_under_way(const ClusterState& state, uint32_t group) {
  const Promotion* promotion = promotion_of(state, group);
  if (promotion == nullptr) return std::nullopt;
  return Refusal{Refusal::Kind::kConflict, "group_busy",
                 "promotion " + std::to_string(promotion->id) + " is under way in " +
                     state.topology.describe(group) + ": wait until it has ended"};
}

Refusal slot_busy(SlotId slot, const Migration& migration) {
  return {Refusal::Kind::kConflict, "slot_busy",
          "slot " + std::to_string(slot) + " is part of migration " + std::to_string(migration.id) +
              ": wait until that has ended, or cancel it",
          "/slots"};
}

// A migration lets go of its slots and groups when it fails; they may be others' by now.
std::optional<Refusal> lost_hold(const ClusterState& state, const Migration& failed) {
  for (const MigrationSlot& entry : failed.slots) {
    if (const Migration* other = state.migration_of(entry.slot)) {
      return slot_busy(entry.slot, *other);
    }
    if (!fits(state, entry)) {
      return wrong_state(failed, "its slots have been moved or assigned since, make a new one");
    }
    for (const uint32_t group : {entry.source, entry.target}) {
      if (auto refusal = promotion_under_way(state, group)) return refusal;
    }
    if (state.topology.group(entry.source) == nullptr ||
        state.topology.group(entry.target) == nullptr) {
      return wrong_state(failed, "a group that took part has been deleted, make a new one");
    }
  }
  return std::nullopt;
}

}  // namespace

const Migration* ClusterState::migration(uint64_t id) const {
  const auto found = migrations.find(id);
  return found == migrations.end() ? nullptr : found->second.get();
}

const Migration* ClusterState::migration_of(SlotId slot) const {
  for (const auto& [id, migration] : migrations) {
    if (!migration->ended() && migration->find(slot) != nullptr) return migration.get();
  }
  return nullptr;
}

std::string find_contradiction(const ClusterState& state) {
  if (std::string found = find_contradiction(state.topology); !found.empty()) return found;
  std::set<SlotId> taken;
  for (const auto& [id, migration] : state.migrations) {
    const std::string title = "migration " + std::to_string(id) + ": ";
    if (migration->ended() && migration->in_work() > 0)
      return title + "it ended with slots in work";
    if (migration->ended()) continue;
    for (const MigrationSlot& entry : migration->slots) {
      const std::string slot = "slot " + std::to_string(entry.slot);
      if (!taken.insert(entry.slot).second) return title + slot + " is in two migrations";
      if (!fits(state, entry)) {
        return title + slot + " is " + std::string(slot_step_name(entry.step)) +
               ", which its state in the topology does not go with";
      }
    }
  }
  for (const auto& [id, promotion] : state.promotions) {
    if (promotion->ended()) continue;
    const ClusterGroup* group = state.topology.group(promotion->group);
    if (group == nullptr || group->find(promotion->server) == nullptr) {
      return "promotion " + std::to_string(id) + " is of a server that its group does not have";
    }
  }
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const SlotState now = state.topology.slots[slot].state;
    const Promotion* promotion = promotion_of(state, state.topology.slots[slot].group);
    const bool is_promoted = promotion != nullptr && promotion->holds_locks();
    if (is_promoted && now != SlotState::kUnassigned && now != SlotState::kLocked) {
      return "slot " + std::to_string(slot) + " is " + std::string(slot_state_name(now)) +
             " during promotion " + std::to_string(promotion->id);
    }
    if ((now == SlotState::kLocked || now == SlotState::kMigrating) && !is_promoted &&
        taken.count(static_cast<SlotId>(slot)) == 0) {
      return "slot " + std::to_string(slot) + " is " + std::string(slot_state_name(now)) +
             " without a migration";
    }
  }
  return {};
}

StateOutcome change_topology(const ClusterState& state, const TopologyChange& change) {
  auto topology = change(state.topology);
  if (!topology) return topology.refusal();
  if (auto refusal = promotion_conflict(state, *topology)) return *refusal;
  for (const auto& [id, migration] : state.migrations) {
    if (migration->ended()) continue;
    const std::string busy = " takes part in migration " + std::to_string(id) +
                             ": wait until that has ended, or cancel it";
    for (const MigrationSlot& entry : migration->slots) {
      if (topology->slots[entry.slot] != state.topology.slots[entry.slot]) {
        return slot_busy(entry.slot, *migration);
      }
    }
    for (const auto& [gid, group] : state.topology.groups) {
      if (!migration->involves_group(gid)) continue;
      const ClusterGroup* changed = topology->group(gid);
      if (changed == nullptr || changed->master() != group.master() ||
          changed->username != group.username || changed->password != group.password) {
        return Refusal{Refusal::Kind::kConflict, "group_busy", state.topology.describe(gid) + busy};
      }
    }
  }
  ClusterState next = state;
  next.topology = std::move(*topology);
  return next;
}

ClusterState add_plan(const ClusterState& state, Plan plan, int64_t now) {
  ClusterState next = state;
  std::erase_if(next.plans, [now](const auto& entry) { return entry.second->expires_at <= now; });
  plan.id = next.next_plan_id++;
  next.plans[plan.id] = std::make_shared<const Plan>(std::move(plan));
  return next;
}

StateOutcome remove_plan(const ClusterState& state, uint64_t id) {
  ClusterState next = state;
  if (next.plans.erase(id) == 0) {
    return Refusal{Refusal::Kind::kNotFound, "not_found",
                   "there is no plan " + std::to_string(id) + ": plans go when they expire"};
  }
  return next;
}

Outcome<std::vector<SlotMove>> moves_of_plan(const ClusterState& state, uint64_t plan_id,
                                             int64_t now) {
  const auto found = state.plans.find(plan_id);
  if (found == state.plans.end()) {
    return Refusal{Refusal::Kind::kNotFound, "not_found",
                   "there is no plan " + std::to_string(plan_id) +
                       ": plans go when they expire; make a new one",
                   "/plan_id"};
  }
  const Plan& plan = *found->second;
  if (plan.expires_at <= now || plan.topology_version != state.topology.version) {
    return Refusal{Refusal::Kind::kStale, "stale_plan",
                   "plan " + std::to_string(plan_id) +
                       (plan.expires_at <= now
                            ? " has expired"
                            : " was made for version " + std::to_string(plan.topology_version) +
                                  " of the topology, which has version " +
                                  std::to_string(state.topology.version) + " by now") +
                       ": make a new one",
                   "/plan_id"};
  }
  std::vector<SlotMove> moves;
  for (const PlanMove& move : plan.moves) {
    for (const SlotId slot : move.slots) moves.push_back({slot, move.from, move.to});
  }
  return moves;
}

StateOutcome create_migration(const ClusterState& state, const MigrationRequest& request,
                              int64_t now) {
  if (request.moves.empty()) {
    return Refusal{Refusal::Kind::kImpossible, "nothing_to_move",
                   "there is nothing to move: name slots that the target does not have yet"};
  }
  if (request.parallel_slots < 1 || request.parallel_slots > Migration::kParallelSlotsMax) {
    return Refusal{Refusal::Kind::kImpossible, "invalid_value",
                   "parallel_slots is 1 to " + std::to_string(Migration::kParallelSlotsMax),
                   "/parallel_slots"};
  }
  auto migration = std::make_shared<Migration>();
  for (const SlotMove& move : request.moves) {
    const ClusterSlot& slot = state.topology.slots[move.slot];
    if (const Migration* other = state.migration_of(move.slot)) {
      return slot_busy(move.slot, *other);
    }
    if (state.topology.group(move.to) == nullptr) {
      return Refusal{Refusal::Kind::kImpossible, "invalid_value",
                     "there is no group " + std::to_string(move.to), "/target_group"};
    }
    const std::string title = "slot " + std::to_string(move.slot);
    if (slot.state == SlotState::kUnassigned) {
      return Refusal{Refusal::Kind::kImpossible, "slot_unassigned",
                     title +
                         " is not assigned: give it to the group with PUT "
                         "/api/v1/slots/assignment, there is nothing to move",
                     "/slots"};
    }
    if (slot.group != move.from || move.from == move.to) {
      return Refusal{Refusal::Kind::kImpossible, "invalid_value",
                     title + " is served by " + state.topology.describe(slot.group) +
                         " already, so it cannot be moved as asked for",
                     "/slots"};
    }
    for (const uint32_t group : {move.from, move.to}) {
      if (auto refusal = promotion_under_way(state, group)) return *refusal;
    }
    migration->slots.push_back({move.slot, move.from, move.to});
  }
  std::sort(migration->slots.begin(), migration->slots.end(),
            [](const MigrationSlot& a, const MigrationSlot& b) { return a.slot < b.slot; });
  const auto twice = std::adjacent_find(
      migration->slots.begin(), migration->slots.end(),
      [](const MigrationSlot& a, const MigrationSlot& b) { return a.slot == b.slot; });
  if (twice != migration->slots.end()) {
    return Refusal{Refusal::Kind::kImpossible, "invalid_value",
                   "slot " + std::to_string(twice->slot) + " is there twice", "/slots"};
  }
  ClusterState next = state;
  migration->id = next.next_migration_id++;
  migration->limits = request.limits;
  migration->parallel_slots = request.parallel_slots;
  migration->plan_id = request.plan_id;
  migration->created_by = request.created_by;
  migration->created_at = now;
  next.migrations[migration->id] = std::move(migration);
  drop_oldest(next);
  return next;
}

StateOutcome pause_migration(const ClusterState& state, uint64_t id) {
  return with_migration(state, id, [](Migration& migration) -> std::optional<Refusal> {
    if (migration.state != MigrationState::kPending &&
        migration.state != MigrationState::kRunning) {
      return wrong_state(migration, "only one that is pending or running can be paused");
    }
    migration.state = MigrationState::kPaused;
    return std::nullopt;
  });
}

StateOutcome resume_migration(const ClusterState& state, uint64_t id) {
  return with_migration(state, id, [](Migration& migration) -> std::optional<Refusal> {
    if (migration.state != MigrationState::kPaused) {
      return wrong_state(migration, "only one that is paused can be resumed");
    }
    migration.state =
        migration.started_at == 0 ? MigrationState::kPending : MigrationState::kRunning;
    return std::nullopt;
  });
}

StateOutcome cancel_migration(const ClusterState& state, uint64_t id, bool rollback) {
  const Migration* found = state.migration(id);
  if (found != nullptr && found->state == MigrationState::kFailed) {
    if (auto refusal = lost_hold(state, *found)) return *refusal;
  }
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    if (migration.state == MigrationState::kCancelling) {
      return wrong_state(migration, "GET shows how far that has got");
    }
    if (migration.ended() && migration.state != MigrationState::kFailed) {
      return wrong_state(migration,
                         "it has ended; to move slots back, make a migration of its own");
    }
    migration.state = MigrationState::kCancelling;
    migration.rollback = rollback;
    migration.ended_at = 0;
    migration.error.clear();
    return std::nullopt;
  });
}

StateOutcome retry_migration(const ClusterState& state, uint64_t id) {
  const Migration* found = state.migration(id);
  if (found == nullptr) return no_migration(id);
  if (found->state == MigrationState::kRunning || found->state == MigrationState::kCancelling) {
    return state;
  }
  if (found->state != MigrationState::kFailed) {
    return wrong_state(*found, "only one that failed, runs or is being cancelled can be retried");
  }
  if (auto refusal = lost_hold(state, *found)) return *refusal;
  return with_migration(state, id, [](Migration& migration) -> std::optional<Refusal> {
    migration.state = MigrationState::kRunning;
    migration.ended_at = 0;
    migration.error.clear();
    return std::nullopt;
  });
}

StateOutcome set_migration_limits(const ClusterState& state, uint64_t id, MoveLimits limits,
                                  uint32_t parallel_slots) {
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    if (migration.ended()) return wrong_state(migration, "it cannot be changed any more");
    if (parallel_slots < 1 || parallel_slots > Migration::kParallelSlotsMax) {
      return Refusal{Refusal::Kind::kImpossible, "invalid_value",
                     "parallel_slots is 1 to " + std::to_string(Migration::kParallelSlotsMax),
                     "/parallel_slots"};
    }
    migration.limits = limits;
    migration.parallel_slots = parallel_slots;
    return std::nullopt;
  });
}

StateOutcome start_migration(const ClusterState& state, uint64_t id, int64_t now) {
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    if (migration.state != MigrationState::kPending) return wrong_state(migration, "not pending");
    migration.state = MigrationState::kRunning;
    migration.started_at = now;
    return std::nullopt;
  });
}

StateOutcome set_mover(const ClusterState& state, uint64_t id, GroupPair way, MoverKind mover) {
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    migration.movers.emplace(way, mover);
    return std::nullopt;
  });
}

StateOutcome add_warning(const ClusterState& state, uint64_t id, const std::string& text) {
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    if (migration.warnings.size() < Migration::kWarningsMax) migration.warnings.push_back(text);
    return std::nullopt;
  });
}

StateOutcome add_moved(const ClusterState& state, uint64_t id, uint64_t keys, uint64_t bytes) {
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    migration.keys_moved += keys;
    migration.bytes_moved += bytes;
    return std::nullopt;
  });
}

StateOutcome prepare_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kPending}, lock_slots,
                    [](MigrationSlot& entry) { entry.step = SlotStep::kPreparing; });
}

StateOutcome revert_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kPreparing}, unlock_slots,
                    [](MigrationSlot& entry) { entry.step = SlotStep::kPending; });
}

StateOutcome move_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kPreparing}, switch_slots,
                    [](MigrationSlot& entry) {
                      entry.step = entry.back ? SlotStep::kReturning : SlotStep::kMigrating;
                    });
}

StateOutcome settle_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kMigrating, SlotStep::kReturning}, finish_slots,
                    [](MigrationSlot& entry) { entry.step = SlotStep::kFinishing; });
}

StateOutcome complete_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kFinishing}, nullptr,
                    [](MigrationSlot& entry) { entry.step = SlotStep::kDone; });
}

StateOutcome lock_cancelled_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kMigrating, SlotStep::kCancelling},
                    lock_for_return,
                    [](MigrationSlot& entry) { entry.step = SlotStep::kCancelling; });
}

StateOutcome unlock_cancelled_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kCancelling}, switch_slots, [](MigrationSlot&) {});
}

StateOutcome return_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots, {SlotStep::kCancelling}, switch_slots,
                    [](MigrationSlot& entry) {
                      entry.step = SlotStep::kReturning;
                      entry.back = true;
                    });
}

StateOutcome hold_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots,
                    {SlotStep::kMigrating, SlotStep::kReturning, SlotStep::kCancelling},
                    lock_for_return, [](MigrationSlot& entry) { entry.step = SlotStep::kHeld; });
}

StateOutcome judge_slots(const ClusterState& state, uint64_t id, const Slots& slots,
                         SlotStep stands) {
  return step_slots(state, id, slots, {SlotStep::kHeld}, nullptr,
                    [stands](MigrationSlot& entry) { entry.step = stands; });
}

StateOutcome release_slots(const ClusterState& state, uint64_t id, const Slots& slots) {
  return step_slots(state, id, slots,
                    {SlotStep::kHeld, SlotStep::kTargetStands, SlotStep::kSourceStands},
                    switch_slots, [](MigrationSlot& entry) {
                      entry.step = entry.back ? SlotStep::kReturning : SlotStep::kMigrating;
                    });
}

StateOutcome sort_out_cancelled(const ClusterState& state, uint64_t id) {
  const Migration* found = state.migration(id);
  if (found == nullptr) return no_migration(id);
  auto migration = std::make_shared<Migration>(*found);
  for (MigrationSlot& entry : migration->slots) {
    if (entry.back) continue;
    if (entry.step == SlotStep::kPending) entry.step = SlotStep::kDropped;
    if (entry.step == SlotStep::kDone && migration->rollback) {
      entry.step = SlotStep::kPending;
      entry.back = true;
    }
  }
  if (migration->state != MigrationState::kCancelling || *migration == *found) return state;
  ClusterState next = state;
  next.migrations[id] = std::move(migration);
  return next;
}

StateOutcome end_migration(const ClusterState& state, uint64_t id, const std::string& error,
                           int64_t now) {
  return with_migration(state, id, [&](Migration& migration) -> std::optional<Refusal> {
    if (migration.ended()) return wrong_state(migration, "it has ended before");
    if (migration.in_work() > 0) return wrong_state(migration, "slots of it are in work");
    if (error.empty() && migration.count(SlotStep::kPending) > 0) {
      return wrong_state(migration, "slots of it are pending");
    }
    migration.error = error;
    migration.ended_at = now;
    migration.state = !error.empty()                                   ? MigrationState::kFailed
                      : migration.state == MigrationState::kCancelling ? MigrationState::kCancelled
                                                                       : MigrationState::kSucceeded;
    return std::nullopt;
  });
}

}  // namespace pikaproxy
