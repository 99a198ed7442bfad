#include <algorithm>
#include <iterator>
#include <utility>

#include "dashboard/cluster/migration_runner.h"
#include "dashboard/cluster/promotion_state.h"
#include "dashboard/cluster/slot_moves.h"

namespace pikaproxy {

// What stands still while a group gets another master, and how it goes on.

bool MigrationRunner::is_held_for(uint64_t promotion) const {
  const std::lock_guard lock(mutex_);
  return held_for_.count(promotion) > 0;
}

std::string MigrationRunner::hold_problem() const {
  const std::string problem = pauses_.problem(kHolding);
  return problem.empty() ? pauses_.problem(kForgetting) : problem;
}

bool MigrationRunner::hold(const ClusterState& state) {
  const Migration& migration = *state.migration(id_);
  std::set<uint64_t> holders;
  std::set<uint64_t> busy;  // Of them.
  std::map<GroupPair, Slots> moving;
  std::map<GroupPair, Slots> unjudged;
  for (const MigrationSlot& entry : migration.slots) {
    const Promotion* holder = holder_of(state, entry.source, entry.target);
    if (holder == nullptr) continue;
    holders.insert(holder->id);
    const GroupPair way = way_of(entry.move());
    switch (entry.step) {
      case SlotStep::kMigrating:
      case SlotStep::kReturning:
      case SlotStep::kCancelling:
        moving[way].push_back(entry.slot);
        busy.insert(holder->id);
        break;
      case SlotStep::kHeld:
        // Held for another promotion before, or by the process before.
        if (holder->force) unjudged[way].push_back(entry.slot);
        break;
      case SlotStep::kFinishing:
        busy.insert(holder->id);
        break;
      default:
        break;
    }
  }
  bool done = false;
  for (const auto& [way, slots] : unjudged) {
    judge(state, way, slots);
    done = true;
  }
  if (!moving.empty() && pauses_.may_try(kHolding) && pauses_.may_try(kStoring)) {
    done = hold_ways(state, moving) || done;
  }
  const std::lock_guard lock(mutex_);
  held_for_.clear();
  if (!done) {
    std::set_difference(holders.begin(), holders.end(), busy.begin(), busy.end(),
                        std::inserter(held_for_, held_for_.end()));
  }
  return done;
}

// Which copy of a key stands when both groups have it, now that a master is lost. Its replica may
// have missed that a key had gone, or come; what clients were told of is at the other end. But a
// copy that an earlier process was making may not be whole, and nobody knows which these are.
void MigrationRunner::judge(const ClusterState& state, GroupPair way, const Slots& slots) {
  const Migration& migration = *state.migration(id_);
  const auto mover = migration.movers.find(way);
  const bool is_copied = mover == migration.movers.end() || mover->second == MoverKind::kCopy;
  const bool source_lost = lost_end(state, way) == RouteEnd::kSource;
  Slots at_target;
  Slots at_source;
  for (const SlotId slot : slots) {
    const bool may_be_partial = is_copied && inherited_.count(slot) > 0;
    (source_lost && !may_be_partial ? at_target : at_source).push_back(slot);
  }
  decide_surely(
      [&](const ClusterState& now) -> StateOutcome {
        StateOutcome next = judge_slots(now, id_, at_target, SlotStep::kTargetStands);
        return next ? judge_slots(*next, id_, at_source, SlotStep::kSourceStands) : next;
      },
      {});
}

bool MigrationRunner::hold_ways(const ClusterState& state,
                                const std::map<GroupPair, Slots>& by_way) {
  Slots all;
  bool is_patient = false;  // Somebody must have come to an end.
  for (const auto& [way, slots] : by_way) {
    all.insert(all.end(), slots.begin(), slots.end());
    is_patient |= !lost_end(state, way);
  }
  const auto locked = controller_.decide(
      [&](const ClusterState& now) { return hold_slots(now, id_, all); },
      {.persisted = StopPoint::kHoldPersisted, .pushed = StopPoint::kHoldPushed});
  if (!locked) {
    pause(kStoring, locked.refusal().message);
    return false;
  }
  const auto timeout = controller_.options().lock_timeout();
  const std::string missing = controller_.publisher_->wait((*locked)->topology.version, timeout);
  if (stopping()) return false;
  std::string problem;
  if (!missing.empty() && is_patient) {
    problem = missing + " did not come to the end of its requests for slots " + ranges_of(all) +
              " within " + std::to_string(timeout.count()) + " ms";
  }
  Slots still_moving;
  for (const auto& each : by_way) {
    const GroupPair way = each.first;
    const Slots& slots = each.second;
    std::string error = problem;
    if (error.empty()) {
      uint64_t job = 0;
      {
        const std::lock_guard lock(mutex_);
        job = jobs_.at(way).id;
      }
      const auto lost = lost_end(state, way);
      error = wait_for_engine([&](std::function<void(std::string)> answer) {
        if (lost) {
          controller_.engine_->abandon_slots(job, slots, *lost, std::move(answer));
        } else {
          controller_.engine_->remove_slots(job, slots, std::move(answer));
        }
      });
      if (stopping()) return false;
    }
    if (!error.empty()) {
      problem = error;
      still_moving.insert(still_moving.end(), slots.begin(), slots.end());
      continue;
    }
    reached(StopPoint::kHoldSettled);
    {
      const std::lock_guard lock(mutex_);
      for (const SlotId slot : slots) clean_.erase(slot);
    }
    take_from_jobs(moves_of(*(*locked)->migration(id_), slots));
    if (lost_end(state, way)) judge(state, way, slots);
  }
  if (problem.empty()) {
    pauses_.clear(kHolding);
    return true;
  }
  decide_surely([&](const ClusterState& now) { return release_slots(now, id_, still_moving); }, {});
  pause(kHolding, problem);
  return true;
}

bool MigrationRunner::release(const ClusterState& state) {
  const Migration& migration = *state.migration(id_);
  if (!pauses_.may_try(kHolding) || !pauses_.may_try(kStoring)) return false;
  // Where a copy has to go first, nothing may move yet.
  constexpr std::pair<SlotStep, std::optional<RouteEnd>> kKinds[] = {
      {SlotStep::kTargetStands, RouteEnd::kTarget},
      {SlotStep::kSourceStands, RouteEnd::kSource},
      {SlotStep::kHeld, std::nullopt}};
  bool done = false;
  for (const auto& kind : kKinds) {
    const std::optional<RouteEnd> stands = kind.second;
    std::map<GroupPair, Slots> by_way;
    for (const MigrationSlot& entry : migration.slots) {
      if (entry.step == kind.first) by_way[way_of(entry.move())].push_back(entry.slot);
    }
    for (const auto& each : by_way) {
      const GroupPair way = each.first;
      const Slots& slots = each.second;
      if (stopping()) return false;
      if (stands) {
        const std::string error = reconcile(way, slots, stands);
        if (!error.empty()) {
          pause(kHolding, error);
          return true;
        }
      }
      const auto released = controller_.decide(
          [&](const ClusterState& now) { return release_slots(now, id_, slots); },
          {.before_push =
               [&] {
                 const auto now = controller_.state();
                 const Migration& present = *now->migration(id_);
                 if (!stands) tell_engine(present, now->topology, moves_of(present, slots));
                 reached(StopPoint::kReleaseTold);
               },
           .persisted = StopPoint::kReleasePersisted,
           .pushed = StopPoint::kReleasePushed});
      if (!released) {
        pause(kStoring, released.refusal().message);
        return true;
      }
      pauses_.clear(kHolding);
      done = true;
    }
  }
  return done;
}

std::string MigrationRunner::reconcile(GroupPair way, const Slots& slots,
                                       std::optional<RouteEnd> stands) {
  const auto state = controller_.state();
  const Migration& migration = *state->migration(id_);
  bool is_told = false;
  {
    const std::lock_guard lock(mutex_);
    const auto job = jobs_.find(way);
    is_told = job != jobs_.end() && job->second.slots.count(slots.front()) > 0;
  }
  if (!is_told) tell_engine(migration, state->topology, moves_of(migration, slots));
  uint64_t job = 0;
  {
    const std::lock_guard lock(mutex_);
    job = jobs_.at(way).id;
  }
  const std::string error = wait_for_engine([&](std::function<void(std::string)> answer) {
    controller_.engine_->reconcile(job, slots, stands, std::move(answer));
  });
  if (error.empty()) {
    for (const SlotId slot : slots) inherited_.erase(slot);
  }
  return error;
}

}  // namespace pikaproxy
