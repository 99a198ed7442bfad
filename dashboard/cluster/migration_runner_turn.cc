#include <utility>

#include "dashboard/cluster/migration_runner.h"
#include "dashboard/cluster/slot_moves.h"

namespace pikaproxy {

// A cancelled migration: what is on its way turns round.

bool MigrationRunner::turn_back(const Migration& migration) {
  if (migration.state != MigrationState::kCancelling || !migration.rollback) return false;
  if (!pauses_.may_try(kTurning) || !pauses_.may_try(kStoring)) return false;
  std::map<GroupPair, Slots> by_way;
  for (const MigrationSlot& entry : migration.slots) {
    if (entry.back) continue;
    if (entry.step == SlotStep::kMigrating || entry.step == SlotStep::kCancelling) {
      by_way[way_of(entry.move())].push_back(entry.slot);
    }
  }
  bool done = false;
  for (const auto& [way, slots] : by_way) {
    if (stopping()) return false;
    done = go_back(way, slots) || done;
  }
  return done;
}

bool MigrationRunner::go_back(GroupPair way, const Slots& slots) {
  const auto state = controller_.state();
  const ServerAccess source = Controller::master_of(state->topology, way.first);
  const ServerAccess target = Controller::master_of(state->topology, way.second);
  const GroupPair way_back = {way.second, way.first};
  const std::string check_back = "check " + name_of(way_back);
  if (!pauses_.may_try(check_back)) return false;
  if (!find_mover(way_back, target, source)) return false;
  pauses_.clear(check_back);

  uint64_t job = 0;
  {
    const std::lock_guard lock(mutex_);
    job = jobs_.at(way).id;
  }
  MoveEngine& engine = *controller_.engine_;
  Slots both_ends;
  for (const SlotId slot : slots) {
    if (inherited_.count(slot) > 0) both_ends.push_back(slot);
  }
  if (!both_ends.empty()) {
    // A failure before this process began may have left keys at both ends. Which copy stands
    // depends on the direction, so that has to be settled before it changes.
    const std::string error = wait_for_engine([&](std::function<void(std::string)> answer) {
      engine.reconcile(job, both_ends, std::nullopt, std::move(answer));
    });
    if (!error.empty()) {
      pause(kTurning, error);
      return false;
    }
    for (const SlotId slot : both_ends) inherited_.erase(slot);
  }

  const auto locked = controller_.decide(
      [&](const ClusterState& now) { return lock_cancelled_slots(now, id_, slots); },
      {.before_push = [&] { engine.set_background(job, false); },
       .persisted = StopPoint::kCancellingPersisted,
       .pushed = StopPoint::kCancellingPushed});
  if (!locked) {
    pause(kStoring, locked.refusal().message);
    return false;
  }
  pauses_.clear(kStoring);
  const auto timeout = controller_.options().lock_timeout();
  const uint64_t version = (*locked)->topology.version;
  const std::string missing = controller_.publisher_->wait(version, timeout);
  if (stopping()) return false;
  std::string problem;
  if (missing.empty()) {
    reached(StopPoint::kCancellingAcknowledged);
    problem = wait_for_engine([&](std::function<void(std::string)> answer) {
      engine.remove_slots(job, slots, std::move(answer));
    });
    if (stopping()) return false;
  } else {
    problem = missing + " did not come to the end of its requests for slots " + ranges_of(slots) +
              " within " + std::to_string(timeout.count()) +
              " ms: turning them round is tried again";
  }
  if (!problem.empty()) {
    decide_surely(
        [&](const ClusterState& now) { return unlock_cancelled_slots(now, id_, slots); },
        {.persisted = StopPoint::kRevertingPersisted, .pushed = StopPoint::kRevertingPushed});
    pause(kTurning, problem);
    return true;
  }
  reached(StopPoint::kCancellingForgotten);
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : slots) clean_.erase(slot);
  }
  take_from_jobs(moves_of(*(*locked)->migration(id_), slots));
  const bool returning =
      decide_surely([&](const ClusterState& now) { return return_slots(now, id_, slots); },
                    {.before_push =
                         [&] {
                           const auto now = controller_.state();
                           const Migration& turned = *now->migration(id_);
                           tell_engine(turned, now->topology, moves_of(turned, slots));
                           reached(StopPoint::kReturningTold);
                         },
                     .persisted = StopPoint::kReturningPersisted,
                     .pushed = StopPoint::kReturningPushed});
  if (returning) pauses_.clear(kTurning);
  return true;
}

}  // namespace pikaproxy
