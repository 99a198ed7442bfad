// Migrations in a world of fakes: all the way, with every trouble, and with the process dying at
// every point where it can.

#include "dashboard/cluster/migration_runner.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <doctest/doctest.h>

#include "dashboard/cluster/cluster_store.h"
#include "dashboard/store/schema.h"
#include "tests/common/temporary_directory.h"
#include "tests/dashboard/cluster/fake_world.h"

using namespace pikaproxy;

namespace {

constexpr SlotId kSlots = 8;  // Of group 1 at the start; each has keysOf(slot).
constexpr int kKeys = 3;

// True as soon as `condition` is; false after a time in which anything would have happened.
template <typename Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

ControllerOptions options() {
  using std::chrono::milliseconds;
  ControllerOptions options;
  options.lock_timeout = [] { return milliseconds(50); };
  options.retry_pause_min = milliseconds(1);
  options.retry_pause_max = milliseconds(20);
  options.push_retry_pause = milliseconds(1);
  options.now = [] { return int64_t{1'000'000}; };
  return options;
}

FakeWorld::Keys first_keys() {
  FakeWorld::Keys keys;
  for (SlotId slot = 0; slot < kSlots; ++slot) {
    for (int i = 0; i < kKeys; ++i) {
      keys[FakeWorld::name_of(7001)][slot].insert(slot * 100 + i);
    }
  }
  return keys;
}

ClusterTopology first_topology(ClusterTopology topology) {
  for (uint16_t port = 7001; port <= 7003; ++port) {
    GroupSpec spec;
    spec.master = {"127.0.0.1", port, ""};
    topology = *create_group(topology, spec);
  }
  std::vector<SlotAssignment> assignments;
  for (SlotId slot = 0; slot < kSlots; ++slot) assignments.push_back({slot, 1});
  return *assign_slots(topology, assignments, false);
}

// A process: the store in a file, the controller and the world around it.
class Process {
 public:
  Process(const TemporaryDirectory& directory, const std::string& file, FakeWorld::Keys keys)
      : world(std::move(keys)) {
    auto opened = Database::open(directory.path(file), schema_upgrades());
    REQUIRE(opened.ok());
    database = std::move(*opened);
    const ClusterState empty = load_cluster(*database);
    if (!empty.topology.groups.empty()) return;
    ClusterState state = empty;
    state.topology = first_topology(empty.topology);
    save_cluster(*database, empty, state);
  }
  ~Process() {
    controller.reset();
    world.end();
  }

  void start() {
    Controller::Parts parts{*database,
                            {{"local", &world}},
                            [this](MoveObserver& observer) { return world.engine(observer); },
                            world.tools(),
                            nullptr,
                            nullptr};
    auto started = Controller::start(options(), std::move(parts));
    REQUIRE(started.ok());
    controller = std::move(*started);
  }

  // Slots 0 to kSlots - 1 to group 2.
  void migrate(uint32_t parallel) {
    MigrationRequest request;
    for (SlotId slot = 0; slot < kSlots; ++slot) request.moves.push_back({slot, 1, 2});
    request.parallel_slots = parallel;
    const auto made = controller->decide(
        [&](const ClusterState& state) { return create_migration(state, request, 1); },
        {.persisted = StopPoint::kMigrationCreated});
    REQUIRE(made.ok());
  }

  void cancel(bool rollback) {
    const auto outcome = controller->decide(
        [&](const ClusterState& state) { return cancel_migration(state, 1, rollback); },
        {.persisted = StopPoint::kCancelRequested});
    REQUIRE(outcome.ok());
    controller->wake_migration(1);
  }

  Migration migration() const { return *controller->state()->migration(1); }
  bool ends() {
    return eventually([this] { return migration().ended(); });
  }

  // Every key is there once, at the group that has its slot, and nobody did what is forbidden.
  void check_keys() {
    const auto state = controller->state();
    CHECK(find_contradiction(*state) == "");
    const FakeWorld::Keys keys = world.keys();
    for (SlotId slot = 0; slot < kSlots; ++slot) {
      CAPTURE(slot);
      const ClusterSlot& entry = state->topology.slots[slot];
      CHECK(entry.state == SlotState::kNormal);
      for (uint16_t group = 1; group <= 3; ++group) {
        const auto at = keys.find(FakeWorld::name_of(static_cast<uint16_t>(7000 + group)));
        const auto of = at == keys.end() ? std::set<int>() : [&] {
          const auto found = at->second.find(slot);
          return found == at->second.end() ? std::set<int>() : found->second;
        }();
        CHECK(of.size() == (group == entry.group ? kKeys : 0));
      }
    }
    for (const std::string& violation : world.violations()) {
      MESSAGE(violation);
      CHECK(false);
    }
  }

  bool all_at(uint32_t group) const {
    const auto state = controller->state();
    for (SlotId slot = 0; slot < kSlots; ++slot) {
      if (state->topology.slots[slot].group != group) return false;
    }
    return true;
  }

  FakeWorld world;
  std::unique_ptr<Database> database;
  std::unique_ptr<Controller> controller;
};

}  // namespace

TEST_SUITE("dashboard/cluster/migration_runner") {
  TEST_CASE("slots move with all their keys, however many at a time") {
    for (const uint32_t parallel : {1, 3, 8, 1024}) {
      CAPTURE(parallel);
      const TemporaryDirectory directory;
      Process process(directory, "pikaproxy.db", first_keys());
      process.start();
      process.migrate(parallel);
      REQUIRE(process.ends());
      CHECK(process.migration().state == MigrationState::kSucceeded);
      CHECK(process.migration().keys_moved == kSlots * kKeys);
      CHECK(process.migration().movers.at({1, 2}) == MoverKind::kCopy);
      CHECK(process.all_at(2));
      CHECK(process.world.jobs() == 0);
      process.check_keys();
    }
  }

  TEST_CASE("keys that the target should not have are purged before, after saying so") {
    const TemporaryDirectory directory;
    Process process(directory, "pikaproxy.db", first_keys());
    process.world.put(7002, 3, 999);
    process.start();
    process.migrate(8);
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kSucceeded);
    REQUIRE(process.migration().warnings.size() == 1);
    CHECK(process.migration().warnings[0].find("127.0.0.1:7002 has 1 keys") == 0);
    process.check_keys();
  }

  TEST_CASE("a proxy that is late gets its slots back, is named, and the lock is tried again") {
    const TemporaryDirectory directory;
    Process process(directory, "pikaproxy.db", first_keys());
    process.world.set_stuck(1'000'000);
    process.start();
    process.migrate(8);
    REQUIRE(eventually([&] {
      const auto problems = process.controller->live(1).problems;
      return !problems.empty() && problems[0].find("proxy local") == 0;
    }));
    REQUIRE(eventually([&] { return process.migration().in_work() == 0; }));
    process.world.set_stuck(0);
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kSucceeded);
    process.check_keys();
  }

  TEST_CASE("a server that cannot be reached is named, and the check is made again") {
    const TemporaryDirectory directory;
    Process process(directory, "pikaproxy.db", first_keys());
    process.world.set_down(7002, true);
    process.start();
    process.migrate(8);
    REQUIRE(eventually([&] {
      const auto problems = process.controller->live(1).problems;
      return !problems.empty() && problems[0] == "server 127.0.0.1:7002 cannot be reached";
    }));
    CHECK(process.migration().count(SlotStep::kPending) == kSlots);
    process.world.set_down(7002, false);
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kSucceeded);
    process.check_keys();
  }

  TEST_CASE("a paused migration begins no slot, and goes on when resumed") {
    const TemporaryDirectory directory;
    Process process(directory, "pikaproxy.db", first_keys());
    process.world.hold({0, 1, 2, 3, 4, 5, 6, 7});
    process.start();
    process.migrate(2);
    REQUIRE(eventually([&] { return process.migration().count(SlotStep::kMigrating) == 2; }));
    REQUIRE(process.controller
                ->decide([](const ClusterState& state) { return pause_migration(state, 1); })
                .ok());
    process.controller->wake_migration(1);
    process.world.hold({});
    CHECK(process.migration().state == MigrationState::kPaused);
    // Limits reach the engine while it is paused, too; that is when the runner has looked.
    REQUIRE(process.controller
                ->decide([](const ClusterState& state) {
                  return set_migration_limits(state, 1, {77, 0}, 2);
                })
                .ok());
    process.controller->wake_migration(1);
    REQUIRE(eventually([&] { return process.world.limits().keys_per_second == 77; }));
    CHECK(process.migration().count(SlotStep::kPending) == kSlots - 2);
    REQUIRE(process.controller
                ->decide([](const ClusterState& state) { return resume_migration(state, 1); })
                .ok());
    process.controller->wake_migration(1);
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kSucceeded);
    process.check_keys();
  }

  TEST_CASE("cancelled: what has moved and what is moving goes back, or is finished") {
    for (const bool rollback : {true, false}) {
      CAPTURE(rollback);
      const TemporaryDirectory directory;
      Process process(directory, "pikaproxy.db", first_keys());
      process.world.hold({4, 5});
      process.start();
      process.migrate(3);
      REQUIRE(eventually([&] {
        const Migration now = process.migration();
        return now.count(SlotStep::kDone) >= 2 && now.find(4)->step == SlotStep::kMigrating;
      }));
      process.cancel(rollback);
      process.world.hold({});
      REQUIRE(process.ends());
      CHECK(process.migration().state == MigrationState::kCancelled);
      CHECK(process.all_at(1) == rollback);
      if (!rollback) CHECK(process.migration().count(SlotStep::kDropped) > 0);
      CHECK(process.world.jobs() == 0);
      process.check_keys();
    }
  }

  TEST_CASE("servers without a mover fail the migration, and retry goes on") {
    const TemporaryDirectory directory;
    Process process(directory, "pikaproxy.db", first_keys());
    std::atomic<bool> refuse = true;
    ServerTools tools = process.world.tools();
    tools.choose = [&](const ServerFacts&, const ServerFacts&) -> Result<MoverKind> {
      if (refuse) return Error{"no mover fits"};
      return MoverKind::kSlots;
    };
    auto started = Controller::start(
        options(), {*process.database,
                    {{"local", &process.world}},
                    [&](MoveObserver& observer) { return process.world.engine(observer); },
                    tools,
                    nullptr,
                    nullptr});
    REQUIRE(started.ok());
    process.controller = std::move(*started);
    process.migrate(8);
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kFailed);
    CHECK(process.migration().error == "no mover fits");
    refuse = false;
    REQUIRE(process.controller
                ->decide([](const ClusterState& state) { return retry_migration(state, 1); })
                .ok());
    process.controller->wake_migration(1);
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kSucceeded);
    process.check_keys();
  }

  TEST_CASE("what cannot be written does not happen, and is tried again") {
    const TemporaryDirectory directory;
    Process process(directory, "pikaproxy.db", first_keys());
    process.start();
    process.world.hold({0, 1, 2, 3, 4, 5, 6, 7});
    process.migrate(8);
    REQUIRE(eventually([&] { return process.migration().count(SlotStep::kMigrating) == kSlots; }));
    process.database->transact([](Database::Transaction& transaction) {
      transaction.run(
          "CREATE TRIGGER refuse BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'full'); END");
    });
    const uint64_t epoch = process.world.epoch();
    process.world.hold({});
    REQUIRE(eventually([&] { return !process.controller->live(1).problems.empty(); }));
    CHECK(process.controller->live(1).problems[0].find("full") != std::string::npos);
    CHECK(process.world.epoch() == epoch);
    const auto refused = process.controller->decide([](const ClusterState& state) {
      return change_topology(state, [](const ClusterTopology& topology) {
        return assign_slots(topology, {{100, 1}}, false);
      });
    });
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.refusal().kind == Refusal::Kind::kStore);
    CHECK(process.controller->state()->topology.slots[100].state == SlotState::kUnassigned);
    process.database->transact(
        [](Database::Transaction& transaction) { transaction.run("DROP TRIGGER refuse"); });
    REQUIRE(process.ends());
    CHECK(process.migration().state == MigrationState::kSucceeded);
    process.check_keys();
  }

#ifdef PIKAPROXY_TEST_HOOKS
  TEST_CASE("the process may die at any point: the next one brings every migration to its end") {
    enum class Story { kMove, kLate, kRollback, kRollbackLate, kFinish };
    std::set<StopPoint> died_at;
    for (const Story story :
         {Story::kMove, Story::kLate, Story::kRollback, Story::kRollbackLate, Story::kFinish}) {
      for (const StopPointName& stop : kStopPoints) {
        // At its first time, and at a later one, when other slots are elsewhere.
        for (const int time : {1, 3}) {
          CAPTURE(static_cast<int>(story));
          CAPTURE(std::string(stop.name));
          CAPTURE(time);
          const bool cancels = story != Story::kMove && story != Story::kLate;
          const bool rolls_back = story == Story::kRollback || story == Story::kRollbackLate;
          const TemporaryDirectory directory;
          FakeWorld::Keys left;
          std::atomic<bool> died = false;
          {
            Process process(directory, "pikaproxy.db", first_keys());
            std::atomic<int> times = 0;
            on_stop_point([&](StopPoint point) {
              if (point != stop.point || ++times != time) return;
              left = process.world.freeze(true);
              if (!process.database->back_up(directory.path("died.db"))) std::abort();
              died = true;
            });
            if (cancels) process.world.hold({4, 5});
            if (story == Story::kLate) process.world.set_stuck(1);
            process.start();
            process.migrate(3);
            const auto is_over = [&] { return died.load() || process.migration().ended(); };
            if (cancels) {
              REQUIRE(eventually([&] {
                const Migration now = process.migration();
                return is_over() || (now.count(SlotStep::kDone) >= 2 &&
                                     now.find(4)->step == SlotStep::kMigrating);
              }));
              if (!is_over()) {
                if (story == Story::kRollbackLate) process.world.set_stuck(1);
                process.cancel(rolls_back);
                // Still held: what migrates has to be turned round, it cannot come to its end.
                REQUIRE(eventually([&] {
                  const Migration now = process.migration();
                  return is_over() || !rolls_back || now.find(4)->back;
                }));
              }
              process.world.hold({});
            }
            REQUIRE(eventually(is_over));
            if (!died) process.check_keys();
            process.controller->stop();
            on_stop_point(nullptr);
          }
          if (!died) continue;
          died_at.insert(stop.point);
          Process next(directory, "died.db", left);
          next.start();
          REQUIRE(eventually([&] { return next.migration().ended() && next.world.jobs() == 0; }));
          const MigrationState end = next.migration().state;
          if (!cancels) CHECK(end == MigrationState::kSucceeded);
          CHECK((end == MigrationState::kSucceeded || end == MigrationState::kCancelled));
          if (end == MigrationState::kSucceeded) CHECK(next.all_at(2));
          if (end == MigrationState::kCancelled && rolls_back) CHECK(next.all_at(1));
          next.check_keys();
        }
      }
    }
    for (const StopPointName& stop : kStopPoints) {
      CAPTURE(std::string(stop.name));
      CHECK(died_at.count(stop.point) == 1);
    }
  }
#endif
}
