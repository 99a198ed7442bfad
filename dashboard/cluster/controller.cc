#include "dashboard/cluster/controller.h"

#include <cassert>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/log.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/cluster/cluster_store.h"
#include "dashboard/cluster/migration_runner.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

// What the process may have left half done: locks whose switch was not made are taken back, slots
// that were locked to be turned round migrate as before. All of it goes on from there.
ClusterState recover(ClusterState state) {
  const ClusterState loaded = state;
  for (const auto& [id, migration] : loaded.migrations) {
    if (migration->ended()) continue;
    Slots preparing;
    Slots locked;
    for (const MigrationSlot& entry : migration->slots) {
      const bool is_locked = loaded.topology.slots[entry.slot].state == SlotState::kLocked;
      if (entry.step == SlotStep::kPreparing) preparing.push_back(entry.slot);
      if (entry.step == SlotStep::kCancelling && is_locked) locked.push_back(entry.slot);
    }
    // Neither can be refused: a loaded state does not contradict itself.
    if (!preparing.empty()) state = *revert_slots(state, id, preparing);
    if (!locked.empty()) state = *unlock_cancelled_slots(state, id, locked);
  }
  return state;
}

}  // namespace

Controller::Controller(ControllerOptions options, Parts parts)
    : options_(std::move(options)), parts_(std::move(parts)) {}

Result<std::unique_ptr<Controller>> Controller::start(ControllerOptions options, Parts parts) {
  std::unique_ptr<Controller> controller(new Controller(std::move(options), std::move(parts)));
  Controller& self = *controller;
  try {
    const ClusterState loaded = load_cluster(self.parts_.database);
    ClusterState state = recover(loaded);
    save_cluster(self.parts_.database, loaded, state);
    self.state_ = std::make_shared<const ClusterState>(std::move(state));
  } catch (const StoreError& error) {
    return Error{error.message};
  }
  self.engine_ = self.parts_.make_engine(self);
  self.publisher_ =
      std::make_unique<Publisher>(self.parts_.proxies, self.options_.push_retry_pause, [&self] {
        const std::lock_guard lock(self.runners_mutex_);
        for (const auto& [id, runner] : self.runners_) runner->wake(false);
      });
  // Runners tell the engine about migrating slots before a proxy can ask it for their keys.
  std::vector<std::shared_ptr<MigrationRunner>> runners;
  for (const auto& [id, migration] : self.state_->migrations) {
    if (!migration->ended()) runners.push_back(std::make_shared<MigrationRunner>(self, id));
  }
  self.publisher_->publish(std::make_shared<const SlotTable>(slot_view(self.state_->topology)));
  {
    const std::lock_guard lock(self.runners_mutex_);
    size_t index = 0;
    for (const auto& [id, migration] : self.state_->migrations) {
      if (!migration->ended()) self.runners_[id] = runners[index++];
    }
  }
  log_info("cluster loaded", "topology_version", self.state_->topology.version, "groups",
           self.state_->topology.groups.size(), "migrations", runners.size());
  // From here on the state changes.
  for (const auto& runner : runners) runner->start();
  return controller;
}

Controller::~Controller() {
  stop();
}

void Controller::stop() {
  std::map<uint64_t, std::shared_ptr<MigrationRunner>> runners;
  {
    const std::lock_guard lock(runners_mutex_);
    stopped_ = true;
    runners.swap(runners_);
  }
  for (const auto& [id, runner] : runners) runner->request_stop();
  if (publisher_ != nullptr) publisher_->stop();
  for (const auto& [id, runner] : runners) runner->join();
  runners.clear();
  if (engine_ != nullptr) engine_->stop();
}

std::shared_ptr<const ClusterState> Controller::state() const {
  const std::lock_guard lock(state_mutex_);
  return state_;
}

MigrationLive Controller::live(uint64_t id) const {
  std::shared_ptr<MigrationRunner> runner;
  {
    const std::lock_guard lock(runners_mutex_);
    const auto found = runners_.find(id);
    if (found != runners_.end()) runner = found->second;
  }
  if (runner != nullptr && !runner->finished()) return runner->live();
  MigrationLive live;
  const auto now = state();
  if (const Migration* migration = now->migration(id)) {
    live.keys_moved = migration->keys_moved;
    live.bytes_moved = migration->bytes_moved;
  }
  return live;
}

Outcome<std::shared_ptr<const ClusterState>> Controller::decide(const Decision& decision,
                                                                const Terms& terms) {
  const std::lock_guard decision_lock(decision_mutex_);
  const std::shared_ptr<const ClusterState> before = state();
  if (terms.expected_version && *terms.expected_version != before->topology.version) {
    return Refusal{Refusal::Kind::kStale, "stale_version",
                   "the topology has version " + std::to_string(before->topology.version) +
                       " by now: look at it again, then repeat the change for that version"};
  }
  StateOutcome outcome = decision(*before);
  if (!outcome) return outcome.refusal();
  assert(find_contradiction(*outcome).empty());
  const auto after = std::make_shared<const ClusterState>(std::move(*outcome));
  if (terms.dry_run) return after;
  try {
    save_cluster(parts_.database, *before, *after);
  } catch (const StoreError& error) {
    log_error("a decision could not be written, nothing has changed", "reason", error.message);
    return Refusal{Refusal::Kind::kStore, "store_unavailable", error.message};
  }
  if (terms.persisted) reached(*terms.persisted);
  {
    const std::lock_guard lock(state_mutex_);
    state_ = after;
  }
  if (terms.before_push) terms.before_push();
  if (after->topology.version != before->topology.version) {
    publisher_->publish(std::make_shared<const SlotTable>(slot_view(after->topology)));
  }
  if (terms.pushed) reached(*terms.pushed);
  tell(*before, *after);
  start_runners(*before, *after);
  if (after->promotions != before->promotions) {
    // Migrations are held by promotions, and released.
    const std::lock_guard lock(runners_mutex_);
    for (const auto& [id, runner] : runners_) runner->wake(true);
  }
  return after;
}

std::string Controller::busy_migration(const Promotion& promotion) const {
  const auto now = state();
  const std::lock_guard lock(runners_mutex_);
  for (const auto& [id, migration] : now->migrations) {
    if (migration->ended() || !migration->involves_group(promotion.group)) continue;
    const auto runner = runners_.find(id);
    if (runner == runners_.end() || runner->second->is_held_for(promotion.id)) continue;
    const std::string reason = runner->second->hold_problem();
    return "migration " + std::to_string(id) + " still has keys on their way" +
           (reason.empty() ? "" : ": " + reason);
  }
  return {};
}

void Controller::start_runners(const ClusterState& before, const ClusterState& after) {
  for (const auto& [id, migration] : after.migrations) {
    const Migration* old = before.migration(id);
    if (migration->ended() || (old != nullptr && !old->ended())) continue;
    auto runner = std::make_shared<MigrationRunner>(*this, id);
    // Of migrations that have ended, of this one perhaps: its last thread makes no decision any
    // more.
    std::vector<std::shared_ptr<MigrationRunner>> over;
    {
      const std::lock_guard lock(runners_mutex_);
      if (stopped_) return;
      for (auto it = runners_.begin(); it != runners_.end();) {
        if (it->second->finished()) {
          over.push_back(std::move(it->second));
          it = runners_.erase(it);
        } else {
          ++it;
        }
      }
      if (runners_.count(id) > 0) over.push_back(runners_.at(id));
      runners_[id] = runner;
      runner->start();
    }
    for (const auto& each : over) each->join();
  }
}

void Controller::publish_event(std::string_view topic, nlohmann::json data) {
  if (parts_.events != nullptr) parts_.events->publish(topic, std::move(data));
}

void Controller::tell(const ClusterState& before, const ClusterState& after) {
  const ClusterTopology& old_topology = before.topology;
  const ClusterTopology& topology = after.topology;
  if (topology.version != old_topology.version) {
    Json slots = Json::array();
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (topology.slots[slot] != old_topology.slots[slot]) {
        slots.push_back(slot_json(static_cast<SlotId>(slot), topology.slots[slot]));
      }
    }
    if (!slots.empty()) {
      publish_event("slots", {{"topology_version", topology.version}, {"slots", std::move(slots)}});
    }
    if (topology.groups != old_topology.groups) {
      publish_event("topology", {{"topology_version", topology.version}});
    }
  }
  for (const auto& [id, migration] : after.migrations) {
    const Migration* old = before.migration(id);
    if (old == migration.get()) continue;
    publish_event("migration", migration_json(*migration, live(id)));
    if (old != nullptr && old->state == migration->state) continue;
    log_info("migration", "id", id, "state", migration_state_name(migration->state), "slots",
             migration->slots.size(), "error", migration->error);
    if (parts_.audit == nullptr || !migration->ended()) continue;
    AuditEntry entry;
    entry.actor = "system";
    entry.action = "migration." + std::string(migration_state_name(migration->state));
    entry.object = "migrations/" + std::to_string(id);
    entry.reason = migration->error;
    parts_.audit->record(entry);
  }
}

void Controller::tell_progress(uint64_t id) {
  publish_event("migration", migration_json(*state()->migration(id), live(id)));
}

void Controller::wake_migration(uint64_t id) {
  std::shared_ptr<MigrationRunner> runner;
  {
    const std::lock_guard lock(runners_mutex_);
    const auto found = runners_.find(id);
    if (found != runners_.end()) runner = found->second;
  }
  if (runner != nullptr) runner->wake(true);
}

ServerAccess Controller::master_of(const ClusterTopology& topology, uint32_t id) {
  const ClusterGroup& group = topology.groups.at(id);
  return {group.master(), group.username, group.password};
}

uint64_t Controller::register_job(MigrationRunner& runner) {
  const std::lock_guard lock(jobs_mutex_);
  jobs_[next_job_] = &runner;
  return next_job_++;
}

void Controller::forget_job(uint64_t job) {
  const std::lock_guard lock(jobs_mutex_);
  jobs_.erase(job);
}

void Controller::slot_clean(uint64_t job, SlotId slot) {
  const std::lock_guard lock(jobs_mutex_);
  if (const auto found = jobs_.find(job); found != jobs_.end()) {
    found->second->note_clean(job, slot);
  }
}

void Controller::job_problem(uint64_t job, std::string text) {
  const std::lock_guard lock(jobs_mutex_);
  if (const auto found = jobs_.find(job); found != jobs_.end()) {
    found->second->note_problem(job, std::move(text));
  }
}

void Controller::job_warning(uint64_t job, std::string text) {
  const std::lock_guard lock(jobs_mutex_);
  if (const auto found = jobs_.find(job); found != jobs_.end()) {
    found->second->note_warning(std::move(text));
  }
}

}  // namespace pikaproxy
