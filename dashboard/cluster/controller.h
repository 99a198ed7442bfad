#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/test_hooks.h"
#include "dashboard/cluster/cluster_state.h"
#include "dashboard/cluster/publisher.h"
#include "dashboard/cluster/server_tools.h"
#include "dashboard/events/audit_log.h"
#include "dashboard/events/event_bus.h"
#include "dashboard/mover/move_engine.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

class MigrationRunner;
struct MigrationLive;

struct ControllerOptions {
  using Milliseconds = std::chrono::milliseconds;

  // For all proxies to acknowledge locked slots; asked each time.
  std::function<Milliseconds()> lock_timeout = [] { return Milliseconds(1'000); };
  Milliseconds retry_pause_min{1'000};   // After a step that failed; doubled each time up to
  Milliseconds retry_pause_max{60'000};  // this.
  Milliseconds push_retry_pause{500};
  Milliseconds ask_timeout{3'000};  // For a server to answer.
  // Milliseconds since 1970 UTC.
  std::function<int64_t()> now;
};

// The one writer of the cluster's state. Every decision goes the same way, one at a time:
//
//   validate (a pure function) -> persist (one transaction) -> push the table to proxies -> tell
//
// so what is not on disk is known to nobody, and what cannot be written does not happen. Questions
// to servers, and waiting for proxies, is done by those who ask for decisions, before and after.
// Any thread.
class Controller : public MoveObserver {
 public:
  struct Parts {
    Database& database;  // All outlive the controller.
    std::vector<Publisher::Proxy> proxies;
    std::function<std::unique_ptr<MoveEngine>(MoveObserver&)> make_engine;
    ServerTools tools;
    EventBus* events = nullptr;
    AuditLog* audit = nullptr;
  };
  // Loads the state, undoes what was begun and not yet real when the process ended, pushes the
  // table, goes on with migrations. Errors: what is stored cannot be read, or not be written.
  static Result<std::unique_ptr<Controller>> start(ControllerOptions options, Parts parts);
  ~Controller() override;
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Waits for migrations to come to a place where they can stop. The engine ends too. More than
  // once is harmless.
  void stop();

  std::shared_ptr<const ClusterState> state() const;
  // What is known beside what is stored, of one that is being worked on.
  MigrationLive live(uint64_t migration) const;
  KeyMover& mover() noexcept { return *engine_; }
  const Publisher& publisher() const noexcept { return *publisher_; }
  const ServerTools& tools() const noexcept { return parts_.tools; }
  const ControllerOptions& options() const noexcept { return options_; }
  int64_t now() const { return options_.now(); }

  using Decision = std::function<StateOutcome(const ClusterState&)>;
  struct Terms {
    // Refused as stale when the topology has another one.
    std::optional<uint64_t> expected_version = std::nullopt;
    // Everything is checked, nothing is changed; the outcome is what the state would be.
    bool dry_run = false;
    // Called between writing and pushing.
    std::function<void()> before_push = nullptr;
    std::optional<StopPoint> persisted = std::nullopt;
    std::optional<StopPoint> pushed = std::nullopt;
  };
  // The state afterwards. A StoreError becomes a Refusal of kind kStore.
  Outcome<std::shared_ptr<const ClusterState>> decide(const Decision& decision, const Terms& terms);
  Outcome<std::shared_ptr<const ClusterState>> decide(const Decision& decision) {
    return decide(decision, Terms());
  }

  // After decisions about a migration by operators: its runner looks at it at once, without what
  // is left of its pauses.
  void wake_migration(uint64_t id);

  // For a promotion that is pausing: the migration of its group that still has keys on their way,
  // as a sentence; empty: none, and none will until the promotion has ended.
  std::string busy_migration(const Promotion& promotion) const;

  // For runners: an event with how far the migration has got.
  void tell_progress(uint64_t id);

  // How to log in to the master of a group of `topology`.
  static ServerAccess master_of(const ClusterTopology& topology, uint32_t group);

  // Of MoveObserver; the engine's.
  void slot_clean(uint64_t job, SlotId slot) override;
  void job_problem(uint64_t job, std::string text) override;
  void job_warning(uint64_t job, std::string text) override;

 private:
  friend class MigrationRunner;

  Controller(ControllerOptions options, Parts parts);
  void start_runners(const ClusterState& before, const ClusterState& after);
  void tell(const ClusterState& before, const ClusterState& after);
  void publish_event(std::string_view topic, nlohmann::json data);

  // For runners: a number for a job of the engine's, whose reports go to `runner`.
  uint64_t register_job(MigrationRunner& runner);
  void forget_job(uint64_t job);

  const ControllerOptions options_;
  const Parts parts_;

  std::mutex decision_mutex_;  // Held for a whole decision.

  mutable std::mutex state_mutex_;
  std::shared_ptr<const ClusterState> state_;  // Guarded by state_mutex_; written under both.

  // Never held while something else is called that takes a lock of the controller's.
  mutable std::mutex runners_mutex_;
  std::map<uint64_t, std::shared_ptr<MigrationRunner>> runners_;  // Guarded by runners_mutex_.
  bool stopped_ = false;                                          // Guarded by runners_mutex_.

  std::mutex jobs_mutex_;
  std::map<uint64_t, MigrationRunner*> jobs_;  // Guarded by jobs_mutex_.
  uint64_t next_job_ = 1;                      // Guarded by jobs_mutex_.

  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<MoveEngine> engine_;
};

}  // namespace pikaproxy
