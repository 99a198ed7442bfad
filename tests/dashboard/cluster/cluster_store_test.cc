#include "dashboard/cluster/cluster_store.h"

#include <random>

#include <doctest/doctest.h>

#include "dashboard/store/schema.h"
#include "tests/common/temporary_directory.h"

using namespace pikaproxy;

namespace {

GroupSpec spec(uint16_t port) {
  GroupSpec spec;
  spec.master = {"127.0.0.1", port, ""};
  spec.replicas = {{"::1", port, ""}, {"", 0, "/tmp/r" + std::to_string(port)}};
  spec.username = "u";
  spec.password = "p'\"%";
  spec.weight = port % 7;
  return spec;
}

std::vector<SlotAssignment> all_slots(uint32_t group) {
  std::vector<SlotAssignment> assignments;
  for (SlotId slot = 0; slot < kSlotCount; ++slot) assignments.push_back({slot, group});
  return assignments;
}

void check_equal(const ClusterState& a, const ClusterState& b) {
  CHECK(a.topology == b.topology);
  CHECK(a.next_migration_id == b.next_migration_id);
  CHECK(a.next_plan_id == b.next_plan_id);
  REQUIRE(a.migrations.size() == b.migrations.size());
  for (const auto& [id, migration] : a.migrations) CHECK(*migration == *b.migrations.at(id));
  REQUIRE(a.plans.size() == b.plans.size());
  for (const auto& [id, plan] : a.plans) CHECK(*plan == *b.plans.at(id));
}

// States as they follow one another in a life with everything in it.
std::vector<ClusterState> life() {
  std::vector<ClusterState> states(1);
  states[0].topology.version = 1;
  const auto then = [&](StateOutcome next) {
    REQUIRE(next.ok());
    REQUIRE(find_contradiction(*next) == "");
    states.push_back(*next);
  };
  const auto now = [&]() -> const ClusterState& { return states.back(); };
  for (uint16_t port = 7001; port <= 7003; ++port) {
    then(change_topology(now(), [&](const auto& old) { return create_group(old, spec(port)); }));
  }
  then(change_topology(now(),
                       [](const auto& old) { return assign_slots(old, all_slots(1), false); }));
  // Names go round, which no order of single rows could write.
  then(change_topology(now(), [](const ClusterTopology& old) -> TopologyOutcome {
    ClusterTopology next = old;
    ++next.version;
    std::swap(next.groups.at(1).name, next.groups.at(2).name);
    return next;
  }));
  Plan plan;
  plan.topology_version = now().topology.version;
  plan.moves = {{1, 2, {5, 6, 7}, 10, 1000}};
  plan.before = {{1, {1024, 2, 3, 4}}};
  plan.warnings = {"w\xff"};
  plan.created_by = "alice";
  plan.expires_at = 5000;
  plan.warnings = {"w"};
  then(add_plan(now(), plan, 1000));
  MigrationRequest request;
  request.moves = *moves_of_plan(now(), 1, 1000);
  request.plan_id = 1;
  request.created_by = "alice";
  request.limits = {100, 1000};
  then(create_migration(now(), request, 1234));
  then(remove_plan(now(), 1));
  then(start_migration(now(), 1, 1300));
  then(set_mover(now(), 1, {1, 2}, MoverKind::kCopy));
  then(prepare_slots(now(), 1, {5, 6}));
  then(move_slots(now(), 1, {5, 6}));
  then(add_warning(now(), 1, "a warning"));
  then(settle_slots(now(), 1, {5}));
  then(complete_slots(now(), 1, {5}));
  then(cancel_migration(now(), 1, true));
  then(sort_out_cancelled(now(), 1));
  then(lock_cancelled_slots(now(), 1, {6}));
  then(return_slots(now(), 1, {6}));
  then(settle_slots(now(), 1, {6}));
  then(complete_slots(now(), 1, {6}));
  then(prepare_slots(now(), 1, {5}));
  then(move_slots(now(), 1, {5}));
  then(settle_slots(now(), 1, {5}));
  then(complete_slots(now(), 1, {5}));
  then(add_moved(now(), 1, 7, 70));
  then(end_migration(now(), 1, "", 1400));
  then(change_topology(now(), [](const auto& old) { return delete_group(old, 3); }));
  return states;
}

}  // namespace

TEST_SUITE("dashboard/cluster/cluster_store") {
  TEST_CASE("an empty store gives an empty topology of version 1") {
    auto database = Database::open(":memory:", schema_upgrades());
    REQUIRE(database.ok());
    const ClusterState state = load_cluster(**database);
    CHECK(state.topology.version == 1);
    CHECK(state.topology.groups.empty());
    CHECK(find_contradiction(state) == "");
  }

  TEST_CASE("what was saved is what is loaded, after every decision and a new start") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("pikaproxy.db");
    const auto states = life();
    for (size_t i = 1; i < states.size(); ++i) {
      CAPTURE(i);
      auto database = Database::open(path, schema_upgrades());
      REQUIRE(database.ok());
      const ClusterState before = load_cluster(**database);
      check_equal(before, states[i - 1]);
      save_cluster(**database, before, states[i]);
    }
    auto database = Database::open(path, schema_upgrades());
    REQUIRE(database.ok());
    check_equal(load_cluster(**database), states.back());
  }

  TEST_CASE("from any state to any other is one transaction: a failure leaves the first") {
    auto database = Database::open(":memory:", schema_upgrades());
    REQUIRE(database.ok());
    const auto states = life();
    save_cluster(**database, load_cluster(**database), states[12]);
    // The last statement of a decision fails.
    (*database)->transact([](Database::Transaction& transaction) {
      transaction.run(
          "CREATE TRIGGER refuse BEFORE INSERT ON meta BEGIN SELECT RAISE(ABORT, 'no'); END");
    });
    CHECK_THROWS_AS(save_cluster(**database, states[12], states[4]), StoreError);
    check_equal(load_cluster(**database), states[12]);
    CHECK((*database)->write_problem() == "");  // Reading worked since.
    (*database)->transact(
        [](Database::Transaction& transaction) { transaction.run("DROP TRIGGER refuse"); });
    save_cluster(**database, states[12], states[4]);
    check_equal(load_cluster(**database), states[4]);
  }

  TEST_CASE("a store that contradicts itself is refused") {
    auto database = Database::open(":memory:", schema_upgrades());
    REQUIRE(database.ok());
    save_cluster(**database, load_cluster(**database), life()[5]);
    const char* change = "";
    SUBCASE("a group without a master") {
      change = "UPDATE servers SET is_master = 0";
    }
    SUBCASE("a locked slot nobody migrates") {
      change = "UPDATE slots SET state = 'locked' WHERE slot = 1";
    }
    SUBCASE("an unknown state") {
      change = "UPDATE slots SET state = 'x' WHERE slot = 1";
    }
    SUBCASE("a version that is no number") {
      change = "UPDATE meta SET value = 'x' WHERE name = 'topology_version'";
    }
    (*database)->transact([&](Database::Transaction& transaction) { transaction.run(change); });
    CHECK_THROWS_AS(load_cluster(**database), StoreError);
  }
}
