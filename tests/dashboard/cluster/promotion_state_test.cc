#include "dashboard/cluster/promotion_state.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

const Address kReplica{"127.0.0.1", 7011, ""};
const ClusterSlot kNormal1{SlotState::kNormal, 1, 0};
const ClusterSlot kLocked1{SlotState::kLocked, 1, 0};

// Group 1, with a replica, has slots 0 to 2; 0 is on its way to group 2, 1 will be.
ClusterState example() {
  ClusterState state;
  state.topology.version = 1;
  GroupSpec spec;
  spec.master = {"127.0.0.1", 7001, ""};
  spec.replicas = {kReplica};
  state.topology = *create_group(state.topology, spec);
  spec = {};
  spec.master = {"127.0.0.1", 7002, ""};
  state.topology = *create_group(state.topology, spec);
  state.topology = *assign_slots(state.topology, {{0, 1}, {1, 1}, {2, 1}}, false);
  MigrationRequest request;
  request.moves = {{0, 1, 2}, {1, 1, 2}};
  state = *create_migration(state, request, 1);
  state = *start_migration(state, 1, 1);
  state = *prepare_slots(state, 1, {0});
  return *move_slots(state, 1, {0});
}

PromotionRequest request(bool force, bool pause_migrations) {
  return {1, kReplica, {"127.0.0.1", 7001, ""}, force, "ann", pause_migrations};
}

}  // namespace

TEST_SUITE("dashboard/cluster/promotion_state") {
  TEST_CASE(
      "slots on their way are held by a promotion, the others are locked and unlocked by it") {
    ClusterState state = *create_promotion(example(), request(false, true), 1);
    CHECK(holder_of(state, 1, 2) == nullptr);
    state = *begin_pausing(state, 1);
    REQUIRE(holder_of(state, 1, 2) != nullptr);
    CHECK(holder_of(state, 2, 1) == holder_of(state, 1, 2));
    CHECK(holder_of(state, 2, 3) == nullptr);
    state = *hold_slots(state, 1, {0});
    CHECK(find_contradiction(state) == "");
    const ClusterSlot held = state.topology.slots[0];
    CHECK(held.state == SlotState::kLocked);
    state = *lock_promotion(state, 1);
    CHECK(find_contradiction(state) == "");
    CHECK(state.topology.slots[0] == held);
    CHECK(state.topology.slots[1] == kLocked1);
    CHECK(state.topology.slots[2] == kLocked1);

    SUBCASE("it succeeds") {
      state = *switch_master(*begin_promoting(state, 1), 1);
      CHECK(state.topology.group(1)->master() == kReplica);
    }
    SUBCASE("it fails") {
      state = *fail_promotion(state, 1, "because", 2);
      CHECK(state.topology.group(1)->master().port == 7001);
    }
    CHECK(find_contradiction(state) == "");
    CHECK(holder_of(state, 1, 2) == nullptr);
    CHECK(state.topology.slots[0] == held);
    CHECK(state.topology.slots[1] == kNormal1);
    CHECK(state.topology.slots[2] == kNormal1);
    state = *release_slots(state, 1, {0});
    CHECK(find_contradiction(state) == "");
    CHECK(state.topology.slots[0] == ClusterSlot{SlotState::kMigrating, 1, 2});
    CHECK(state.migration(1)->find(0)->step == SlotStep::kMigrating);
  }

  TEST_CASE("a slot that goes back when it is held goes back when it is released") {
    ClusterState state = *cancel_migration(example(), 1, true);
    state = *return_slots(*lock_cancelled_slots(state, 1, {0}), 1, {0});
    state = *begin_pausing(*create_promotion(state, request(true, false), 1), 1);
    state = *hold_slots(state, 1, {0});
    state = *judge_slots(state, 1, {0}, SlotStep::kSourceStands);
    CHECK(find_contradiction(state) == "");
    state = *release_slots(*fail_promotion(state, 1, "because", 2), 1, {0});
    CHECK(find_contradiction(state) == "");
    CHECK(state.topology.slots[0] == ClusterSlot{SlotState::kMigrating, 2, 1});
    CHECK(state.migration(1)->find(0)->step == SlotStep::kReturning);
  }

  TEST_CASE("without being asked to, only a forced promotion holds migrations") {
    CHECK(create_promotion(example(), request(false, false), 1).refusal().code == "group_busy");
    CHECK(create_promotion(example(), request(false, true), 1).ok());
    CHECK(create_promotion(example(), request(true, false), 1).ok());
  }

  TEST_CASE("no migration of the group begins while it is being promoted") {
    const ClusterState state = *create_promotion(example(), request(false, true), 1);
    MigrationRequest another;
    another.moves = {{2, 1, 2}};
    CHECK(create_migration(state, another, 1).refusal().code == "group_busy");
  }
}
