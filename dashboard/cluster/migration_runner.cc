#include "dashboard/cluster/migration_runner.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "dashboard/cluster/promotion_state.h"

namespace pikaproxy {
namespace {

constexpr auto kTick = std::chrono::seconds(1);
// How much a second's rate counts against those before it.
constexpr double kRateWeight = 0.3;
constexpr size_t kWarningsQueued = Migration::kWarningsMax;

}  // namespace

MigrationRunner::MigrationRunner(Controller& controller, uint64_t id)
    : controller_(controller),
      id_(id),
      pauses_(controller.options().retry_pause_min, controller.options().retry_pause_max) {
  const auto state = controller_.state();
  const Migration& migration = *state->migration(id_);
  std::vector<SlotMove> moves;
  for (const MigrationSlot& entry : migration.slots) {
    switch (entry.step) {
      case SlotStep::kCancelling:
      case SlotStep::kMigrating:
        inherited_.insert(entry.slot);
        [[fallthrough]];
      case SlotStep::kReturning:
        moves.push_back(entry.move());
        break;
      case SlotStep::kHeld:
      case SlotStep::kTargetStands:
      case SlotStep::kSourceStands:
        inherited_.insert(entry.slot);
        break;
      case SlotStep::kFinishing:
        settled_[entry.slot] = state->topology.version;
        break;
      default:
        break;
    }
  }
  tell_engine(migration, state->topology, moves);
}

MigrationRunner::~MigrationRunner() {
  for (const auto& [way, job] : jobs_) controller_.forget_job(job.id);
}

void MigrationRunner::join() {
  if (thread_.joinable()) thread_.join();
}

void MigrationRunner::start() {
  thread_ = std::thread([this] { run(); });
}

void MigrationRunner::request_stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
}

void MigrationRunner::wake(bool forget_pauses) {
  if (forget_pauses) pauses_.end_all();
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    if (forget_pauses) try_again_ = true;
  }
  changed_.notify_all();
}

bool MigrationRunner::finished() const {
  const std::lock_guard lock(mutex_);
  return finished_;
}

bool MigrationRunner::stopping() const {
  const std::lock_guard lock(mutex_);
  return stop_;
}

// ---- What the engine reports ----

void MigrationRunner::note_clean(uint64_t job, SlotId slot) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [way, each] : jobs_) {
      if (each.id == job && each.slots.count(slot) > 0) clean_.insert(slot);
    }
    woken_ = true;
  }
  changed_.notify_all();
}

void MigrationRunner::note_problem(uint64_t job, std::string text) {
  const std::lock_guard lock(mutex_);
  for (auto& [way, each] : jobs_) {
    if (each.id == job) each.problem = std::move(text);
  }
}

void MigrationRunner::note_warning(std::string text) {
  {
    const std::lock_guard lock(mutex_);
    if (warnings_.size() < kWarningsQueued) warnings_.push_back(std::move(text));
    woken_ = true;
  }
  changed_.notify_all();
}

MigrationLive MigrationRunner::live() const {
  MigrationLive live;
  live.problems = pauses_.problems();
  std::vector<std::pair<uint64_t, MoveProgress>> jobs;  // With what was counted already.
  {
    const std::lock_guard lock(mutex_);
    live.keys_per_second = keys_per_second_;
    live.bytes_per_second = bytes_per_second_;
    for (const auto& [way, job] : jobs_) {
      if (!job.problem.empty()) live.problems.push_back(job.problem);
      jobs.push_back({job.id, {job.keys_counted, job.bytes_counted, 0}});
    }
  }
  const auto state = controller_.state();
  if (const Migration* migration = state->migration(id_)) {
    live.keys_moved = migration->keys_moved;
    live.bytes_moved = migration->bytes_moved;
  }
  // Without the mutex: the engine reports to us under locks of its own.
  for (const auto& [id, counted] : jobs) {
    const MoveProgress progress = controller_.engine_->progress(id);
    live.keys_moved += progress.keys_moved - std::min(progress.keys_moved, counted.keys_moved);
    live.bytes_moved += progress.bytes_moved - std::min(progress.bytes_moved, counted.bytes_moved);
    live.keys_left_estimate += progress.keys_seen_left;
  }
  return live;
}

// ---- The thread ----

void MigrationRunner::run() {
  while (!stopping() && !over_) {
    if (!work() && !over_) wait_for_something();
  }
  const std::lock_guard lock(mutex_);
  finished_ = true;
}

bool MigrationRunner::work() {
  keep_warnings();
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(try_again_, false)) fatal_.reset();
  }
  {
    const auto state = controller_.state();
    const Migration& migration = *state->migration(id_);
    apply_settings(migration);
    if (start_if_pending(migration)) return true;
    if (migration.state == MigrationState::kCancelling) {
      const auto sorted = sort_out_cancelled(*state, id_);
      const bool changes = sorted && sorted->migrations.at(id_) != state->migrations.at(id_);
      if (changes &&
          decide([this](const ClusterState& now) { return sort_out_cancelled(now, id_); }, {})) {
        return true;
      }
    }
  }
  const auto fresh = [this] { return controller_.state()->migrations.at(id_); };
  if (hold(*controller_.state())) return true;
  const auto now = controller_.state();
  for (const MigrationSlot& entry : now->migration(id_)->slots) {
    if (holder_of(*now, entry.source, entry.target) == nullptr) continue;
    // Nothing of it goes on, but what is over is forgotten.
    const bool forgot = let_go_settled(*fresh());
    checked_.clear();  // What was looked at was the old master.
    return complete_let_go() || forgot;
  }
  if (release(*now)) return true;
  // Each looks at what the one before has left.
  bool done = settle_clean(*fresh());
  done = let_go_settled(*fresh()) || done;
  done = complete_let_go() || done;
  done = turn_back(*fresh()) || done;
  done = take_up(*fresh()) || done;
  return end_if_done(*fresh()) || done;
}

bool MigrationRunner::start_if_pending(const Migration& migration) {
  if (migration.state != MigrationState::kPending) return false;
  return decide(
      [this](const ClusterState& state) { return start_migration(state, id_, controller_.now()); },
      {});
}

void MigrationRunner::keep_warnings() {
  std::deque<std::string> warnings;
  {
    const std::lock_guard lock(mutex_);
    warnings.swap(warnings_);
  }
  for (const std::string& text : warnings) {
    log_warn("migration", "id", id_, "warning", text);
    decide([&](const ClusterState& state) { return add_warning(state, id_, text); }, {});
  }
}

// ---- Decisions, pauses, waiting ----

bool MigrationRunner::decide(const Controller::Decision& decision, const Controller::Terms& terms) {
  const auto outcome = controller_.decide(decision, terms);
  if (!outcome && outcome.refusal().kind == Refusal::Kind::kStore) {
    pause(kStoring, outcome.refusal().message);
  }
  if (outcome) pauses_.clear(kStoring);
  return outcome.ok();
}

bool MigrationRunner::decide_surely(const Controller::Decision& decision,
                                    const Controller::Terms& terms) {
  while (!stopping()) {
    const auto outcome = controller_.decide(decision, terms);
    if (outcome) {
      pauses_.clear(kStoring);
      return true;
    }
    if (outcome.refusal().kind != Refusal::Kind::kStore) {
      log_error("migration: a step was refused", "id", id_, "reason", outcome.refusal().message);
      return false;
    }
    pause(kStoring, outcome.refusal().message);
    while (!pauses_.may_try(kStoring) && !stopping()) wait_for_something();
  }
  return false;
}

void MigrationRunner::pause(const std::string& what, std::string problem) {
  const bool is_new = pauses_.pause(what, problem);
  if (is_new) log_warn("migration", "id", id_, "problem", problem);
}

void MigrationRunner::wait_for_something() {
  {
    const auto until = pauses_.next_end(Clock::now() + kTick);
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [this] { return stop_ || woken_; });
    woken_ = false;
  }
  measure();
}

void MigrationRunner::measure() {
  const MigrationLive now = live();
  bool tell = false;
  {
    const std::lock_guard lock(mutex_);
    const auto at = Clock::now();
    const double seconds = std::chrono::duration<double>(at - measured_at_).count();
    if (seconds < std::chrono::duration<double>(kTick).count()) return;
    const bool first = measured_at_ == Clock::time_point{};
    const auto smooth = [&](double& rate, uint64_t before, uint64_t after) {
      const double latest = static_cast<double>(after - std::min(before, after)) / seconds;
      rate = first ? 0 : rate + kRateWeight * (latest - rate);
    };
    smooth(keys_per_second_, measured_keys_, now.keys_moved);
    smooth(bytes_per_second_, measured_bytes_, now.bytes_moved);
    tell = now.keys_moved != measured_keys_;
    measured_at_ = at;
    measured_keys_ = now.keys_moved;
    measured_bytes_ = now.bytes_moved;
  }
  if (tell) controller_.tell_progress(id_);
}

}  // namespace pikaproxy
