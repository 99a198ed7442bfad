#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dashboard/cluster/controller.h"
#include "dashboard/cluster/retry_pauses.h"

namespace pikaproxy {

// What is known about a migration while it is being worked on, beside what is stored.
struct MigrationLive {
  uint64_t keys_moved = 0;
  uint64_t bytes_moved = 0;
  uint64_t keys_left_estimate = 0;
  double keys_per_second = 0;
  double bytes_per_second = 0;
  std::vector<std::string> problems;  // What keeps it from going on; it is tried again.
};

// Takes one migration through its steps, on a thread of its own:
//
//   look at the state -> do what can be done next -> decide -> look again; nothing to do: wait
//
// What it waits for (a clean slot, a proxy, an operator, the end of a pause) wakes it. Everything
// that must survive is in the Migration; what is here can be lost at any time.
//
// The steps are in files of their own: migration_runner_begin.cc, _finish.cc, _hold.cc, _turn.cc,
// and what the engine is told in _engine.cc.
class MigrationRunner {
 public:
  // Tells the engine about slots that are on their way. Nothing moves before start().
  MigrationRunner(Controller& controller, uint64_t id);
  ~MigrationRunner();
  MigrationRunner(const MigrationRunner&) = delete;
  MigrationRunner& operator=(const MigrationRunner&) = delete;

  void start();
  // The thread ends at the next place where that does no harm; does not wait for it.
  void request_stop();
  // Waits for the thread, as its owner and no other; the runner's own thread may be the last to let
  // go of the object.
  void join();
  // Any thread.
  void wake(bool forget_pauses);
  bool finished() const;
  MigrationLive live() const;
  // Whether no key is on its way that has to do with the promotion's group, and none will be until
  // the promotion has ended.
  bool is_held_for(uint64_t promotion) const;
  // What keeps it from that; may be empty.
  std::string hold_problem() const;

  // Any thread; of the engine's reports.
  void note_clean(uint64_t job, SlotId slot);
  void note_problem(uint64_t job, std::string text);
  void note_warning(std::string text);

 private:
  using Clock = std::chrono::steady_clock;

  // A job of the engine's: one direction of one pair of groups.
  struct Job {
    uint64_t id = 0;
    std::set<SlotId> slots;
    MoveLimits limits;
    bool background = true;
    // Of its progress, what the Migration has counted already.
    uint64_t keys_counted = 0;
    uint64_t bytes_counted = 0;
    std::string problem;
  };
  // What may have to be tried again; and "check A->B" of each way.
  static constexpr char kLocking[] = "lock";
  static constexpr char kTurning[] = "turn";
  static constexpr char kForgetting[] = "forget";
  static constexpr char kHolding[] = "hold";
  static constexpr char kStoring[] = "store";
  // What an engine's answer goes into; may outlive the runner.
  struct Answer {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<std::string> error;
  };

  void run();
  // One look; true if something was done.
  bool work();
  bool start_if_pending(const Migration& migration);
  bool settle_clean(const Migration& migration);
  bool let_go_settled(const Migration& migration);
  bool complete_let_go();
  bool hold(const ClusterState& state);
  bool hold_ways(const ClusterState& state, const std::map<GroupPair, Slots>& by_way);
  void judge(const ClusterState& state, GroupPair way, const Slots& slots);
  bool release(const ClusterState& state);
  std::string reconcile(GroupPair way, const Slots& slots, std::optional<RouteEnd> stands);
  bool turn_back(const Migration& migration);
  bool take_up(const Migration& migration);
  bool end_if_done(const Migration& migration);
  void keep_warnings();
  void apply_settings(const Migration& migration);

  // Fills `mover` and looks after strays; true if slots of this way may be locked.
  bool check_way(GroupPair way, const Slots& slots);
  std::optional<MoverKind> find_mover(GroupPair way, const ServerAccess& source,
                                      const ServerAccess& target);
  bool lock_and_switch(const Slots& slots);
  bool go_back(GroupPair way, const Slots& slots);

  // Until the store takes it or the runner has to stop; false then.
  bool decide_surely(const Controller::Decision& decision, const Controller::Terms& terms);
  bool decide(const Controller::Decision& decision, const Controller::Terms& terms);

  // Opens the job of each way if there is none, and gives it the slots.
  void tell_engine(const Migration& migration, const ClusterTopology& topology,
                   const std::vector<SlotMove>& moves);
  void take_from_jobs(const std::vector<SlotMove>& moves);
  // Waits for what `ask` starts; the error, or "stopped".
  std::string wait_for_engine(const std::function<void(std::function<void(std::string)>)>& ask);
  MoveLimits share_of(const MoveLimits& limits) const;

  void pause(const std::string& what, std::string problem);
  void wait_for_something();
  void measure();
  bool stopping() const;

  Controller& controller_;
  const uint64_t id_;
  RetryPauses pauses_;

  // The thread's own.
  std::set<SlotId> checked_;  // Nothing of them is at the group they go to.
  // On their way since before this process began: there may be keys at both ends.
  std::set<SlotId> inherited_;
  std::map<SlotId, uint64_t> settled_;  // finishing: the version that every proxy must have.
  std::set<SlotId> letting_go_;         // finishing: the engine has been asked to forget them.
  bool over_ = false;                   // The migration has ended.
  bool knows_run_ids_ = false;          // Of the pair of servers that was asked last.
  std::optional<std::string> fatal_;    // Why no further slot can be begun.

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable changed_;
  bool stop_ = false;
  bool finished_ = false;
  bool woken_ = false;
  bool try_again_ = false;  // An operator asked for it.
  std::map<GroupPair, Job> jobs_;
  std::set<SlotId> clean_;
  std::set<uint64_t> held_for_;  // Promotions.
  std::deque<std::string> warnings_;
  std::vector<std::pair<Slots, std::string>> let_go_;  // Answers to letting_go_.
  Clock::time_point measured_at_{};
  uint64_t measured_keys_ = 0;
  uint64_t measured_bytes_ = 0;
  double keys_per_second_ = 0;
  double bytes_per_second_ = 0;

  std::thread thread_;
};

}  // namespace pikaproxy
