#include <utility>

#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/move_job.h"
#include "dashboard/mover/move_job_session.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;
using State = KeyResult::State;

constexpr size_t kBatchKeys = 128;
// How long the background waits at most, each time, for keys that are asked for.
constexpr milliseconds kAskedFirst(1);

}  // namespace

// Keys that proxies ask for, because a client waits for them.

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

}  // namespace pikaproxy
