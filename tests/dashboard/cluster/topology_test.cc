#include "dashboard/cluster/topology.h"

#include <random>
#include <set>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

Address server(uint16_t port) {
  return {"127.0.0.1", port, ""};
}

GroupSpec spec(uint16_t port) {
  GroupSpec spec;
  spec.master = server(port);
  return spec;
}

// Groups 1, 2, 3; slots 0-9 belong to group 1.
ClusterTopology example() {
  ClusterTopology topology;
  topology.version = 1;
  for (uint16_t port = 7001; port <= 7003; ++port) topology = *create_group(topology, spec(port));
  std::vector<SlotAssignment> assignments;
  for (SlotId slot = 0; slot < 10; ++slot) assignments.push_back({slot, 1});
  return *assign_slots(topology, assignments, false);
}

}  // namespace

TEST_SUITE("dashboard/cluster/topology") {
  TEST_CASE("every change raises the version by one, a refused one changes nothing") {
    ClusterTopology topology;
    topology.version = 41;
    const auto created = create_group(topology, spec(7001));
    REQUIRE(created.ok());
    CHECK(created->version == 42);
    const auto again = create_group(*created, spec(7001));
    REQUIRE_FALSE(again.ok());
    CHECK(again.refusal().code == "server_taken");
  }

  TEST_CASE("a group without an id gets the lowest that is free, and a name from it") {
    const ClusterTopology topology = *delete_group(example(), 2);
    const auto created = create_group(topology, spec(7009));
    REQUIRE(created.ok());
    CHECK(created->groups.at(2).name == "group-2");
  }

  TEST_CASE("what is no group is refused, with the field it is about") {
    const ClusterTopology topology = example();
    GroupSpec bad = spec(7009);
    SUBCASE("name with a space") {
      bad.name = "a b";
      CHECK(create_group(topology, bad).refusal().pointer == "/name");
    }
    SUBCASE("taken name") {
      bad.name = "group-1";
      CHECK(create_group(topology, bad).refusal().code == "name_taken");
    }
    SUBCASE("id 0") {
      bad.id = 0;
      CHECK(create_group(topology, bad).refusal().pointer == "/id");
    }
    SUBCASE("id 10000") {
      bad.id = 10000;
      CHECK(create_group(topology, bad).refusal().pointer == "/id");
    }
    SUBCASE("taken id") {
      bad.id = 3;
      CHECK(create_group(topology, bad).refusal().code == "id_taken");
    }
    SUBCASE("weight") {
      bad.weight = 1001;
      CHECK(create_group(topology, bad).refusal().pointer == "/weight");
    }
    SUBCASE("a server twice") {
      bad.replicas = {bad.master};
      CHECK(create_group(topology, bad).refusal().pointer == "/servers");
    }
  }

  TEST_CASE("a group with slots cannot be deleted, nor one that slots migrate to") {
    ClusterTopology topology = example();
    CHECK(delete_group(topology, 1).refusal().code == "group_not_empty");
    topology = *lock_slots(topology, {{3, 1, 2}});
    topology = *switch_slots(topology, {{3, 1, 2}});
    CHECK(delete_group(topology, 2).refusal().code == "group_not_empty");
    CHECK(delete_group(topology, 3).ok());
    CHECK(delete_group(topology, 9).refusal().kind == Refusal::Kind::kNotFound);
  }

  TEST_CASE("replicas come and go, the master stays until another is made master") {
    ClusterTopology topology = *add_server(example(), 1, server(7011));
    CHECK(remove_server(topology, 1, server(7001)).refusal().code == "is_master");
    topology = *set_master(topology, 1, server(7011));
    CHECK(topology.groups.at(1).master() == server(7011));
    CHECK(remove_server(topology, 1, server(7001)).ok());
    CHECK(add_server(topology, 2, server(7001)).refusal().code == "server_taken");
    CHECK(set_master(topology, 1, server(7012)).refusal().kind == Refusal::Kind::kNotFound);
  }

  TEST_CASE("slots with an owner are given to another only by force") {
    const ClusterTopology topology = example();
    CHECK(assign_slots(topology, {{3, 2}}, false).refusal().code == "slot_owned");
    CHECK(assign_slots(topology, {{3, 1}, {10, 2}}, false).ok());
    CHECK(assign_slots(topology, {{3, 2}}, true)->slots[3].group == 2);
    CHECK(assign_slots(topology, {{3, 9}}, true).refusal().kind == Refusal::Kind::kImpossible);
    CHECK(assign_slots(topology, {{11, 1}, {11, 2}}, false).refusal().pointer == "/ranges");
    CHECK(assign_slots(topology, {{1024, 1}}, false).refusal().pointer == "/ranges");
    const ClusterTopology locked = *lock_slots(topology, {{3, 1, 2}});
    CHECK(assign_slots(locked, {{3, 2}}, true).refusal().code == "slot_busy");
  }

  TEST_CASE("a slot goes through the states of the document, and through no others") {
    using Change = TopologyOutcome (*)(const ClusterTopology&, const std::vector<SlotMove>&);
    const std::vector<SlotMove> moves = {{3, 1, 2}, {5, 1, 2}};
    const ClusterSlot normal_a{SlotState::kNormal, 1, 0};
    const ClusterSlot normal_b{SlotState::kNormal, 2, 0};
    const ClusterSlot locked_a{SlotState::kLocked, 1, 0};
    const ClusterSlot locked_b{SlotState::kLocked, 2, 0};
    const ClusterSlot a_to_b{SlotState::kMigrating, 1, 2};
    const ClusterSlot b_to_a{SlotState::kMigrating, 2, 1};
    const ClusterSlot none;
    struct Rule {
      Change change;
      ClusterSlot from;
      ClusterSlot to;
    };
    const std::vector<Rule> rules = {
        {lock_slots, normal_a, locked_a}, {unlock_slots, locked_a, normal_a},
        {switch_slots, locked_a, a_to_b}, {switch_slots, locked_b, a_to_b},
        {finish_slots, a_to_b, normal_b}, {lock_for_return, a_to_b, locked_b},
    };
    for (const Change change : {Change(lock_slots), Change(unlock_slots), Change(switch_slots),
                                Change(finish_slots), Change(lock_for_return)}) {
      for (const ClusterSlot& from :
           {none, normal_a, normal_b, locked_a, locked_b, a_to_b, b_to_a}) {
        ClusterTopology topology = example();
        topology.slots[3] = topology.slots[5] = from;
        const auto result = change(topology, moves);
        const Rule* expected = nullptr;
        for (const Rule& rule : rules) {
          if (rule.change == change && rule.from == from) expected = &rule;
        }
        CHECK(result.ok() == (expected != nullptr));
        if (!result.ok() || expected == nullptr) continue;
        CHECK(result->slots[3] == expected->to);
        CHECK(result->slots[5] == expected->to);
        CHECK(result->version == topology.version + 1);
        CHECK(find_contradiction(*result) == "");
        // One slot that does not fit: none is changed.
        topology.slots[5] = none;
        CHECK_FALSE(change(topology, moves).ok());
      }
    }
  }

  TEST_CASE("the table has the groups in order and the slots by index") {
    ClusterTopology topology = *delete_group(example(), 2);
    GroupPatch patch;
    patch.password = "secret";
    topology = *patch_group(topology, 3, patch);
    topology = *lock_slots(topology, {{1, 1, 3}, {2, 1, 3}});
    topology = *switch_slots(topology, {{2, 1, 3}});
    const SlotTable table = slot_view(topology);
    CHECK(table.epoch == topology.version);
    REQUIRE(table.groups.size() == 2);
    CHECK(table.groups[1].id == 3);
    CHECK(table.groups[1].password == "secret");
    CHECK(table.groups[1].master == server(7003));
    CHECK(table.slots[0] == SlotEntry{SlotState::kNormal, 0, SlotEntry::kNone});
    CHECK(table.slots[1] == SlotEntry{SlotState::kLocked, 0, SlotEntry::kNone});
    CHECK(table.slots[2] == SlotEntry{SlotState::kMigrating, 0, 1});
    CHECK(table.slots[10] == SlotEntry{});
  }

  TEST_CASE("whatever is asked for in whatever order, a topology never contradicts itself") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto any = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
    ClusterTopology topology;
    topology.version = 1;
    int accepted = 0;
    for (int round = 0; round < 5000; ++round) {
      const uint32_t id = 1 + any(5);
      const Address address = server(static_cast<uint16_t>(7000 + any(12)));
      std::vector<SlotMove> moves;
      for (uint32_t i = any(3) + 1; i > 0; --i) {
        moves.push_back({static_cast<SlotId>(any(8)), 1 + any(5), 1 + any(5)});
      }
      const auto result = [&]() -> TopologyOutcome {
        switch (any(12)) {
          case 0: {
            GroupSpec wanted = spec(address.port);
            if (any(2) == 0) wanted.id = id;
            return create_group(topology, wanted);
          }
          case 1:
            return delete_group(topology, id);
          case 2:
            return add_server(topology, id, address);
          case 3:
            return remove_server(topology, id, address);
          case 4:
            return set_master(topology, id, address);
          case 5:
          case 6: {
            std::vector<SlotAssignment> assignments;
            for (const SlotMove& move : moves) assignments.push_back({move.slot, move.to});
            return assign_slots(topology, assignments, any(2) == 0);
          }
          case 7:
            return lock_slots(topology, moves);
          case 8:
            return unlock_slots(topology, moves);
          case 9:
            return switch_slots(topology, moves);
          case 10:
            return finish_slots(topology, moves);
          default:
            return lock_for_return(topology, moves);
        }
      }();
      if (!result.ok()) {
        CHECK(result.refusal().message != "");
        CHECK(result.refusal().code != "");
        continue;
      }
      ++accepted;
      REQUIRE(result->version == topology.version + 1);
      REQUIRE(find_contradiction(*result) == "");
      topology = *result;
    }
    CHECK(accepted > 100);
  }
}
