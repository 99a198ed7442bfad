#include "dashboard/mover/move_job.h"

#include <algorithm>
#include <iterator>

#include "common/log.h"
#include "common/text.h"
#include "dashboard/http/http_workers.h"
#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/pika_keys.h"
#include "dashboard/mover/slots_mover.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;
using End = RouteState::End;
using State = KeyResult::State;

constexpr size_t kWorkers = 4;
// Of those that proxies ask for.
constexpr size_t kBatchKeys = 128;
// How long the background waits at most, each time, for those.
constexpr milliseconds kAskedFirst(1);
constexpr uint64_t kBatchBytes = 2 << 20;
constexpr milliseconds kPauseFirst(50);
constexpr milliseconds kPauseLongest(3000);
constexpr size_t kAnnouncedMax = 1000;
constexpr std::string_view kTryAgain = "TRYAGAIN ";
constexpr std::string_view kShuttingDown = "The move engine is shutting down.";

std::string without_code(const std::string& reason) {
  return reason.starts_with(kTryAgain) ? reason.substr(kTryAgain.size()) : reason;
}

}  // namespace

// What one thread moves keys with.
class MoveJob::Session {
 public:
  explicit Session(MoveJob& job)
      : links(job.state_),
        mover(make_mover(links, [&job](const std::string& key) { return job.is_wanted(key); })) {}

  MoveLinks links;
  std::unique_ptr<Mover> mover;
};

// Once through the source.
struct MoveJob::Pass {
  uint64_t number = 0;
  std::array<uint32_t, kSlotCount> found{};
  uint64_t keys_total = 0;  // All databases, at the beginning; 0 = not known.
  uint64_t keys_scanned = 0;
  uint64_t keys_found = 0;
  uint64_t keys_moved = 0;
  uint64_t keys_refused = 0;
  uint64_t keys_unknown = 0;
  bool is_hopeless = false;  // No other key would fare better.
  std::string refusal;       // Of the first key that was refused.
};

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

// Workers.

void MoveJob::run_worker() {
  Session session(*this);
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] {
      return stopping_ || !large_asked_.empty() || is_queued_for_workers() ||
             !ready_removals_.empty() || !reconciles_.empty();
    });
    if (stopping_) return;
    if (!ready_removals_.empty()) {
      Removal removal = std::move(ready_removals_.front());
      ready_removals_.pop_front();
      lock.unlock();
      complete_removal(session, std::move(removal));
      lock.lock();
      continue;
    }
    std::vector<Batch> large;
    Batch batch;
    if (!large_asked_.empty()) {
      large.push_back(std::move(large_asked_.front()));
      large_asked_.pop_front();
    } else if (is_queued_for_workers()) {
      batch = take_queued(std::nullopt);
      if (batch.keys.empty()) continue;
    } else if (!reconciles_.empty()) {
      const Removal task = std::move(reconciles_.front());
      reconciles_.pop_front();
      lock.unlock();
      run_reconcile(session, task);
      lock.lock();
      continue;
    }
    if (is_queued_for_workers()) work_.notify_one();
    ++carrying_asked_;
    lock.unlock();
    if (!batch.keys.empty()) {
      Asked asked = sort_asked(session, std::move(batch));
      // Who waits for a small key does not wait for a large one.
      if (!asked.small.keys.empty()) carry(session, asked.small);
      large = std::move(asked.large);
    }
    for (Batch& one : large) carry(session, one);
    lock.lock();
    if (--carrying_asked_ == 0 && queued_.empty()) asked_done_.notify_all();
  }
}

bool MoveJob::is_queued_for_workers() const {
  return !queued_.empty() && queued_.front().first != taken_db_;
}

MoveJob::Batch MoveJob::take_queued(std::optional<uint32_t> db) {
  Batch batch;
  while (!queued_.empty() && batch.keys.size() < kBatchKeys) {
    MoveKey& next = queued_.front();
    const auto entry = moves_.find(next);
    if (entry != moves_.end() && !entry->second.running) {
      if (db && next.first != *db) break;
      db = next.first;
      entry->second.running = true;
      batch.keys.push_back(std::move(next.second));
    }
    queued_.pop_front();
  }
  batch.db = db.value_or(0);
  return batch;
}

MoveJob::Asked MoveJob::sort_asked(Session& session, Batch batch) {
  std::vector<std::optional<uint64_t>> bytes;
  {
    const auto gate = state_.enter();
    // Without an answer, all go on together and meet the reason there.
    if (!gate || !probe_keys(session.links, batch.db, batch.keys, bytes)) {
      bytes.assign(batch.keys.size(), 0);
    }
  }
  Batch absent{batch.db, {}, {}};
  Asked asked{{batch.db, {}, {}}, {}};
  RouteState::Attempt attempt{};
  for (size_t i = 0; i < batch.keys.size(); ++i) {
    std::string& key = batch.keys[i];
    KeyResult result;
    result.bytes = bytes[i].value_or(0);
    if (!bytes[i] && !state_.unfinished(batch.db, key, attempt)) {
      result.state = State::kMoved;
      absent.keys.push_back(std::move(key));
      absent.results.push_back(std::move(result));
    } else if (result.bytes > kLargeKeyBytes) {
      asked.large.push_back({batch.db, {std::move(key)}, {std::move(result)}});
    } else {
      asked.small.keys.push_back(std::move(key));
      asked.small.results.push_back(std::move(result));
    }
  }
  if (!absent.keys.empty()) finish(absent);
  return asked;
}

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
    set_server_problem(without_code(lost->reason));
  } else if (any_moved) {
    set_server_problem("");
  }
  if (refused) {
    set_key_problem("Key " + quote(*refused_key) + " of database " + std::to_string(batch.db) +
                    " stays at " + state_.route().source.address.to_string() + ": " +
                    without_code(refused->reason) + ".");
  }
  for (const auto& [ask, error] : answers) ask->key_done(*error);
}

void MoveJob::release_removals() {
  bool released = false;
  for (auto it = removals_.begin(); it != removals_.end();) {
    const bool waits = std::any_of(it->slots.begin(), it->slots.end(), [this](SlotId slot) {
      const auto found = slots_.find(slot);
      return found != slots_.end() && found->second.under_way > 0;
    });
    if (waits) {
      ++it;
      continue;
    }
    ready_removals_.push_back(std::move(*it));
    it = removals_.erase(it);
    released = true;
  }
  if (released) work_.notify_all();
}

void MoveJob::complete_removal(Session& session, Removal removal) {
  std::string error;
  {
    const auto gate = removal.end ? state_.enter_without(*removal.end) : state_.enter_alone();
    error = gate ? resolve_unfinished(session, removal) : gate.error();
  }
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : removal.slots) {
      if (error.empty()) {
        slots_.erase(slot);
        continue;
      }
      const auto found = slots_.find(slot);
      if (found == slots_.end()) continue;
      found->second.open = true;
      wanted_[slot].store(true);
    }
    ++changes_;
  }
  background_.notify_all();
  removal.done(std::move(error));
}

std::string MoveJob::resolve_unfinished(Session& session, const Removal& removal) {
  if (removal.end == End::kTarget) return {};  // What it has is lost, whole or not.
  std::array<bool, kSlotCount> ours{};
  for (const SlotId slot : removal.slots) ours[slot] = true;
  for (const auto& [key, attempt] : state_.unfinished()) {
    if (!ours[slot_of(key.second)]) continue;
    if (attempt == RouteState::Attempt::kWriting) {
      // Whether the source still has it or it expired there: the target's copy was never served.
      ServerLink* const target = session.links.get(End::kTarget, key.first);
      const Reply deleted = target ? target->call({"DEL", key.second}, kCommandTimeout) : Reply();
      if (deleted.kind != Reply::Kind::kInteger) {
        if (target && target->is_broken()) session.links.lose(End::kTarget);
        return "An unfinished copy of key " + quote(key.second) + " cannot be removed at " +
               state_.route().target.address.to_string() + ": " +
               (deleted.is_error() ? printable(deleted.text) : session.links.error());
      }
    } else if (!removal.end) {
      const std::string error = reconcile_keys(session, key.first, {key.second}, std::nullopt);
      if (!error.empty()) return error;
    }
    state_.set_finished(key.first, key.second);
  }
  return {};
}

void MoveJob::run_reconcile(Session& session, const Removal& task) {
  std::string error = reconcile_slots(session, task);
  task.done(std::move(error));
}

std::string MoveJob::reconcile_slots(Session& session, const Removal& task) {
  std::array<bool, kSlotCount> ours{};
  for (const SlotId slot : task.slots) ours[slot] = true;
  {
    const auto gate = state_.enter();
    if (!gate) return gate.error();
  }
  ServerLink* source = session.links.source();
  if (!source) return session.links.error();
  const auto info = ServerInfo::ask(*source, kCommandTimeout);
  if (!info) return info.error();
  const auto databases = list_databases(*source, info->is_pika(), kCommandTimeout);
  if (!databases) return databases.error();
  std::vector<std::string> keys;
  std::string error;
  for (const DatabaseSize& database : *databases) {
    std::string cursor = "0";
    do {
      if (stop_.is_raised()) return std::string(kShuttingDown);
      source = session.links.get(End::kSource, database.db);
      if (!source) return session.links.error();
      if (!scan_step(*source, cursor, keys, error, kCommandTimeout)) {
        if (source->is_broken()) session.links.lose(End::kSource);
        return error;
      }
      std::erase_if(keys, [&](const std::string& key) {
        return is_internal_key(key, info->is_pika()) || !ours[slot_of(key)];
      });
      if (keys.empty()) continue;
      // Alone: a copy that is just being made is at both, too.
      const auto gate = state_.enter_alone();
      if (!gate) return gate.error();
      error = reconcile_keys(session, database.db, keys, task.end);
      if (!error.empty()) return error;
    } while (cursor != "0");
  }
  return {};
}

std::string MoveJob::reconcile_keys(Session& session, uint32_t db,
                                    const std::vector<std::string>& keys,
                                    std::optional<RouteEnd> stands) {
  std::vector<std::string> both = keys;
  std::vector<Reply> replies;
  for (const End end : {End::kSource, End::kTarget}) {
    bool is_pika = false;
    if (both.empty()) return {};
    if (!session.links.ask_is_pika(end, is_pika)) return session.links.error();
    ServerLink* const link = session.links.get(end, db);
    if (!link) return session.links.error();
    auto there = present_keys(*link, is_pika, both, kCommandTimeout);
    if (!there) {
      if (link->is_broken()) session.links.lose(end);
      return there.error();
    }
    both = std::move(*there);
  }
  if (both.empty()) return {};
  // MIGRATE never replaces, and deletes at the source what the target has; a copy counts only once
  // the source's is deleted; codis-server overwrites.
  const bool target_stands =
      stands ? *stands == End::kTarget : state_.route().mover == MoverKind::kMigrate;
  const End loser = target_stands ? End::kSource : End::kTarget;
  ServerLink* const link = session.links.get(loser, db);
  if (!link) return session.links.error();
  for (const std::string& key : both) link->add({"DEL", key});
  if (!link->exchange(replies, kCommandTimeout)) {
    session.links.lose(loser);
    return session.links.error();
  }
  for (const Reply& reply : replies) {
    if (reply.kind != Reply::Kind::kInteger) {
      return "Server " + state_.server(loser).address.to_string() + " refuses DEL (" +
             printable(reply.text) + "): allow it to its user.";
    }
  }
  log_info("keys at both ends of a move resolved", "job", id_, "keys", both.size(), "left_at",
           state_.server(loser == End::kSource ? End::kTarget : End::kSource).address.to_string());
  return {};
}

// Background.

bool MoveJob::wait_for_work() {
  std::unique_lock lock(mutex_);
  background_.wait(lock, [this] {
    return stopping_ ||
           (background_on_ && std::any_of(slots_.begin(), slots_.end(), [](const auto& entry) {
              return entry.second.open && !entry.second.clean;
            }));
  });
  return !stopping_;
}

void MoveJob::wait_before_next_pass(milliseconds pause) {
  std::unique_lock lock(mutex_);
  const uint64_t changes = changes_;
  background_.wait_for(lock, pause, [&] { return stopping_ || changes_ != changes; });
}

bool MoveJob::may_go_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (stopping_ || !background_on_) return false;
    if (std::none_of(slots_.begin(), slots_.end(),
                     [](const auto& entry) { return entry.second.open; })) {
      return false;
    }
    const auto free_at = budget_.free_at();
    if (free_at <= MoveBudget::Time::clock::now()) return true;
    leave_asked();
    background_.wait_until(lock, free_at);
  }
}

void MoveJob::let_asked_go_first() {
  std::unique_lock lock(mutex_);
  asked_done_.wait_for(lock, kAskedFirst,
                       [this] { return stopping_ || (queued_.empty() && carrying_asked_ == 0); });
}

MoveJob::Batch MoveJob::take_asked(Session& session, uint32_t db) {
  Batch batch;
  {
    const std::lock_guard lock(mutex_);
    taken_db_ = db;
    batch = take_queued(db);
    if (is_queued_for_workers()) work_.notify_one();
  }
  if (batch.keys.empty()) return batch;
  Asked asked = sort_asked(session, std::move(batch));
  if (!asked.large.empty()) {
    const std::lock_guard lock(mutex_);
    for (Batch& one : asked.large) large_asked_.push_back(std::move(one));
    work_.notify_one();
  }
  return std::move(asked.small);
}

void MoveJob::leave_asked() {
  taken_db_.reset();
  if (!queued_.empty()) work_.notify_one();
}

void MoveJob::run_background() {
  Session session(*this);
  milliseconds pause(0);
  while (wait_for_work()) {
    Pass pass;
    {
      const std::lock_guard lock(mutex_);
      pass.number = ++pass_;
    }
    const bool complete = state_.route().mover == MoverKind::kSlots ? drain_slots(session, pass)
                                                                    : scan_source(session, pass);
    if (complete) {
      set_server_problem("");
      if (pass.keys_refused == 0) set_key_problem("");
      std::vector<SlotId> clean;
      {
        const std::lock_guard lock(mutex_);
        for (auto& [slot, state] : slots_) {
          // A slot that was added during the pass may have been looked at in part only. A key that
          // somebody else moves just now and that stays would have been found.
          if (!state.open || state.clean || state.added_in >= pass.number || pass.found[slot] > 0) {
            continue;
          }
          state.clean = true;
          clean.push_back(slot);
        }
        progress_.keys_seen_left = pass.keys_found - std::min(pass.keys_found, pass.keys_moved);
      }
      for (const SlotId slot : clean) observer_.slot_clean(id_, slot);
    }
    if (complete && pass.keys_refused == 0 && pass.keys_unknown == 0) {
      // Found and moved all: look again at once, that should be the last time.
      pause = milliseconds(0);
      if (pass.keys_found > 0) continue;
    }
    pause = std::clamp(pause * 2, kPauseFirst, kPauseLongest);
    wait_before_next_pass(pause);
  }
}

bool MoveJob::scan_source(Session& session, Pass& pass) {
  {
    // Also when there is nothing to move: what was given up may still come late.
    const auto gate = state_.enter();
    if (!gate) {
      set_server_problem(gate.error());
      return false;
    }
  }
  ServerLink* const source = session.links.source();
  if (!source) {
    set_server_problem(session.links.error());
    return false;
  }
  const auto info = ServerInfo::ask(*source, kCommandTimeout);
  const auto databases = info ? list_databases(*source, info->is_pika(), kCommandTimeout)
                              : Result<std::vector<DatabaseSize>>(Error{info.error()});
  if (!databases) {
    if (source->is_broken()) session.links.lose(End::kSource);
    set_server_problem(databases.error());
    return false;
  }
  for (const DatabaseSize& database : *databases) pass.keys_total += database.keys;
  ScanAhead ahead(state_, *databases, [this, is_pika = info->is_pika()](const std::string& key) {
    return is_wanted(key) && !is_internal_key(key, is_pika);
  });
  ScanAhead::Chunk chunk;
  while (ahead.next(chunk)) {
    if (!may_go_on()) return false;
    note_found(chunk, pass);
    if (chunk.keys.empty()) continue;
    const bool went_on = move_found(session, chunk, pass);
    const std::lock_guard lock(mutex_);
    leave_asked();
    if (!went_on) return false;
  }
  if (!ahead.error().empty()) set_server_problem(ahead.error());
  return ahead.error().empty();
}

void MoveJob::note_found(const ScanAhead::Chunk& chunk, Pass& pass) {
  pass.keys_scanned += chunk.scanned;
  pass.keys_found += chunk.keys.size();
  for (const std::string& key : chunk.keys) ++pass.found[slot_of(key)];
  const uint64_t to_scan = pass.keys_total - std::min(pass.keys_total, pass.keys_scanned);
  const double share = static_cast<double>(pass.keys_found) /
                       static_cast<double>(std::max<uint64_t>(pass.keys_scanned, 1));
  const std::lock_guard lock(mutex_);
  progress_.keys_seen_left = pass.keys_found - std::min(pass.keys_found, pass.keys_moved) +
                             static_cast<uint64_t>(share * static_cast<double>(to_scan));
}

bool MoveJob::move_found(Session& session, ScanAhead::Chunk& chunk, Pass& pass) {
  const uint32_t db = chunk.db;
  std::vector<std::string>& keys = chunk.keys;
  const std::vector<std::optional<uint64_t>>& bytes = chunk.bytes;
  Batch batch{db, {}, {}};
  uint64_t batch_bytes = 0;
  const auto move_batch = [&] {
    if (batch.keys.empty()) return true;
    const bool went_on = move_some(session, batch, pass);
    batch = {db, {}, {}};
    batch_bytes = 0;
    return went_on;
  };
  const auto batch_keys = [this] {
    const std::lock_guard lock(mutex_);
    return budget_.batch(batch_size_.keys());
  };
  size_t full = batch_keys();
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!bytes[i]) continue;  // Gone since.
    KeyResult result;
    result.bytes = *bytes[i];
    if (*bytes[i] > kLargeKeyBytes) {
      announce_large(db, keys[i], *bytes[i]);
      Batch alone{db, {std::move(keys[i])}, {std::move(result)}};
      if (!move_some(session, alone, pass)) return false;
      continue;
    }
    batch.keys.push_back(std::move(keys[i]));
    batch.results.push_back(std::move(result));
    batch_bytes += *bytes[i];
    if (batch.keys.size() < full && batch_bytes < kBatchBytes) continue;
    if (!move_batch()) return false;
    full = batch_keys();
  }
  return move_batch();
}

bool MoveJob::move_some(Session& session, Batch& batch, Pass& pass) {
  if (!may_go_on()) return false;
  // Others wait for the source while it executes MIGRATE, but none for a large key.
  const bool takes_asked =
      state_.route().mover == MoverKind::kMigrate && batch.results.front().bytes <= kLargeKeyBytes;
  Batch mine{batch.db, {}, {}};
  Batch asked;
  if (takes_asked) {
    asked = take_asked(session, batch.db);
  } else {
    {
      const std::lock_guard lock(mutex_);
      leave_asked();
    }
    let_asked_go_first();
  }
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < batch.keys.size(); ++i) {
      const SlotId slot = slot_of(batch.keys[i]);
      const auto state = slots_.find(slot);
      if (state == slots_.end() || !state->second.open) continue;
      const auto [entry, is_new] = moves_.try_emplace({batch.db, batch.keys[i]});
      // A queued one is taken over; one that runs is another's.
      if (entry->second.running) continue;
      entry->second.running = true;
      entry->second.slot = slot;
      if (is_new) ++state->second.under_way;
      mine.keys.push_back(std::move(batch.keys[i]));
      mine.results.push_back(std::move(batch.results[i]));
    }
  }
  const size_t found = mine.keys.size();
  std::move(asked.keys.begin(), asked.keys.end(), std::back_inserter(mine.keys));
  std::move(asked.results.begin(), asked.results.end(), std::back_inserter(mine.results));
  if (mine.keys.empty()) return true;
  const auto begin = MoveBudget::Time::clock::now();
  carry(session, mine);
  // Only MIGRATE keeps the source from everything else; a large key says nothing of others.
  if (state_.route().mover == MoverKind::kMigrate && mine.keys.size() > 1) {
    batch_size_.note(mine.keys.size(), MoveBudget::Time::clock::now() - begin);
  }
  uint64_t moved = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < found; ++i) {
    const KeyResult& result = mine.results[i];
    switch (result.state) {
      case State::kMoved:
        ++moved;
        bytes += result.bytes;
        break;
      case State::kStays:
        ++pass.keys_refused;
        pass.is_hopeless |= result.concerns_all;
        break;
      case State::kUnknown:
        ++pass.keys_unknown;
        pass.is_hopeless = true;
        break;
    }
  }
  pass.keys_moved += moved;
  const std::lock_guard lock(mutex_);
  budget_.spend(moved, bytes, MoveBudget::Time::clock::now());
  return !pass.is_hopeless;
}

bool MoveJob::drain_slots(Session& session, Pass& pass) {
  // Only with the SLOTS mover, whose carrier knows the keys of a slot without a scan.
  auto& mover = static_cast<SlotsMover&>(*session.mover);
  {
    const auto gate = state_.enter();
    if (!gate) {
      set_server_problem(gate.error());
      return false;
    }
  }
  ServerLink* const source = session.links.source();
  const auto databases = source ? list_databases(*source, false, kCommandTimeout)
                                : Result<std::vector<DatabaseSize>>(Error{session.links.error()});
  if (!databases) {
    if (source && source->is_broken()) session.links.lose(End::kSource);
    set_server_problem(databases.error());
    return false;
  }
  for (SlotId slot = 0; slot < kSlotCount; ++slot) {
    if (!wanted_[slot].load()) continue;
    for (const DatabaseSize& database : *databases) {
      uint64_t left = 1;
      while (left > 0) {
        if (!may_go_on()) return false;
        KeyResult result;
        uint64_t moved = 0;
        size_t rounds = 0;
        {
          const std::lock_guard lock(mutex_);
          rounds = budget_.batch(kBatchKeys);
          const auto state = slots_.find(slot);
          if (state == slots_.end() || !state->second.open) break;
          ++state->second.under_way;
        }
        {
          const auto gate = state_.enter();
          if (gate) {
            moved = mover.move_slot(database.db, slot, rounds, left, result);
          } else {
            result.reason = std::string(kTryAgain) + gate.error();
          }
        }
        {
          const std::lock_guard lock(mutex_);
          --slots_[slot].under_way;
          progress_.keys_moved += moved;
          progress_.keys_seen_left = left;
          budget_.spend(moved, 0, MoveBudget::Time::clock::now());
          release_removals();
        }
        pass.keys_moved += moved;
        pass.keys_found += moved + left;
        pass.found[slot] += static_cast<uint32_t>(moved + left);
        if (result.state == State::kMoved) continue;
        if (result.state == State::kUnknown) {
          ++pass.keys_unknown;
          set_server_problem(without_code(result.reason));
          return false;
        }
        ++pass.keys_refused;
        set_key_problem("Slot " + std::to_string(slot) + " has a key in database " +
                        std::to_string(database.db) + " that stays at " +
                        state_.route().source.address.to_string() + ": " +
                        without_code(result.reason) + ".");
        if (result.concerns_all) return false;
        break;
      }
    }
  }
  return true;
}

void MoveJob::announce_large(uint32_t db, const std::string& key, uint64_t bytes) {
  if (announced_.size() >= kAnnouncedMax || !announced_.insert({db, key}).second) return;
  observer_.job_warning(id_, "Key " + quote(key) + " of database " + std::to_string(db) +
                                 " is large (" + std::to_string(bytes >> 20) +
                                 " MiB): it moves alone, and its own requests wait for it.");
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
