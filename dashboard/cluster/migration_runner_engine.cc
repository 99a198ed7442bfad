#include <algorithm>
#include <utility>

#include "dashboard/cluster/migration_runner.h"
#include "dashboard/cluster/slot_moves.h"

namespace pikaproxy {
namespace {

constexpr auto kLookForStop = std::chrono::milliseconds(100);

bool wants_background(const Migration& migration, bool back) {
  switch (migration.state) {
    case MigrationState::kRunning:
      return true;
    case MigrationState::kCancelling:
      return back || !migration.rollback;
    default:
      return false;
  }
}

}  // namespace

// What the runner has the engine do: one job for each way.

MoveLimits MigrationRunner::share_of(const MoveLimits& limits) const {
  // The limits are the migration's, the engine has them for each job.
  const uint64_t jobs = std::max<uint64_t>(1, jobs_.size());
  const auto share = [jobs](uint64_t limit) {
    return limit == 0 ? 0 : std::max<uint64_t>(1, limit / jobs);
  };
  return {share(limits.keys_per_second), share(limits.bytes_per_second)};
}

void MigrationRunner::apply_settings(const Migration& migration) {
  struct Change {
    uint64_t job;
    std::optional<MoveLimits> limits;
    std::optional<bool> background;
  };
  std::vector<Change> changes;
  {
    const std::lock_guard lock(mutex_);
    const MoveLimits share = share_of(migration.limits);
    for (auto& [way, job] : jobs_) {
      Change change{job.id, std::nullopt, std::nullopt};
      if (job.limits.keys_per_second != share.keys_per_second ||
          job.limits.bytes_per_second != share.bytes_per_second) {
        change.limits = job.limits = share;
      }
      const MigrationSlot* any = job.slots.empty() ? nullptr : migration.find(*job.slots.begin());
      const bool back = any != nullptr && any->back;
      // Not while the two servers are being reconciled.
      const bool wanted = wants_background(migration, back) &&
                          std::none_of(job.slots.begin(), job.slots.end(), [&](SlotId slot) {
                            return migration.find(slot)->is_held();
                          });
      if (job.background != wanted) change.background = job.background = wanted;
      changes.push_back(change);
    }
  }
  for (const Change& change : changes) {
    if (change.limits) controller_.engine_->set_limits(change.job, *change.limits);
    if (change.background) controller_.engine_->set_background(change.job, *change.background);
  }
}

void MigrationRunner::tell_engine(const Migration& migration, const ClusterTopology& topology,
                                  const std::vector<SlotMove>& moves) {
  std::map<GroupPair, Slots> by_way;
  for (const SlotMove& move : moves) by_way[way_of(move)].push_back(move.slot);
  MoveEngine& engine = *controller_.engine_;
  for (const auto& [way, slots] : by_way) {
    bool is_new = false;
    {
      const std::lock_guard lock(mutex_);
      is_new = jobs_.count(way) == 0;
    }
    Job job;
    if (is_new) {
      job.id = controller_.register_job(*this);
      const MigrationSlot& first = *migration.find(slots.front());
      job.background = wants_background(migration, first.back) && !first.is_held();
    }
    {
      const std::lock_guard lock(mutex_);
      if (is_new) jobs_[way] = job;
      Job& kept = jobs_.at(way);
      kept.slots.insert(slots.begin(), slots.end());
      if (is_new) kept.limits = share_of(migration.limits);
      job = kept;
    }
    if (is_new) {
      const auto mover = migration.movers.find(way);
      engine.open_job(
          job.id,
          {Controller::master_of(topology, way.first), Controller::master_of(topology, way.second),
           mover == migration.movers.end() ? MoverKind::kCopy : mover->second},
          job.limits);
      if (!job.background) engine.set_background(job.id, false);
    }
    engine.add_slots(job.id, slots);
  }
}

void MigrationRunner::take_from_jobs(const std::vector<SlotMove>& moves) {
  std::vector<Job> empty;
  {
    const std::lock_guard lock(mutex_);
    for (const SlotMove& move : moves) {
      const auto job = jobs_.find(way_of(move));
      if (job == jobs_.end()) continue;
      job->second.slots.erase(move.slot);
      if (!job->second.slots.empty()) continue;
      empty.push_back(job->second);
      jobs_.erase(job);
    }
  }
  for (const Job& job : empty) {
    const MoveProgress progress = controller_.engine_->progress(job.id);
    controller_.engine_->close_job(job.id);
    controller_.forget_job(job.id);
    const uint64_t keys = progress.keys_moved - std::min(progress.keys_moved, job.keys_counted);
    const uint64_t bytes = progress.bytes_moved - std::min(progress.bytes_moved, job.bytes_counted);
    if (keys + bytes == 0) continue;
    decide([&](const ClusterState& state) { return add_moved(state, id_, keys, bytes); }, {});
  }
}

std::string MigrationRunner::wait_for_engine(
    const std::function<void(std::function<void(std::string)>)>& ask) {
  const auto answer = std::make_shared<Answer>();
  ask([answer](std::string error) {
    {
      const std::lock_guard lock(answer->mutex);
      answer->error = std::move(error);
    }
    answer->changed.notify_all();
  });
  std::unique_lock lock(answer->mutex);
  while (!answer->error && !stopping()) answer->changed.wait_for(lock, kLookForStop);
  return answer->error.value_or("stopped");
}

}  // namespace pikaproxy
