#include "dashboard/cluster/planner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

// Groups 1 .. weights.size(); slot i belongs to owners[i], 0 = nobody.
ClusterState state_of(const std::vector<uint32_t>& weights, const std::vector<uint32_t>& owners) {
  ClusterState state;
  state.topology.version = 5;
  for (size_t i = 0; i < weights.size(); ++i) {
    GroupSpec spec;
    spec.weight = weights[i];
    spec.master = {"127.0.0.1", static_cast<uint16_t>(7001 + i), ""};
    state.topology = *create_group(state.topology, spec);
  }
  for (size_t slot = 0; slot < owners.size(); ++slot) {
    if (owners[slot] != 0) state.topology.slots[slot] = {SlotState::kNormal, owners[slot], 0};
  }
  return state;
}

size_t moved_slots(const Plan& plan) {
  return std::accumulate(plan.moves.begin(), plan.moves.end(), size_t{0},
                         [](size_t sum, const PlanMove& move) { return sum + move.slots.size(); });
}

// Fewest moves to any placement in which each group has its share by weight, rounded up or down.
size_t fewest_moves(const std::vector<uint32_t>& weights, const std::vector<uint32_t>& owners) {
  const uint64_t weight_sum = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  std::vector<uint32_t> placement(owners.size(), 1);
  size_t best = std::numeric_limits<size_t>::max();
  while (true) {
    std::vector<uint64_t> counts(weights.size(), 0);
    size_t moves = 0;
    for (size_t i = 0; i < owners.size(); ++i) {
      ++counts[placement[i] - 1];
      moves += placement[i] != owners[i] ? 1 : 0;
    }
    bool is_balanced = true;
    for (size_t i = 0; i < weights.size(); ++i) {
      const uint64_t product = owners.size() * weights[i];
      const uint64_t floor = product / weight_sum;
      const uint64_t ceiling = floor + (product % weight_sum != 0 ? 1 : 0);
      is_balanced = is_balanced && counts[i] >= floor && counts[i] <= ceiling;
    }
    if (is_balanced) best = std::min(best, moves);
    size_t digit = 0;
    while (digit < placement.size() && placement[digit] == weights.size()) placement[digit++] = 1;
    if (digit == placement.size()) return best;
    ++placement[digit];
  }
}

// Moves leave from who has the slot, name each slot once, and lead to what "after" says.
void check_plan(const ClusterState& state, const Plan& plan) {
  std::vector<uint32_t> owners(kSlotCount);
  for (size_t slot = 0; slot < kSlotCount; ++slot)
    owners[slot] = state.topology.slots[slot].owner();
  std::vector<bool> seen(kSlotCount);
  for (const PlanMove& move : plan.moves) {
    CHECK(move.from != move.to);
    CHECK_FALSE(move.slots.empty());
    for (const SlotId slot : move.slots) {
      CHECK(owners[slot] == move.from);
      CHECK_FALSE(seen[slot]);
      seen[slot] = true;
      owners[slot] = move.to;
    }
  }
  for (const auto& [id, share] : plan.after) {
    CHECK(share.slots == static_cast<size_t>(std::count(owners.begin(), owners.end(), id)));
  }
}

double spread(const std::map<uint32_t, GroupShare>& shares) {
  double least = std::numeric_limits<double>::max();
  double most = 0;
  for (const auto& [id, share] : shares) {
    least = std::min(least, static_cast<double>(share.keys));
    most = std::max(most, static_cast<double>(share.keys));
  }
  return most - least;
}

}  // namespace

TEST_SUITE("dashboard/cluster/planner") {
  TEST_CASE("no balanced placement needs fewer moves than the plan: every small case") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 300; ++round) {
      std::vector<uint32_t> weights(1 + random() % 3);
      for (uint32_t& weight : weights) weight = random() % 4;
      if (std::accumulate(weights.begin(), weights.end(), 0U) == 0) weights[0] = 1;
      std::vector<uint32_t> owners(1 + random() % 8);
      for (uint32_t& owner : owners) owner = static_cast<uint32_t>(1 + random() % weights.size());
      const ClusterState state = state_of(weights, owners);
      const auto plan = make_plan(state, {}, {});
      REQUIRE(plan.ok());
      check_plan(state, *plan);
      CHECK(moved_slots(*plan) == fewest_moves(weights, owners));
      for (const auto& [id, share] : plan->after) {
        const double exact = static_cast<double>(owners.size()) * weights[id - 1] /
                             std::accumulate(weights.begin(), weights.end(), 0U);
        CHECK(std::abs(static_cast<double>(share.slots) - exact) < 1);
      }
    }
  }

  TEST_CASE("a third group gets a third of all slots from two, and nothing else moves") {
    std::vector<uint32_t> owners(kSlotCount, 1);
    std::fill(owners.begin() + 512, owners.end(), 2);
    const auto plan = make_plan(state_of({1, 1, 1}, owners), {}, {});
    REQUIRE(plan.ok());
    CHECK(moved_slots(*plan) == 341);
    CHECK(plan->after.at(3).slots == 341);
    CHECK(plan->warnings.empty());
    CHECK(plan->topology_version == 8);
  }

  TEST_CASE("max_moves ends a plan early, and the plan says so") {
    PlanRequest request;
    request.max_moves = 10;
    const auto plan =
        make_plan(state_of({1, 1}, std::vector<uint32_t>(kSlotCount, 1)), request, {});
    REQUIRE(plan.ok());
    CHECK(moved_slots(*plan) == 10);
    REQUIRE(plan->warnings.size() == 1);
    CHECK(plan->warnings[0].find("max_moves") == 0);
  }

  TEST_CASE("what is balanced stays as it is, and what nobody has is left") {
    const auto plan = make_plan(state_of({1, 1}, {1, 2, 1, 2}), {}, {});
    REQUIRE(plan.ok());
    CHECK(plan->moves.empty());
    CHECK(plan->warnings[0].find("1020 slots are not assigned") == 0);
  }

  TEST_CASE("a drained group keeps nothing, and only its slots move") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 50; ++round) {
      std::vector<uint32_t> owners(kSlotCount);
      for (uint32_t& owner : owners) owner = 1 + random() % 4;
      const ClusterState state = state_of({1, 2, 3, 4}, owners);
      PlanRequest request;
      request.kind = PlanKind::kDrain;
      request.drain_groups = {2, 4};
      const auto plan = make_plan(state, request, {});
      REQUIRE(plan.ok());
      check_plan(state, *plan);
      CHECK(plan->after.at(2).slots == 0);
      CHECK(plan->after.at(4).slots == 0);
      CHECK(moved_slots(*plan) ==
            static_cast<size_t>(std::count(owners.begin(), owners.end(), 2U) +
                                std::count(owners.begin(), owners.end(), 4U)));
    }
  }

  TEST_CASE("draining into groups that may take nothing is refused") {
    PlanRequest request;
    request.kind = PlanKind::kDrain;
    request.drain_groups = {1};
    request.weights = {{2, 0}};
    const auto plan = make_plan(state_of({1, 1}, {1}), request, {});
    REQUIRE_FALSE(plan.ok());
    CHECK(plan.refusal().code == "nobody_takes");
  }

  TEST_CASE("balancing by keys never makes it worse, and leaves less than the largest slot") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 50; ++round) {
      std::vector<uint32_t> owners(kSlotCount);
      SlotLoads loads{};
      uint64_t largest = 0;
      uint64_t total = 0;
      for (size_t slot = 0; slot < kSlotCount; ++slot) {
        owners[slot] = random() % 8 == 0 ? 2 : 1;
        loads[slot].keys = random() % 100 == 0 ? 5000 : random() % 100;
        largest = std::max(largest, loads[slot].keys);
        total += loads[slot].keys;
      }
      PlanRequest request;
      request.strategy = PlanStrategy::kKeys;
      const ClusterState state = state_of({1, 1, 1}, owners);
      const auto plan = make_plan(state, request, loads);
      REQUIRE(plan.ok());
      check_plan(state, *plan);
      CHECK(spread(plan->after) <= spread(plan->before));
      CHECK(spread(plan->after) <=
            static_cast<double>(largest) + 0.05 * static_cast<double>(total));
      CHECK(moved_slots(*plan) < kSlotCount);
    }
  }

  TEST_CASE("balancing by load without any load says so") {
    PlanRequest request;
    request.strategy = PlanStrategy::kBytes;
    const auto plan = make_plan(state_of({1, 1}, {1, 1}), request, {});
    REQUIRE(plan.ok());
    CHECK(plan->moves.empty());
    CHECK(plan->warnings[0].find("there is no load") == 0);
  }

  TEST_CASE("slots of a migration count where they go, and are no part of a plan") {
    ClusterState state = state_of({1, 1}, {1, 1, 1, 1, 1, 1});
    MigrationRequest migration;
    migration.moves = {{0, 1, 2}, {1, 1, 2}};
    state = *create_migration(state, migration, 1);
    const auto plan = make_plan(state, {}, {});
    REQUIRE(plan.ok());
    CHECK(moved_slots(*plan) == 1);
    CHECK(plan->moves[0].slots[0] > 1);
    PlanRequest move;
    move.kind = PlanKind::kMove;
    move.slots = {1};
    move.target = 2;
    CHECK(make_plan(state, move, {}).refusal().code == "slot_busy");
    move.slots = {3};
    CHECK(moved_slots(*make_plan(state, move, {})) == 1);
    move.slots = {100};
    CHECK(make_plan(state, move, {}).refusal().code == "slot_unassigned");
  }
}
