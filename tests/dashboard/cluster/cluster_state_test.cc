#include "dashboard/cluster/cluster_state.h"

#include <random>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

constexpr SlotId kSlots = 6;

// Groups 1 to 3; slots 0 to 5 belong to group 1.
ClusterState example() {
  ClusterState state;
  state.topology.version = 1;
  for (uint16_t port = 7001; port <= 7003; ++port) {
    GroupSpec spec;
    spec.master = {"127.0.0.1", port, ""};
    state.topology = *create_group(state.topology, spec);
  }
  std::vector<SlotAssignment> assignments;
  for (SlotId slot = 0; slot < kSlots; ++slot) assignments.push_back({slot, 1});
  state.topology = *assign_slots(state.topology, assignments, false);
  return state;
}

MigrationRequest request_of(const std::vector<SlotId>& slots, uint32_t to) {
  MigrationRequest request;
  for (const SlotId slot : slots) request.moves.push_back({slot, 1, to});
  return request;
}

}  // namespace

TEST_SUITE("dashboard/cluster/cluster_state") {
  TEST_CASE("one migration only may have a slot at a time") {
    const ClusterState state = *create_migration(example(), request_of({1, 2}, 2), 1);
    CHECK(create_migration(state, request_of({2, 3}, 3), 1).refusal().code == "slot_busy");
    CHECK(create_migration(state, request_of({3, 4}, 3), 1).ok());
    CHECK(state.migration_of(1)->id == 1);
    CHECK(state.migration_of(3) == nullptr);
  }

  TEST_CASE("what cannot be moved is refused, with the reason") {
    const ClusterState state = example();
    CHECK(create_migration(state, request_of({}, 2), 1).refusal().code == "nothing_to_move");
    CHECK(create_migration(state, request_of({1}, 9), 1).refusal().pointer == "/target_group");
    CHECK(create_migration(state, request_of({1}, 1), 1).refusal().pointer == "/slots");
    CHECK(create_migration(state, request_of({1, 1}, 2), 1).refusal().pointer == "/slots");
    CHECK(create_migration(state, request_of({99}, 2), 1).refusal().code == "slot_unassigned");
    MigrationRequest request = request_of({1}, 2);
    request.parallel_slots = 0;
    CHECK(create_migration(state, request, 1).refusal().pointer == "/parallel_slots");
    request.parallel_slots = 1025;
    CHECK(create_migration(state, request, 1).refusal().pointer == "/parallel_slots");
  }

  TEST_CASE("groups and slots of a migration are left alone by operators") {
    const ClusterState state = *create_migration(example(), request_of({1}, 2), 1);
    const auto code = [&](const TopologyChange& change) {
      const auto outcome = change_topology(state, change);
      return outcome ? std::string() : outcome.refusal().code;
    };
    CHECK(code([](const auto& topology) { return delete_group(topology, 2); }) == "group_busy");
    CHECK(code([](const auto& topology) { return delete_group(topology, 3); }) == "");
    CHECK(code([](const auto& topology) {
            return assign_slots(topology, {{1, 3}}, true);
          }) == "slot_busy");
    CHECK(code([](const auto& topology) { return assign_slots(topology, {{2, 3}}, true); }) == "");
    CHECK(code([](const auto& topology) {
            GroupPatch patch;
            patch.password = "x";
            return patch_group(topology, 1, patch);
          }) == "group_busy");
    CHECK(code([](const auto& topology) {
            GroupPatch patch;
            patch.weight = 3;
            return patch_group(topology, 1, patch);
          }) == "");
  }

  TEST_CASE("a plan is good for one version of the topology, and for a time") {
    ClusterState state = example();
    Plan plan;
    plan.topology_version = state.topology.version;
    plan.expires_at = 100;
    plan.moves = {{1, 2, {0, 1}, 0, 0}};
    state = add_plan(state, plan, 0);
    REQUIRE(moves_of_plan(state, 1, 99).ok());
    CHECK(moves_of_plan(state, 1, 99)->size() == 2);
    CHECK(moves_of_plan(state, 1, 100).refusal().kind == Refusal::Kind::kStale);
    CHECK(moves_of_plan(state, 2, 99).refusal().kind == Refusal::Kind::kNotFound);
    const ClusterState changed =
        *change_topology(state, [](const auto& topology) { return delete_group(topology, 3); });
    CHECK(moves_of_plan(changed, 1, 99).refusal().kind == Refusal::Kind::kStale);
    // Those that have expired go when another is made.
    CHECK(add_plan(state, plan, 100).plans.size() == 1);
  }

  TEST_CASE("each state of a migration takes the actions it should, and no other") {
    struct Row {
      MigrationState state;
      bool pause, resume, cancel, retry;
    };
    for (const Row& row : {Row{MigrationState::kPending, true, false, true, false},
                           Row{MigrationState::kRunning, true, false, true, true},
                           Row{MigrationState::kPaused, false, true, true, false},
                           Row{MigrationState::kCancelling, false, false, false, true},
                           Row{MigrationState::kCancelled, false, false, false, false},
                           Row{MigrationState::kFailed, false, false, true, true},
                           Row{MigrationState::kSucceeded, false, false, false, false}}) {
      CAPTURE(std::string(migration_state_name(row.state)));
      ClusterState state = *create_migration(example(), request_of({1}, 2), 1);
      Migration migration = *state.migrations.at(1);
      migration.state = row.state;
      state.migrations[1] = std::make_shared<const Migration>(migration);
      CHECK(pause_migration(state, 1).ok() == row.pause);
      CHECK(resume_migration(state, 1).ok() == row.resume);
      CHECK(cancel_migration(state, 1, true).ok() == row.cancel);
      CHECK(retry_migration(state, 1).ok() == row.retry);
      CHECK(pause_migration(state, 2).refusal().kind == Refusal::Kind::kNotFound);
    }
  }

  TEST_CASE("a failed migration is not revived when its slots are another's") {
    ClusterState state = *create_migration(example(), request_of({1, 2}, 2), 1);
    state = *start_migration(state, 1, 1);
    state = *end_migration(state, 1, "no mover", 2);
    CHECK(state.migration(1)->state == MigrationState::kFailed);
    CHECK(retry_migration(state, 1).ok());
    const ClusterState other = *create_migration(state, request_of({2}, 3), 3);
    CHECK(retry_migration(other, 1).refusal().code == "slot_busy");
    CHECK(cancel_migration(other, 1, true).refusal().code == "slot_busy");
  }

  TEST_CASE("ended migrations are kept, up to a number") {
    ClusterState state = example();
    for (size_t i = 0; i < kMigrationsKept + 5; ++i) {
      const uint64_t id = state.next_migration_id;
      state = *create_migration(state, request_of({1}, 2), 1);
      state = *cancel_migration(state, id, true);
      state = *sort_out_cancelled(state, id);
      state = *end_migration(state, id, "", 2);
    }
    state = *create_migration(state, request_of({1}, 2), 1);
    CHECK(state.migrations.size() == kMigrationsKept + 1);
    CHECK(state.migration(1) == nullptr);
    CHECK(state.next_migration_id == kMigrationsKept + 7);
  }

  TEST_CASE("whatever happens in whatever order, the state never contradicts itself") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto any = [&](uint64_t below) { return random() % below; };
    ClusterState state = example();
    int accepted = 0;
    for (int round = 0; round < 20'000; ++round) {
      const uint64_t id = 1 + any(state.next_migration_id);
      Slots slots;
      const Migration* migration = state.migration(id);
      for (SlotId slot = 0; slot < kSlots; ++slot) {
        if (any(3) == 0) slots.push_back(slot);
      }
      // Mostly slots that are at the same step, or little would be accepted.
      if (migration != nullptr && any(4) != 0) {
        const SlotStep step = migration->slots[any(migration->slots.size())].step;
        slots.clear();
        for (const MigrationSlot& entry : migration->slots) {
          if (entry.step == step) slots.push_back(entry.slot);
        }
      }
      const auto outcome = [&]() -> StateOutcome {
        switch (any(17)) {
          case 0: {
            MigrationRequest request;
            const auto to = static_cast<uint32_t>(1 + any(3));
            for (const SlotId slot : slots) {
              request.moves.push_back({slot, state.topology.slots[slot].group, to});
            }
            return create_migration(state, request, 1);
          }
          case 1:
            return pause_migration(state, id);
          case 2:
            return resume_migration(state, id);
          case 3:
            return any(4) == 0 ? cancel_migration(state, id, any(2) == 0)
                               : retry_migration(state, id);
          case 4:
            return start_migration(state, id, 1);
          case 5:
          case 6:
            return prepare_slots(state, id, slots);
          case 7:
            return revert_slots(state, id, slots);
          case 8:
          case 9:
            return move_slots(state, id, slots);
          case 10:
            return settle_slots(state, id, slots);
          case 11:
            return complete_slots(state, id, slots);
          case 12:
            return lock_cancelled_slots(state, id, slots);
          case 13:
            return any(2) == 0 ? unlock_cancelled_slots(state, id, slots)
                               : return_slots(state, id, slots);
          case 14:
            return sort_out_cancelled(state, id);
          case 15:
            return end_migration(state, id, any(3) == 0 ? "error" : "", 1);
          default:
            return change_topology(state, [&](const ClusterTopology& topology) {
              std::vector<SlotAssignment> assignments;
              for (const SlotId slot : slots) {
                assignments.push_back({slot, static_cast<uint32_t>(1 + any(3))});
              }
              return assign_slots(topology, assignments, true);
            });
        }
      }();
      if (!outcome.ok()) {
        CHECK(outcome.refusal().message != "");
        continue;
      }
      ++accepted;
      REQUIRE(find_contradiction(*outcome) == "");
      REQUIRE(outcome->topology.version >= state.topology.version);
      REQUIRE(outcome->topology.version <= state.topology.version + 1);
      state = *outcome;
    }
    CHECK(accepted > 1000);
    CHECK(state.next_migration_id > 3);
  }
}
