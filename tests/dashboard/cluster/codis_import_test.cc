#include "dashboard/cluster/codis_import.h"

#include <algorithm>
#include <random>

#include <doctest/doctest.h>

using namespace pikaproxy;
using nlohmann::json;

namespace {

// As codis 3.2 writes it: three groups of two servers, all slots assigned.
json codis_dump() {
  json dump = {{"slots", json::array()}, {"group", json::array()}, {"proxy", json::array()}};
  for (int slot = 0; slot < 1024; ++slot) {
    dump["slots"].push_back(
        {{"id", slot}, {"group_id", slot / 342 + 1}, {"action", json::object()}});
  }
  for (int id = 1; id <= 3; ++id) {
    json servers = json::array();
    for (int i = 0; i < 2; ++i) {
      servers.push_back(
          {{"server", "10.0." + std::to_string(id) + "." + std::to_string(i + 1) + ":6379"},
           {"datacenter", ""},
           {"action", json::object()},
           {"replica_group", false}});
    }
    dump["group"].push_back(
        {{"id", id}, {"servers", servers}, {"promoting", json::object()}, {"out_of_sync", false}});
  }
  dump["proxy"].push_back({{"id", 1},
                           {"token", "8b3b1f1c"},
                           {"start_time", "2026-01-01 10:00:00 +0000 UTC"},
                           {"admin_addr", "10.0.9.1:11080"},
                           {"proto_type", "tcp4"},
                           {"proxy_addr", "10.0.9.1:19000"},
                           {"product_name", "shop"},
                           {"pid", 812},
                           {"pwd", "/"},
                           {"sys", "Linux"},
                           {"hostname", "p1"},
                           {"datacenter", ""}});
  dump["sentinel"] = {{"servers", json::array()}, {"out_of_sync", false}};
  return dump;
}

Refusal refusal_of(const json& dump) {
  const auto read = read_codis_dump(dump, "", "");
  REQUIRE_FALSE(read.ok());
  return read.refusal();
}

bool has_warning(const CodisImport& import, const std::string& part) {
  return std::any_of(import.warnings.begin(), import.warnings.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

}  // namespace

TEST_SUITE("dashboard/cluster/codis_import") {
  TEST_CASE("groups, masters, replicas and slots come over") {
    const auto read = read_codis_dump(codis_dump(), "proxy", "secret");
    REQUIRE(read.ok());
    const ClusterTopology& topology = read->topology;
    CHECK(find_contradiction(topology) == "");
    CHECK(topology.version == 0);
    REQUIRE(topology.groups.size() == 3);
    const ClusterGroup& group = topology.groups.at(2);
    CHECK(group.master().to_string() == "10.0.2.1:6379");
    CHECK(group.servers.size() == 2);
    CHECK(group.username == "proxy");
    CHECK(group.password == "secret");
    CHECK(topology.slots[0].group == 1);
    CHECK(topology.slots[341].group == 1);
    CHECK(topology.slots[342].group == 2);
    CHECK(topology.slots[1023].group == 3);
    CHECK(std::all_of(topology.slots.begin(), topology.slots.end(),
                      [](const ClusterSlot& slot) { return slot.state == SlotState::kNormal; }));
    CHECK(read->warnings.size() == 1);
    CHECK(has_warning(*read, "Proxies of codis were not taken over (1)"));
  }

  TEST_CASE("what codis' versions and forks add is ignored") {
    json dump = codis_dump();
    dump["group"][0]["term_id"] = 7;
    dump["group"][0]["servers"][0]["state"] = 0;
    dump["group"][0]["servers"][0]["role"] = "master";
    dump["group"][0]["servers"][1]["role"] = "slave";
    dump["group"][0]["servers"][0]["binlog_file_num"] = 2;
    dump["slots"][3]["action"] = {{"index", 0}, {"state", ""}, {"target_id", 0}};
    dump["future"] = {1, 2, 3};
    const auto read = read_codis_dump(dump, "", "");
    REQUIRE(read.ok());
    CHECK(read->topology == read_codis_dump(codis_dump(), "", "")->topology);
    CHECK(read->warnings.size() == 1);
  }

  TEST_CASE("slots without a group, and those the dump does not name, stay unassigned") {
    json dump = codis_dump();
    dump["slots"][0]["group_id"] = 0;
    dump["slots"].erase(1023);
    const auto read = read_codis_dump(dump, "", "");
    REQUIRE(read.ok());
    CHECK(read->topology.slots[0] == ClusterSlot{});
    CHECK(read->topology.slots[1023] == ClusterSlot{});
    CHECK(has_warning(*read, "2 slots belong to no group"));
  }

  TEST_CASE("null is the same as absent") {
    json dump = codis_dump();
    dump["group"].push_back(
        {{"id", 4}, {"servers", nullptr}, {"promoting", nullptr}, {"out_of_sync", nullptr}});
    dump["proxy"] = nullptr;
    dump["sentinel"] = nullptr;
    const auto read = read_codis_dump(dump, "", "");
    REQUIRE(read.ok());
    CHECK(read->topology.groups.size() == 3);
    CHECK(has_warning(*read, "Groups without servers were left out: 4."));
  }

  TEST_CASE("what needs a look is said") {
    json dump = codis_dump();
    dump["group"][1]["out_of_sync"] = true;
    dump["group"][0]["servers"][1]["action"] = {{"index", 1}, {"state", "synced_failed"}};
    dump["group"][2]["servers"][1]["replica_group"] = true;
    dump["group"][2]["servers"][0]["role"] = "slave";
    dump["sentinel"]["servers"].push_back("10.0.9.1:26379");
    const auto read = read_codis_dump(dump, "", "");
    REQUIRE(read.ok());
    CHECK(has_warning(*read, "out of sync in codis: group 2"));
    CHECK(has_warning(*read, "make replicas of: 10.0.1.2:6379"));
    CHECK(has_warning(*read, "read from these replicas"));
    CHECK(has_warning(*read, "10.0.3.1:6379 of group 3 is first in its group"));
    CHECK(has_warning(*read, "Sentinels were not taken over"));
  }

  TEST_CASE("a running migration refuses the whole, and the slots are named") {
    for (const char* state : {"pending", "preparing", "prepared", "migrating", "finished"}) {
      json dump = codis_dump();
      for (const int slot : {7, 8, 9, 100}) {
        dump["slots"][slot]["action"] = {{"index", 1}, {"state", state}, {"target_id", 3}};
      }
      const Refusal refusal = refusal_of(dump);
      CHECK(refusal.kind == Refusal::Kind::kConflict);
      CHECK(refusal.code == "migration_running");
      CHECK(refusal.pointer == "/slots/7/action/state");
      CHECK(refusal.message.find("4 slots (7-9,100)") != std::string::npos);
    }
  }

  TEST_CASE("a running promotion refuses the whole") {
    json dump = codis_dump();
    dump["group"][2]["promoting"] = {{"index", 1}, {"state", "preparing"}};
    const Refusal refusal = refusal_of(dump);
    CHECK(refusal.kind == Refusal::Kind::kConflict);
    CHECK(refusal.code == "promotion_running");
    CHECK(refusal.pointer == "/group/2/promoting/state");
  }

  TEST_CASE("wrong documents are refused with a pointer to the place") {
    struct Case {
      const char* where;  // What is set.
      json value;
      const char* pointer;
    };
    const Case cases[] = {
        {"/slots", "all", "/slots"},
        {"/slots", json::object(), "/slots"},
        {"/slots/5", 17, "/slots/5"},
        {"/slots/5/id", -1, "/slots/5/id"},
        {"/slots/5/id", 1024, "/slots/5/id"},
        {"/slots/5/id", 4, "/slots/5/id"},
        {"/slots/5/id", 5.5, "/slots/5/id"},
        {"/slots/5/id", nullptr, "/slots/5/id"},
        {"/slots/5/id", UINT64_MAX, "/slots/5/id"},
        {"/slots/5/group_id", "1", "/slots/5/group_id"},
        {"/slots/5/group_id", 9, "/slots/5/group_id"},
        {"/slots/5/group_id", INT64_MIN, "/slots/5/group_id"},
        {"/slots/5/action", json::array(), "/slots/5/action"},
        {"/slots/5/action/state", 1, "/slots/5/action/state"},
        {"/group", true, "/group"},
        {"/group/0", nullptr, "/group/0"},
        {"/group/0/id", 0, "/group/0/id"},
        {"/group/0/id", 2, "/group/1/id"},
        {"/group/0/id", 10000, "/group/0/id"},
        {"/group/0/servers", "10.0.0.1:6379", "/group/0/servers"},
        {"/group/0/servers/0", "10.0.0.1:6379", "/group/0/servers/0"},
        {"/group/0/servers/0/server", "", "/group/0/servers/0/server"},
        {"/group/0/servers/0/server", ":6379", "/group/0/servers/0/server"},
        {"/group/0/servers/0/server", "10.0.0.1", "/group/0/servers/0/server"},
        {"/group/0/servers/0/server", "10.0.0.1:0", "/group/0/servers/0/server"},
        {"/group/0/servers/0/server", "10.0.0.1:99999", "/group/0/servers/0/server"},
        {"/group/0/servers/0/server", "unix:/tmp/a", "/group/0/servers/0/server"},
        {"/group/0/servers/1/server", "10.0.1.1:6379", "/group/0/servers/1/server"},
        {"/group/0/servers/1/server", "10.0.3.1:6379", "/group/2/servers/0/server"},
        {"/group/0/servers/0/replica_group", "yes", "/group/0/servers/0/replica_group"},
        {"/group/0/servers/0/action/state", json::array(), "/group/0/servers/0/action/state"},
        {"/group/0/promoting", 0, "/group/0/promoting"},
        {"/group/0/out_of_sync", "no", "/group/0/out_of_sync"},
        {"/group/0/servers", json::array(), "/slots/0/group_id"},
    };
    for (const Case& c : cases) {
      CAPTURE(c.where);
      CAPTURE(c.value.dump());
      json dump = codis_dump();
      dump[json::json_pointer(c.where)] = c.value;
      const Refusal refusal = refusal_of(dump);
      CHECK(refusal.kind == Refusal::Kind::kImpossible);
      CHECK(refusal.pointer == c.pointer);
      CHECK(refusal.message != "");
    }
    CHECK(refusal_of(json::array()).pointer == "");
    CHECK(refusal_of(json::object()).message.find("--config-dump") != std::string::npos);
    CHECK(refusal_of({{"slots", nullptr}, {"group", {{{"id", 1}, {"servers", 3}}}}}).pointer ==
          "/group/0/servers");
  }

  TEST_CASE("too many of anything is refused before it costs anything") {
    json dump = codis_dump();
    dump["slots"].push_back({{"id", 0}});
    CHECK(refusal_of(dump).pointer == "/slots");
    dump = codis_dump();
    while (dump["group"].size() <= 1024) dump["group"].push_back({{"id", 1}});
    CHECK(refusal_of(dump).pointer == "/group");
    dump = codis_dump();
    json& servers = dump["group"][0]["servers"];
    while (servers.size() < 17) {
      servers.push_back({{"server", "10.1.1.1:" + std::to_string(servers.size() + 1)}});
    }
    CHECK(refusal_of(dump).pointer == "/group/0/servers");
    while (servers.size() < 65) {
      servers.push_back({{"server", "10.1.1.1:" + std::to_string(servers.size() + 1)}});
    }
    CHECK(refusal_of(dump).pointer == "/group/0/servers");
  }

  TEST_CASE("a document with any value replaced is read or refused, and what is read is sound") {
    const uint32_t seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const json whole = codis_dump();
    const json flat = whole.flatten();
    std::vector<std::string> places;
    for (const auto& [place, value] : flat.items()) {
      for (std::string at = place; !at.empty(); at = at.substr(0, at.rfind('/'))) {
        places.push_back(at);
      }
    }
    const json values[] = {nullptr,
                           0,
                           1,
                           -1,
                           1024,
                           1e300,
                           UINT64_MAX,
                           true,
                           "",
                           "a:1",
                           json::object(),
                           {{}},
                           "\xff",
                           json::array({1}),
                           "10.0.1.1:6379"};
    for (int i = 0; i < 300; ++i) {
      json dump = whole;
      dump[json::json_pointer(places[random() % places.size()])] =
          values[random() % std::size(values)];
      const auto read = read_codis_dump(dump, "", "");
      if (read.ok()) {
        CHECK(find_contradiction(read->topology) == "");
      } else {
        CHECK(read.refusal().message != "");
      }
    }
  }

  TEST_CASE("an import fills an empty topology, once") {
    const ClusterTopology imported = read_codis_dump(codis_dump(), "", "")->topology;
    ClusterTopology present;
    present.version = 5;
    const auto first = import_topology(present, imported);
    REQUIRE(first.ok());
    CHECK(first->version == 6);
    CHECK(first->groups == imported.groups);
    CHECK(first->slots == imported.slots);
    const auto again = import_topology(*first, imported);
    REQUIRE(again.ok());
    CHECK(*again == *first);
    json other = codis_dump();
    other["slots"][0]["group_id"] = 2;
    const auto refused = import_topology(*first, read_codis_dump(other, "", "")->topology);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.refusal().code == "topology_not_empty");
  }
}
