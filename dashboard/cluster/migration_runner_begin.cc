#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/sabotage.h"
#include "dashboard/cluster/migration_runner.h"
#include "dashboard/cluster/slot_moves.h"

namespace pikaproxy {

// The steps before a slot is on its way: look at both servers, lock, switch.

bool MigrationRunner::take_up(const Migration& migration) {
  if (fatal_ && migration.state == MigrationState::kRunning) return false;
  if (migration.state != MigrationState::kRunning &&
      migration.state != MigrationState::kCancelling) {
    return false;
  }
  const size_t in_work = migration.in_work();
  const size_t room =
      migration.parallel_slots - std::min<size_t>(in_work, migration.parallel_slots);
  // Slots end one by one; locking each successor by itself would be a table for each.
  if (room == 0 || (in_work > 0 && room < migration.parallel_slots / 4)) return false;
  if (!pauses_.may_try(kLocking) || !pauses_.may_try(kStoring)) return false;

  std::map<GroupPair, Slots> unchecked;
  for (const MigrationSlot& entry : migration.slots) {
    if (entry.step == SlotStep::kPending && checked_.count(entry.slot) == 0) {
      unchecked[way_of(entry.move())].push_back(entry.slot);
    }
  }
  bool done = false;
  for (const auto& [way, slots] : unchecked) {
    if (pauses_.may_try("check " + name_of(way)) && !stopping())
      done = check_way(way, slots) || done;
  }
  Slots batch;
  for (const MigrationSlot& entry : migration.slots) {
    if (entry.step != SlotStep::kPending || checked_.count(entry.slot) == 0) continue;
    if (batch.size() < room) batch.push_back(entry.slot);
  }
  if (!batch.empty() && !stopping()) done = lock_and_switch(batch) || done;
  return done;
}

std::optional<MoverKind> MigrationRunner::find_mover(GroupPair way, const ServerAccess& source,
                                                     const ServerAccess& target) {
  const std::string what = "check " + name_of(way);
  const ServerTools& tools = controller_.tools();
  ServerFacts facts[2];
  const ServerAccess* servers[] = {&source, &target};
  for (size_t i = 0; i < 2; ++i) {
    const std::string title = servers[i]->address.to_string();
    auto answer = tools.ask(*servers[i], controller_.options().ask_timeout);
    if (!answer) {
      pause(what, answer.error());
      return std::nullopt;
    }
    facts[i] = std::move(*answer);
    if (!facts[i].is_master) {
      pause(what, title + " is a replica of " + facts[i].master_addr +
                      ": make the group's master a master again, or promote another server");
      return std::nullopt;
    }
    if (facts[i].loading) {
      pause(what, title + " is loading its data: wait until that is done");
      return std::nullopt;
    }
  }
  const auto state = controller_.state();
  const Migration& migration = *state->migration(id_);
  if (!facts[0].run_id.empty() && facts[0].run_id == facts[1].run_id) {
    const std::string error = source.address.to_string() + " and " + target.address.to_string() +
                              " are one server: correct the groups' servers";
    pause(what, error);
    if (migration.state == MigrationState::kRunning) fatal_ = error;
    return std::nullopt;
  }
  knows_run_ids_ = !facts[0].run_id.empty() && !facts[1].run_id.empty();
  if (const auto found = migration.movers.find(way); found != migration.movers.end()) {
    return found->second;
  }
  const auto mover = tools.choose(facts[0], facts[1]);
  if (!mover) {
    pause(what, mover.error());
    if (migration.state == MigrationState::kRunning) fatal_ = mover.error();
    return std::nullopt;
  }
  const MoverKind kind = *mover;
  if (!decide([&](const ClusterState& now) { return set_mover(now, id_, way, kind); }, {})) {
    return std::nullopt;
  }
  return kind;
}

bool MigrationRunner::check_way(GroupPair way, const Slots& slots) {
  reached(StopPoint::kCheckStarted);
  const std::string what = "check " + name_of(way);
  const auto state = controller_.state();
  const ServerAccess source = Controller::master_of(state->topology, way.first);
  const ServerAccess target = Controller::master_of(state->topology, way.second);
  if (!find_mover(way, source, target)) return false;
  const ServerTools& tools = controller_.tools();
  const auto strays = tools.count(target, slots);
  if (!strays) {
    pause(what, strays.error());
    return false;
  }
  uint64_t stray_keys = 0;
  for (const auto& [slot, count] : *strays) stray_keys += count.keys;
  if (stray_keys > 0 && !knows_run_ids_) {
    // Two names of one server would make us delete what we are about to move.
    const auto originals = tools.count(source, slots);
    if (!originals) {
      pause(what, originals.error());
      return false;
    }
    const bool same = std::all_of(strays->begin(), strays->end(), [&](const auto& each) {
      const auto found = originals->find(each.first);
      return found != originals->end() && found->second.keys == each.second.keys;
    });
    if (same && strays->size() == originals->size()) {
      const std::string error =
          target.address.to_string() + " has exactly as many keys of slots " + ranges_of(slots) +
          " as " + source.address.to_string() +
          ", so they may be one server or copies of each other: if they are not, delete these "
          "keys at the target, then retry";
      pause(what, error);
      if (state->migration(id_)->state == MigrationState::kRunning) fatal_ = error;
      return false;
    }
  }
  if (stray_keys > 0) {
    const std::string warning =
        target.address.to_string() + " has " + std::to_string(stray_keys) + " keys of slots " +
        ranges_of(slots) + ", which it does not own; they are left from before and are deleted";
    log_warn("migration", "id", id_, "warning", warning);
    if (!decide([&](const ClusterState& now) { return add_warning(now, id_, warning); }, {})) {
      return false;
    }
    const auto purged = tools.purge(target, slots);
    if (!purged) {
      pause(what, purged.error());
      return false;
    }
  }
  pauses_.clear(what);
  checked_.insert(slots.begin(), slots.end());
  reached(StopPoint::kCheckDone);
  return true;
}

bool MigrationRunner::lock_and_switch(const Slots& slots) {
  reached(StopPoint::kPreparingDecided);
  const auto goes_on = [this](const ClusterState& state) {
    const MigrationState now = state.migration(id_)->state;
    return now == MigrationState::kRunning || now == MigrationState::kCancelling;
  };
  const Refusal stopped{Refusal::Kind::kConflict, "wrong_state", "the migration was stopped"};
  const auto locked = controller_.decide(
      [&](const ClusterState& state) -> StateOutcome {
        if (!goes_on(state)) return stopped;
        return prepare_slots(state, id_, slots);
      },
      {.persisted = StopPoint::kPreparingPersisted, .pushed = StopPoint::kPreparingPushed});
  if (!locked) {
    if (locked.refusal().kind == Refusal::Kind::kStore) pause(kStoring, locked.refusal().message);
    return false;
  }
  pauses_.clear(kStoring);
  const uint64_t version = (*locked)->topology.version;
  const auto timeout = controller_.options().lock_timeout();
  const std::string missing = is_sabotaged(Sabotage::kNoLock)
                                  ? std::string()
                                  : controller_.publisher_->wait(version, timeout);
  if (stopping()) return false;
  bool switched = false;
  if (missing.empty()) {
    reached(StopPoint::kPreparingAcknowledged);
    const std::vector<SlotMove> moves = moves_of(*(*locked)->migration(id_), slots);
    switched = decide(
        [&](const ClusterState& state) -> StateOutcome {
          const Migration& now = *state.migration(id_);
          // What was begun to go forward does not when the migration was cancelled meanwhile.
          const bool wrong_way = now.state == MigrationState::kCancelling &&
                                 std::any_of(slots.begin(), slots.end(),
                                             [&](SlotId slot) { return !now.find(slot)->back; });
          if (!goes_on(state) || wrong_way) return stopped;
          return move_slots(state, id_, slots);
        },
        {.before_push =
             [&] {
               const auto state = controller_.state();
               tell_engine(*state->migration(id_), state->topology, moves);
               reached(StopPoint::kMigratingTold);
             },
         .persisted = StopPoint::kMigratingPersisted,
         .pushed = StopPoint::kMigratingPushed});
    if (switched) {
      pauses_.clear(kLocking);
      return true;
    }
  }
  const bool reverted = decide_surely(
      [&](const ClusterState& state) { return revert_slots(state, id_, slots); },
      {.persisted = StopPoint::kRevertingPersisted, .pushed = StopPoint::kRevertingPushed});
  if (!missing.empty() && reverted) {
    // The newer table has ended the wait of those who were late; now they say what for.
    controller_.publisher_->wait(controller_.state()->topology.version, timeout);
    const std::string reason = controller_.publisher_->reason(version);
    pause(kLocking, missing + " did not come to the end of its requests for slots " +
                        ranges_of(slots) + " within " + std::to_string(timeout.count()) + " ms" +
                        (reason.empty() ? "" : " (" + reason + ")") +
                        ": the slots go on as before, locking them is tried again");
  }
  return true;
}

}  // namespace pikaproxy
