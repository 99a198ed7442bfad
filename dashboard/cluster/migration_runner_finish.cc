#include <algorithm>
#include <utility>

#include "dashboard/cluster/migration_runner.h"
#include "dashboard/cluster/slot_moves.h"

namespace pikaproxy {

// The steps after the last key of a slot: settle, let the engine forget it, count what was moved.

bool MigrationRunner::settle_clean(const Migration& migration) {
  Slots slots;
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : clean_) {
      const SlotStep step = migration.find(slot)->step;
      if (step == SlotStep::kMigrating || step == SlotStep::kReturning) slots.push_back(slot);
    }
  }
  if (slots.empty() || !pauses_.may_try(kStoring)) return false;
  reached(StopPoint::kMigratingClean);
  const auto outcome = controller_.decide(
      [&](const ClusterState& state) { return settle_slots(state, id_, slots); },
      {.persisted = StopPoint::kFinishingPersisted, .pushed = StopPoint::kFinishingPushed});
  if (!outcome) {
    pause(kStoring, outcome.refusal().message);
    return false;
  }
  pauses_.clear(kStoring);
  const std::lock_guard lock(mutex_);
  for (const SlotId slot : slots) {
    clean_.erase(slot);
    inherited_.erase(slot);
    settled_[slot] = (*outcome)->topology.version;
  }
  return true;
}

bool MigrationRunner::let_go_settled(const Migration& migration) {
  if (!pauses_.may_try(kForgetting)) return false;
  const auto state = controller_.state();
  const auto lost_end_of = [&](SlotId slot) {
    return lost_end(*state, way_of(migration.find(slot)->move()));
  };
  Slots slots;
  for (const auto& [slot, version] : settled_) {
    // With a dead server no proxy comes to an end.
    if (letting_go_.count(slot) == 0 &&
        (controller_.publisher_->acknowledged(version) || lost_end_of(slot))) {
      slots.push_back(slot);
    }
  }
  if (slots.empty()) return false;
  reached(StopPoint::kFinishingAcknowledged);
  std::map<uint64_t, Slots> by_job;
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : slots) {
      const auto job = jobs_.find(way_of(migration.find(slot)->move()));
      letting_go_.insert(slot);
      if (job != jobs_.end() && job->second.slots.count(slot) > 0) {
        by_job[job->second.id].push_back(slot);
      } else {
        let_go_.push_back({{slot}, {}});  // This process' engine never knew it.
      }
    }
  }
  for (const auto& [job, of_job] : by_job) {
    const auto done = [&controller = controller_, job = job, of_job = of_job](std::string error) {
      // The runner may be gone; the controller outlives the engine.
      const std::lock_guard lock(controller.jobs_mutex_);
      const auto found = controller.jobs_.find(job);
      if (found == controller.jobs_.end()) return;
      MigrationRunner& self = *found->second;
      {
        const std::lock_guard self_lock(self.mutex_);
        self.let_go_.push_back({of_job, std::move(error)});
        self.woken_ = true;
      }
      self.changed_.notify_all();
    };
    if (const auto lost = lost_end_of(of_job.front())) {
      controller_.engine_->abandon_slots(job, of_job, *lost, done);
    } else {
      controller_.engine_->remove_slots(job, of_job, done);
    }
  }
  return true;
}

bool MigrationRunner::complete_let_go() {
  if (!pauses_.may_try(kStoring)) return false;
  std::vector<std::pair<Slots, std::string>> answers;
  {
    const std::lock_guard lock(mutex_);
    answers.swap(let_go_);
  }
  Slots slots;
  for (auto& [of_answer, error] : answers) {
    if (error.empty()) {
      slots.insert(slots.end(), of_answer.begin(), of_answer.end());
      continue;
    }
    for (const SlotId slot : of_answer) letting_go_.erase(slot);
    pause(kForgetting, error);
  }
  if (slots.empty()) return false;
  pauses_.clear(kForgetting);
  reached(StopPoint::kFinishingForgotten);
  uint64_t keys = 0;
  uint64_t bytes = 0;
  std::vector<std::pair<GroupPair, uint64_t>> jobs;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [way, job] : jobs_) jobs.push_back({way, job.id});
  }
  std::map<GroupPair, MoveProgress> progress;
  for (const auto& [way, job] : jobs) progress[way] = controller_.engine_->progress(job);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [way, now] : progress) {
      const Job& job = jobs_.at(way);
      keys += now.keys_moved - std::min(now.keys_moved, job.keys_counted);
      bytes += now.bytes_moved - std::min(now.bytes_moved, job.bytes_counted);
    }
  }
  const auto outcome = controller_.decide(
      [&](const ClusterState& state) -> StateOutcome {
        StateOutcome next = complete_slots(state, id_, slots);
        return next ? add_moved(*next, id_, keys, bytes) : next;
      },
      {.persisted = StopPoint::kDonePersisted});
  if (!outcome) {
    {
      const std::lock_guard lock(mutex_);
      let_go_.push_back({slots, {}});
    }
    pause(kStoring, outcome.refusal().message);
    return false;
  }
  pauses_.clear(kStoring);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [way, now] : progress) {
      Job& job = jobs_.at(way);
      job.keys_counted = std::max(job.keys_counted, now.keys_moved);
      job.bytes_counted = std::max(job.bytes_counted, now.bytes_moved);
    }
  }
  const Migration& migration = *(*outcome)->migration(id_);
  for (const SlotId slot : slots) {
    settled_.erase(slot);
    letting_go_.erase(slot);
    checked_.erase(slot);
  }
  take_from_jobs(moves_of(migration, slots));
  return true;
}

bool MigrationRunner::end_if_done(const Migration& migration) {
  const size_t pending = migration.count(SlotStep::kPending);
  const bool failed = fatal_ && migration.state == MigrationState::kRunning;
  if (migration.in_work() > 0 || (pending > 0 && !failed)) return false;
  // Not while paused; and a slot that is done goes back first when that was asked for.
  if (migration.state != MigrationState::kRunning &&
      migration.state != MigrationState::kCancelling) {
    return false;
  }
  const std::string error = pending > 0 ? *fatal_ : std::string();
  // From here on the migration is another runner's, should it be revived.
  over_ = decide(
      [&](const ClusterState& state) -> StateOutcome {
        StateOutcome sorted = sort_out_cancelled(state, id_);
        return sorted ? end_migration(*sorted, id_, error, controller_.now()) : sorted;
      },
      {.persisted = StopPoint::kMigrationEnded});
  return over_;
}

}  // namespace pikaproxy
