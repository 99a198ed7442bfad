#include "dashboard/mover/move_job.h"

#include <utility>

#include "common/text.h"
#include "dashboard/http/http_workers.h"
#include "dashboard/mover/move_job_session.h"

namespace pikaproxy {
namespace {

using State = KeyResult::State;

constexpr size_t kWorkers = 4;

}  // namespace

MoveJob::MoveJob(uint64_t id, MoveRoute route, MoveLimits limits, const std::string& cluster,
                 const std::string& instance, MoveObserver& observer)
    : id_(id),
      observer_(observer),
      state_(std::move(route), cluster, instance, stop_),
      limits_(limits) {
  budget_.set_limits(limits);
  threads_.push_back(start_quiet_thread("mover-scan", [this] { run_background(); }));
  for (size_t i = 0; i < kWorkers; ++i) {
    threads_.push_back(start_quiet_thread("mover", [this] { run_worker(); }));
  }
}

MoveJob::~MoveJob() {
  stop();
}

void MoveJob::stop() {
  stop_.raise();
  std::vector<Removal> ended;
  std::vector<std::shared_ptr<MoveAsk>> waiters;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  background_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  {
    const std::lock_guard lock(mutex_);
    for (auto& [key, move] : moves_) {
      for (auto& ask : move.waiters) waiters.push_back(std::move(ask));
    }
    moves_.clear();
    queued_.clear();
    for (auto* list : {&ready_removals_, &reconciles_}) {
      for (Removal& one : *list) ended.push_back(std::move(one));
      list->clear();
    }
    for (Removal& one : removals_) ended.push_back(std::move(one));
    removals_.clear();
  }
  for (const auto& ask : waiters) ask->answer({false, "TRYAGAIN the proxy is shutting down"});
  for (const Removal& one : ended) one.done(std::string(kShuttingDown));
}

void MoveJob::set_limits(MoveLimits limits) {
  {
    const std::lock_guard lock(mutex_);
    limits_ = limits;
    budget_ = MoveBudget();
    budget_.set_limits(limits);
    ++changes_;
  }
  background_.notify_all();
}

void MoveJob::set_background(bool on) {
  {
    const std::lock_guard lock(mutex_);
    background_on_ = on;
    ++changes_;
  }
  background_.notify_all();
}

void MoveJob::add_slots(const std::vector<SlotId>& slots) {
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : slots) {
      SlotState& state = slots_[slot];
      state.open = true;
      state.clean = false;
      state.added_in = pass_;
      wanted_[slot].store(true);
    }
    ++changes_;
  }
  background_.notify_all();
}

void MoveJob::remove_slots(const std::vector<SlotId>& slots, std::optional<RouteEnd> lost,
                           Done done) {
  std::vector<std::shared_ptr<MoveAsk>> refused;
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : slots) {
      wanted_[slot].store(false);
      const auto found = slots_.find(slot);
      if (found != slots_.end()) found->second.open = false;
    }
    // What no thread has begun with need not be waited for. Its entry in queued_ is skipped later.
    for (auto it = moves_.begin(); it != moves_.end();) {
      KeyMove& move = it->second;
      if (move.running || wanted_[move.slot].load()) {
        ++it;
        continue;
      }
      for (auto& ask : move.waiters) refused.push_back(std::move(ask));
      --slots_[move.slot].under_way;
      it = moves_.erase(it);
    }
    removals_.push_back({slots, lost, std::move(done)});
    release_removals();
    ++changes_;
  }
  background_.notify_all();
  for (const auto& ask : refused)
    ask->key_done("TRYAGAIN the slot is changing its group, try again");
}

void MoveJob::reconcile(const std::vector<SlotId>& slots, std::optional<RouteEnd> stands,
                        Done done) {
  {
    const std::lock_guard lock(mutex_);
    reconciles_.push_back({slots, stands, std::move(done)});
  }
  work_.notify_one();
}

MoveProgress MoveJob::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

bool MoveJob::has_slots() const {
  const std::lock_guard lock(mutex_);
  return !slots_.empty();
}

bool MoveJob::ask(SlotId slot, uint32_t db, std::vector<std::string>&& keys,
                  const std::shared_ptr<MoveAsk>& ask) {
  bool for_workers = false;
  {
    const std::lock_guard lock(mutex_);
    const auto state = slots_.find(slot);
    if (stopping_ || state == slots_.end() || !state->second.open) return false;
    for (std::string& key : keys) {
      const auto [entry, is_new] = moves_.try_emplace({db, std::move(key)});
      entry->second.waiters.push_back(ask);
      if (!is_new) continue;
      entry->second.slot = slot;
      ++state->second.under_way;
      queued_.push_back(entry->first);
    }
    for_workers = is_queued_for_workers();
  }
  if (for_workers) work_.notify_one();
  return true;
}

bool MoveJob::is_wanted(const std::string& key) const noexcept {
  return wanted_[slot_of(key)].load(std::memory_order_relaxed);
}

// What all threads do with a batch.

void MoveJob::carry(Session& session, Batch& batch) {
  try_carry(session, batch);
  finish(batch);
}

void MoveJob::try_carry(Session& session, Batch& batch) {
  std::vector<std::string> keys = batch.keys;
  std::vector<KeyResult> results = batch.results;
  std::vector<size_t> places(keys.size());
  for (size_t i = 0; i < places.size(); ++i) places[i] = i;
  // A second time: a connection that was lost once may be a server that has restarted.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto gate = state_.enter();
    if (!gate) {
      for (const size_t place : places) {
        batch.results[place].state = State::kUnknown;
        batch.results[place].reason = std::string(kTryAgain) + gate.error();
      }
      break;
    }
    session.mover->move(batch.db, keys, results);
    std::vector<std::string> again;
    std::vector<KeyResult> again_results;
    std::vector<size_t> again_places;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (results[i].state == State::kUnknown) {
        KeyResult fresh;
        fresh.bytes = results[i].bytes;
        again.push_back(std::move(keys[i]));
        again_results.push_back(std::move(fresh));
        again_places.push_back(places[i]);
      }
      batch.results[places[i]] = std::move(results[i]);
    }
    if (again.empty()) break;
    keys = std::move(again);
    results = std::move(again_results);
    places = std::move(again_places);
  }
}

void MoveJob::finish(Batch& batch) {
  std::vector<std::pair<std::shared_ptr<MoveAsk>, const std::string*>> answers;
  const std::string moved;
  const KeyResult* lost = nullptr;
  const KeyResult* refused = nullptr;
  const std::string* refused_key = nullptr;
  bool any_moved = false;
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < batch.keys.size(); ++i) {
      const KeyResult& result = batch.results[i];
      const bool has_moved = result.state == State::kMoved;
      const auto entry = moves_.find({batch.db, batch.keys[i]});
      if (entry != moves_.end()) {
        for (auto& ask : entry->second.waiters) {
          answers.emplace_back(std::move(ask), has_moved ? &moved : &result.reason);
        }
        --slots_[entry->second.slot].under_way;
        moves_.erase(entry);
      }
      if (has_moved && result.existed) {
        any_moved = true;
        ++progress_.keys_moved;
        progress_.bytes_moved += result.bytes;
        if (progress_.keys_seen_left > 0) --progress_.keys_seen_left;
      } else if (result.state == State::kUnknown && !lost) {
        lost = &result;
      } else if (result.state == State::kStays && !refused) {
        refused = &result;
        refused_key = &batch.keys[i];
      }
    }
    release_removals();
  }
  if (lost) {
    set_server_problem(without_try_again(lost->reason));
  } else if (any_moved) {
    set_server_problem("");
  }
  if (refused) {
    set_key_problem("Key " + quote(*refused_key) + " of database " + std::to_string(batch.db) +
                    " stays at " + state_.route().source.address.to_string() + ": " +
                    without_try_again(refused->reason) + ".");
  }
  for (const auto& [ask, error] : answers) ask->key_done(*error);
}

void MoveJob::set_server_problem(std::string text) {
  {
    const std::lock_guard lock(problem_mutex_);
    if (server_problem_ == text) return;
    server_problem_ = std::move(text);
  }
  tell_problem();
}

void MoveJob::set_key_problem(std::string text) {
  {
    const std::lock_guard lock(problem_mutex_);
    if (key_problem_ == text) return;
    key_problem_ = std::move(text);
  }
  tell_problem();
}

void MoveJob::tell_problem() {
  // Told in the order of the changes, so under the lock; observers do not block.
  const std::lock_guard lock(problem_mutex_);
  const std::string& text = server_problem_.empty() ? key_problem_ : server_problem_;
  if (text == told_problem_) return;
  told_problem_ = text;
  observer_.job_problem(id_, text);
}

}  // namespace pikaproxy
