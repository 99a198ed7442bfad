#include "dashboard/cluster/migration_runner.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/log.h"
#include "common/sabotage.h"
#include "common/slot_ranges.h"
#include "dashboard/cluster/promotion_state.h"

namespace pikaproxy {
namespace {

constexpr auto kTick = std::chrono::seconds(1);
// How much a second's rate counts against those before it.
constexpr double kRateWeight = 0.3;
constexpr size_t kWarningsQueued = Migration::kWarningsMax;
// Pauses are kept by what failed.
constexpr char kLocking[] = "lock";
constexpr char kTurning[] = "turn";
constexpr char kForgetting[] = "forget";
constexpr char kHolding[] = "hold";
constexpr char kStoring[] = "store";

std::string name_of(GroupPair way) {
  return std::to_string(way.first) + "->" + std::to_string(way.second);
}

GroupPair way_of(const SlotMove& move) {
  return {move.from, move.to};
}

std::string ranges_of(const Slots& slots) {
  std::vector<SlotRange> ranges;
  for (const SlotId slot : slots) ranges.push_back({slot, slot});
  return format_slot_ranges(merge_slot_ranges(std::move(ranges)));
}

std::vector<SlotMove> moves_of(const Migration& migration, const Slots& slots) {
  std::vector<SlotMove> moves;
  for (const SlotId slot : slots) moves.push_back(migration.find(slot)->move());
  return moves;
}

// The server of this way that a forced promotion gives up.
std::optional<RouteEnd> lost_end(const ClusterState& state, GroupPair way) {
  const Promotion* holder = holder_of(state, way.first, way.second);
  if (holder == nullptr || !holder->force) return std::nullopt;
  return holder->group == way.first ? RouteEnd::kSource : RouteEnd::kTarget;
}

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

MigrationRunner::MigrationRunner(Controller& controller, uint64_t id)
    : controller_(controller), id_(id) {
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
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    if (forget_pauses) {
      try_again_ = true;
      for (auto& [what, pause] : pauses_) {
        pause.length = {};
        pause.until = {};
      }
    }
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
  std::vector<std::pair<uint64_t, MoveProgress>> jobs;  // With what was counted already.
  {
    const std::lock_guard lock(mutex_);
    live.keys_per_second = keys_per_second_;
    live.bytes_per_second = bytes_per_second_;
    for (const auto& [what, pause] : pauses_) {
      if (!pause.problem.empty()) live.problems.push_back(pause.problem);
    }
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

// ---- Finishing ----

bool MigrationRunner::settle_clean(const Migration& migration) {
  Slots slots;
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : clean_) {
      const SlotStep step = migration.find(slot)->step;
      if (step == SlotStep::kMigrating || step == SlotStep::kReturning) slots.push_back(slot);
    }
  }
  if (slots.empty() || !may_try(kStoring)) return false;
  reached(StopPoint::kMigratingClean);
  const auto outcome = controller_.decide(
      [&](const ClusterState& state) { return settle_slots(state, id_, slots); },
      {.persisted = StopPoint::kFinishingPersisted, .pushed = StopPoint::kFinishingPushed});
  if (!outcome) {
    pause(kStoring, outcome.refusal().message);
    return false;
  }
  clear_pause(kStoring);
  const std::lock_guard lock(mutex_);
  for (const SlotId slot : slots) {
    clean_.erase(slot);
    inherited_.erase(slot);
    settled_[slot] = (*outcome)->topology.version;
  }
  return true;
}

bool MigrationRunner::let_go_settled(const Migration& migration) {
  if (!may_try(kForgetting)) return false;
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
  if (!may_try(kStoring)) return false;
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
  clear_pause(kForgetting);
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
  clear_pause(kStoring);
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

// ---- Beginning ----

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
  if (!may_try(kLocking) || !may_try(kStoring)) return false;

  std::map<GroupPair, Slots> unchecked;
  for (const MigrationSlot& entry : migration.slots) {
    if (entry.step == SlotStep::kPending && checked_.count(entry.slot) == 0) {
      unchecked[way_of(entry.move())].push_back(entry.slot);
    }
  }
  bool done = false;
  for (const auto& [way, slots] : unchecked) {
    if (may_try("check " + name_of(way)) && !stopping()) done = check_way(way, slots) || done;
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
  clear_pause(what);
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
  clear_pause(kStoring);
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
      clear_pause(kLocking);
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

// ---- While a group gets another master ----

bool MigrationRunner::is_held_for(uint64_t promotion) const {
  const std::lock_guard lock(mutex_);
  return held_for_.count(promotion) > 0;
}

std::string MigrationRunner::hold_problem() const {
  const std::lock_guard lock(mutex_);
  for (const char* what : {kHolding, kForgetting}) {
    if (const auto found = pauses_.find(what); found != pauses_.end()) return found->second.problem;
  }
  return {};
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
  if (!moving.empty() && may_try(kHolding) && may_try(kStoring)) {
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
  for (const auto& [way, slots] : by_way) {
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
    clear_pause(kHolding);
    return true;
  }
  decide_surely([&](const ClusterState& now) { return release_slots(now, id_, still_moving); }, {});
  pause(kHolding, problem);
  return true;
}

bool MigrationRunner::release(const ClusterState& state) {
  const Migration& migration = *state.migration(id_);
  if (!may_try(kHolding) || !may_try(kStoring)) return false;
  // Where a copy has to go first, nothing may move yet.
  constexpr std::pair<SlotStep, std::optional<RouteEnd>> kKinds[] = {
      {SlotStep::kTargetStands, RouteEnd::kTarget},
      {SlotStep::kSourceStands, RouteEnd::kSource},
      {SlotStep::kHeld, std::nullopt}};
  bool done = false;
  for (const auto& [step, stands] : kKinds) {
    std::map<GroupPair, Slots> by_way;
    for (const MigrationSlot& entry : migration.slots) {
      if (entry.step == step) by_way[way_of(entry.move())].push_back(entry.slot);
    }
    for (const auto& [way, slots] : by_way) {
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
      clear_pause(kHolding);
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

// ---- Turning round ----

bool MigrationRunner::turn_back(const Migration& migration) {
  if (migration.state != MigrationState::kCancelling || !migration.rollback) return false;
  if (!may_try(kTurning) || !may_try(kStoring)) return false;
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
  if (!may_try(check_back)) return false;
  if (!find_mover(way_back, target, source)) return false;
  clear_pause(check_back);

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
  clear_pause(kStoring);
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
  if (returning) clear_pause(kTurning);
  return true;
}

// ---- The engine ----

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
  while (!answer->error && !stopping()) answer->changed.wait_for(lock, kTick / 10);
  return answer->error.value_or("stopped");
}

// ---- Decisions, pauses, waiting ----

bool MigrationRunner::decide(const Controller::Decision& decision, const Controller::Terms& terms) {
  const auto outcome = controller_.decide(decision, terms);
  if (!outcome && outcome.refusal().kind == Refusal::Kind::kStore) {
    pause(kStoring, outcome.refusal().message);
  }
  if (outcome) clear_pause(kStoring);
  return outcome.ok();
}

bool MigrationRunner::decide_surely(const Controller::Decision& decision,
                                    const Controller::Terms& terms) {
  while (!stopping()) {
    const auto outcome = controller_.decide(decision, terms);
    if (outcome) {
      clear_pause(kStoring);
      return true;
    }
    if (outcome.refusal().kind != Refusal::Kind::kStore) {
      log_error("migration: a step was refused", "id", id_, "reason", outcome.refusal().message);
      return false;
    }
    pause(kStoring, outcome.refusal().message);
    while (!may_try(kStoring) && !stopping()) wait_for_something();
  }
  return false;
}

bool MigrationRunner::may_try(const std::string& what) const {
  const std::lock_guard lock(mutex_);
  const auto found = pauses_.find(what);
  return found == pauses_.end() || Clock::now() >= found->second.until;
}

void MigrationRunner::pause(const std::string& what, std::string problem) {
  const ControllerOptions& options = controller_.options();
  bool is_new = false;
  {
    const std::lock_guard lock(mutex_);
    Pause& pause = pauses_[what];
    pause.length = std::clamp(pause.length * 2, options.retry_pause_min, options.retry_pause_max);
    pause.until = Clock::now() + pause.length;
    is_new = pause.problem != problem;
    pause.problem = problem;
  }
  if (is_new) log_warn("migration", "id", id_, "problem", problem);
}

void MigrationRunner::clear_pause(const std::string& what) {
  const std::lock_guard lock(mutex_);
  pauses_.erase(what);
}

void MigrationRunner::wait_for_something() {
  {
    std::unique_lock lock(mutex_);
    auto until = Clock::now() + kTick;
    for (const auto& [what, pause] : pauses_) {
      if (pause.until > Clock::now()) until = std::min(until, pause.until);
    }
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
