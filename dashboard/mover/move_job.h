#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/slot.h"
#include "dashboard/mover/batch_size.h"
#include "dashboard/mover/move_ask.h"
#include "dashboard/mover/move_budget.h"
#include "dashboard/mover/move_engine.h"
#include "dashboard/mover/mover.h"
#include "dashboard/mover/scan_ahead.h"

namespace pikaproxy {

// One job of the engine: its slots, the keys that are on their way, and the threads that carry
// them: one scans the source, with one that
// scans ahead of it, a few move what proxies ask for. Each key is carried by one thread at
// a time; who asks for it meanwhile waits for that one.
//
//   ask() ──> queued_ ──> worker ──┐                      ┌──> waiters of the key
//                │                 ├── moves_ (per key) ──┤
//   background: SCAN ──> batch ────┘                      └──> removals that wait for the slot
//
// While MIGRATE moves a batch, the source does nothing else: what is asked for meanwhile would wait
// anyway, and goes with the next batch.
class MoveJob {
 public:
  MoveJob(uint64_t id, MoveRoute route, MoveLimits limits, const std::string& cluster,
          const std::string& instance, MoveObserver& observer);
  ~MoveJob();  // As stop().

  void set_limits(MoveLimits limits);
  void set_background(bool on);
  void add_slots(const std::vector<SlotId>& slots);
  // `lost`: as MoveEngine::abandon_slots().
  void remove_slots(const std::vector<SlotId>& slots, std::optional<RouteEnd> lost,
                    std::function<void(std::string)> done);
  void reconcile(const std::vector<SlotId>& slots, std::optional<RouteEnd> stands,
                 std::function<void(std::string)> done);
  MoveProgress progress() const;
  bool has_slots() const;
  // False: the slot is none of ours (any more), nothing was done with `ask`.
  bool ask(SlotId slot, uint32_t db, std::vector<std::string>&& keys,
           const std::shared_ptr<MoveAsk>& ask);
  // Ends the threads. What waits gets an error.
  void stop();

 private:
  using Done = std::function<void(std::string)>;
  using MoveKey = std::pair<uint32_t, std::string>;
  struct MoveKeyHash {
    size_t operator()(const MoveKey& key) const noexcept {
      return std::hash<std::string>()(key.second) ^ (key.first * 0x9E3779B9u);
    }
  };
  struct KeyMove {
    SlotId slot = 0;
    bool running = false;
    std::vector<std::shared_ptr<MoveAsk>> waiters;
  };
  struct SlotState {
    bool open = false;
    bool clean = false;      // Told so.
    uint64_t added_in = 0;   // The pass that ran, or was last to run, when it was added.
    uint32_t under_way = 0;  // Keys in moves_.
  };
  struct Removal {
    std::vector<SlotId> slots;
    std::optional<RouteEnd> end;  // That is lost; of a reconcile: where keys stand.
    Done done;
  };
  struct Batch {
    uint32_t db = 0;
    std::vector<std::string> keys;
    std::vector<KeyResult> results;
  };
  class Session;

  void run_worker();
  void run_background();

  // Carries batch.keys, which are in moves_ and running, and tells who waits for them.
  void carry(Session& session, Batch& batch);
  void try_carry(Session& session, Batch& batch);
  // With mutex_ held: from queued_, keys of one database (the first's, or `db`), now running.
  Batch take_queued(std::optional<uint32_t> db);
  // With mutex_ held: whether a worker should.
  bool is_queued_for_workers() const;
  // Keys that proxies asked for, without those that are gone, which are finished.
  struct Asked {
    Batch small;
    std::vector<Batch> large;  // One key each.
  };
  Asked sort_asked(Session& session, Batch batch);
  void finish(Batch& batch);
  // With mutex_ held: hands removals that have nothing to wait for to the workers.
  void release_removals();
  void complete_removal(Session& session, Removal removal);
  std::string resolve_unfinished(Session& session, const Removal& removal);
  void run_reconcile(Session& session, const Removal& task);
  std::string reconcile_slots(Session& session, const Removal& task);
  // Leaves each of `keys` that both ends have at the one whose copy stands.
  std::string reconcile_keys(Session& session, uint32_t db, const std::vector<std::string>& keys,
                             std::optional<RouteEnd> stands);

  struct Pass;
  // Once through the source. False: it was not completed.
  bool scan_source(Session& session, Pass& pass);
  void note_found(const ScanAhead::Chunk& chunk, Pass& pass);
  bool drain_slots(Session& session, Pass& pass);
  bool move_found(Session& session, ScanAhead::Chunk& chunk, Pass& pass);
  bool move_some(Session& session, Batch& batch, Pass& pass);
  void announce_large(uint32_t db, const std::string& key, uint64_t bytes);
  // Waits for the budget; false: paused, without slots, or stopping.
  bool may_go_on();
  // Lets keys that clients wait for go first, within bounds.
  void let_asked_go_first();
  // What is queued of this database, and not large: the background carries it from here on, until
  // leave_asked().
  Batch take_asked(Session& session, uint32_t db);
  // With mutex_ held: the workers carry all that is queued.
  void leave_asked();
  // False: stopping.
  bool wait_for_work();
  void wait_before_next_pass(std::chrono::milliseconds pause);

  void set_server_problem(std::string text);
  void set_key_problem(std::string text);
  void tell_problem();
  bool is_wanted(const std::string& key) const noexcept;

  // Constant after construction.
  const uint64_t id_;
  MoveObserver& observer_;
  StopSignal stop_;
  RouteState state_;

  // Slots that are to be moved, as carriers of large keys look at them. Any thread.
  std::array<std::atomic<bool>, kSlotCount> wanted_{};

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable work_;        // Workers.
  std::condition_variable background_;  // The background thread.
  bool stopping_ = false;
  bool background_on_ = true;
  uint64_t changes_ = 0;  // Counts what the background should look at before it sleeps on.
  uint64_t pass_ = 0;
  std::map<SlotId, SlotState> slots_;
  std::unordered_map<MoveKey, KeyMove, MoveKeyHash> moves_;
  std::deque<MoveKey> queued_;
  std::deque<Batch> large_asked_;       // Running; for the workers.
  std::optional<uint32_t> taken_db_;    // Whose queued keys the background carries.
  uint32_t carrying_asked_ = 0;         // Workers that move keys that were asked for.
  std::condition_variable asked_done_;  // The background thread.
  std::vector<Removal> removals_;       // Wait for moves.
  std::deque<Removal> ready_removals_;  // Wait for a worker.
  std::deque<Removal> reconciles_;
  MoveLimits limits_;
  MoveBudget budget_;
  MoveProgress progress_;

  std::mutex problem_mutex_;
  // Guarded by problem_mutex_.
  std::string server_problem_;
  std::string key_problem_;
  std::string told_problem_;

  // Background thread only.
  BatchSize batch_size_;
  std::set<MoveKey> announced_;

  std::vector<std::thread> threads_;
};

}  // namespace pikaproxy
