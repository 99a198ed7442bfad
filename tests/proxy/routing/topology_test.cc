#include "proxy/routing/topology.h"

#include <doctest/doctest.h>

#include "common/slot.h"

using namespace pikaproxy;

namespace {

GroupConfig group(const std::string& name, std::vector<SlotRange> slots) {
  GroupConfig out;
  out.name = name;
  out.server = Address{"127.0.0.1", static_cast<uint16_t>(7000 + name.back()), ""};
  out.slots = std::move(slots);
  return out;
}

std::shared_ptr<const Topology> topology_of(const Config& config) {
  auto made = make_topology(config, 7);
  REQUIRE(made.ok());
  return *made;
}

}  // namespace

TEST_SUITE("proxy/topology") {
  TEST_CASE("each slot goes to the group that has it, the others to nobody") {
    Config config;
    config.groups = {group("a", {{0, 99}, {579, 579}}), group("b", {{100, 578}}), group("c", {})};
    const auto topology = topology_of(config);
    CHECK(topology->epoch == 7);
    CHECK(topology->groups.size() == 3);
    CHECK(topology->serving_groups == std::vector<GroupIndex>{0, 1});
    CHECK(topology->router->place("a").group == 0);
    CHECK(topology->router->place("a").unit == 579);
    CHECK(topology->router->place("x{a}y").unit == 579);
    CHECK(topology->router->place("b").group == kNoGroup);
    CHECK(topology->router->place("b").unit == 1017);
    for (int i = 0; i < 5000; ++i) {
      const std::string key = "key:" + std::to_string(i);
      const SlotId slot = slot_of(key);
      const GroupIndex owner = slot < 100 || slot == 579 ? 0 : slot < 579 ? 1 : kNoGroup;
      REQUIRE(topology->router->place(key).group == owner);
      REQUIRE(topology->router->place(key).unit == slot);
    }
  }

  TEST_CASE("the last slot belongs to the range that ends with it") {
    Config config;
    config.groups = {group("a", {{0, 1022}}), group("b", {{1023, 1023}})};
    const auto topology = topology_of(config);
    for (int i = 0;; ++i) {
      const std::string key = std::to_string(i);
      if (slot_of(key) != 1023) continue;
      CHECK(topology->router->place(key).group == 1);
      break;
    }
  }

  TEST_CASE("without groups nobody serves any key") {
    const auto topology = topology_of(Config{});
    CHECK(topology->serving_groups.empty());
    CHECK(topology->router->place("a").group == kNoGroup);
  }

  TEST_CASE("on a ring every group serves") {
    Config config;
    config.proxy.router = RouterKind::kKetama;
    config.groups = {group("a", {}), group("b", {})};
    const auto topology = topology_of(config);
    CHECK(topology->serving_groups == std::vector<GroupIndex>{0, 1});
    for (int i = 0; i < 100; ++i) {
      const Place place = topology->router->place("key:" + std::to_string(i));
      REQUIRE(place.group < 2);
      REQUIRE(place.unit == place.group);
    }
  }

  TEST_CASE("a ring that cannot be made is an error") {
    Config config;
    config.proxy.router = RouterKind::kKetama;
    config.ketama.hash = "sha3";
    config.groups = {group("a", {})};
    const auto made = make_topology(config, 1);
    REQUIRE(!made.ok());
    CHECK(made.error().find("sha3") != std::string::npos);
  }
}
