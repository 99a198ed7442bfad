#include <algorithm>
#include <iterator>
#include <utility>

#include "common/text.h"
#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/move_job.h"
#include "dashboard/mover/move_job_session.h"
#include "dashboard/mover/pika_keys.h"
#include "dashboard/mover/slots_mover.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;
using End = RouteState::End;
using State = KeyResult::State;

constexpr size_t kBatchKeys = 128;
constexpr uint64_t kBatchBytes = 2 << 20;
constexpr milliseconds kPauseFirst(50);
constexpr milliseconds kPauseLongest(3000);
constexpr size_t kAnnouncedMax = 1000;

}  // namespace

// The thread that goes through the source until nothing of the job's slots is left there.

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
          set_server_problem(without_try_again(result.reason));
          return false;
        }
        ++pass.keys_refused;
        set_key_problem("Slot " + std::to_string(slot) + " has a key in database " +
                        std::to_string(database.db) + " that stays at " +
                        state_.route().source.address.to_string() + ": " +
                        without_try_again(result.reason) + ".");
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

}  // namespace pikaproxy
