#include "proxy/dispatch/explain.h"

#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/routing/slot_gate.h"

using namespace pikaproxy;

namespace {

// Slots of the keys used here: a 579, b 1017, c 879.
constexpr SlotId kSlotA = 579;

class IdleHost : public SlotGate::Host {
  void go(HeldRequest&) override {}
  void refuse(HeldRequest&, std::string_view) override {}
  void ask(SlotId, uint32_t, uint32_t, std::vector<std::string>) override {}
};

// Groups one, two and three with a third of the slots each; slot 579 in the state that is asked
// for, and slot 0 unassigned.
struct Cluster {
  IdleHost host;
  SlotGate gate{host};
  std::shared_ptr<const SlotTable> table;
  std::shared_ptr<const Topology> topology;

  explicit Cluster(SlotState state = SlotState::kNormal) {
    auto made = std::make_shared<SlotTable>();
    for (const auto* name : {"one", "two", "three"}) {
      TableGroup& group = made->groups.emplace_back();
      group.id = static_cast<uint32_t>(made->groups.size());
      group.name = name;
      group.master = Address{"127.0.0.1", static_cast<uint16_t>(7000 + group.id), ""};
    }
    for (size_t slot = 1; slot < kSlotCount; ++slot) {
      made->slots[slot] = {SlotState::kNormal, static_cast<uint16_t>(slot * 3 / kSlotCount),
                           SlotEntry::kNone};
    }
    SlotEntry& entry = made->slots[kSlotA];
    entry.state = state;
    if (state == SlotState::kMigrating) entry.target = 0;
    table = made;
    topology = make_topology(table, 1);
    gate.install(table);
  }

  Explanation explain(const std::string& line, bool is_admin = true) const {
    std::istringstream words(line);
    request_.clear();
    for (std::string word; words >> word;) request_.push_back(word);
    args_.assign(request_.begin(), request_.end());
    return pikaproxy::explain({*topology, gate, true, 0, is_admin}, args_);
  }

 private:
  mutable std::vector<std::string> request_;
  mutable std::vector<std::string_view> args_;
};

std::vector<GroupIndex> groups_of(const Explanation& explanation) {
  std::vector<GroupIndex> groups;
  for (const auto& part : explanation.parts) groups.push_back(part.group);
  return groups;
}

}  // namespace

TEST_SUITE("proxy/explain") {
  TEST_CASE("a request with one key goes to the group that has it") {
    const Cluster cluster;
    const Explanation get = cluster.explain("GET a");
    CHECK(get.kind == "forward");
    REQUIRE(get.parts.size() == 1);
    CHECK(get.parts[0].group == 1);
    CHECK(get.parts[0].slots == std::vector<uint32_t>{kSlotA});
    CHECK(get.parts[0].positions == std::vector<uint32_t>{1});
    CHECK(get.waits.empty());
    CHECK(get.error.empty());
  }

  TEST_CASE("a split request has a part for each group, in the order of the keys") {
    const Cluster cluster;
    const Explanation mset = cluster.explain("MSET b 1 a 2 c 3 b 4");
    CHECK(mset.kind == "split");
    CHECK(groups_of(mset) == std::vector<GroupIndex>{2, 1});
    CHECK(mset.parts[0].slots == std::vector<uint32_t>{879, 1017});
    CHECK(mset.parts[0].positions == std::vector<uint32_t>{1, 5, 7});
    CHECK(mset.parts[1].positions == std::vector<uint32_t>{3});
  }

  TEST_CASE("a command without keys says which groups it concerns") {
    const Cluster cluster;
    CHECK(cluster.explain("DBSIZE").kind == "fan-out");
    CHECK(cluster.explain("SUBSCRIBE a b").kind == "subscription");
    CHECK(cluster.explain("SSUBSCRIBE {a}1 {b}1").error.starts_with("CROSSSLOT "));
    CHECK(cluster.explain("SSUBSCRIBE {a}1 {a}2").parts.size() == 1);
    CHECK(cluster.explain("PSUBSCRIBE a*").parts.size() == 3);
    CHECK(cluster.explain("PUBLISH a b").parts.size() == 1);
    CHECK(groups_of(cluster.explain("DBSIZE")) == std::vector<GroupIndex>{0, 1, 2});
    CHECK(groups_of(cluster.explain("SCAN 0")) == std::vector<GroupIndex>{0});
    CHECK(groups_of(cluster.explain("SCAN 5122")) == std::vector<GroupIndex>{2});
    CHECK(groups_of(cluster.explain("EVAL x 0")) == std::vector<GroupIndex>{0});
    CHECK(cluster.explain("PING").kind == "local");
    CHECK(cluster.explain("PING").parts.empty());
    CHECK(cluster.explain("EXEC").kind == "transaction");
  }

  TEST_CASE("what would be refused is refused with the text the client would get") {
    const Cluster cluster;
    const auto error = [&](const std::string& line, bool is_admin = true) {
      const Explanation explanation = cluster.explain(line, is_admin);
      CHECK(explanation.kind == "refused");
      CHECK(explanation.parts.empty());
      return explanation.error;
    };
    CHECK(error("NOSUCH x y") ==
          "ERR unknown command 'NOSUCH', with args beginning with: 'x' 'y' ");
    CHECK(error("CLIENT NOSUCH") == "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.");
    CHECK(error("GET") == "ERR wrong number of arguments for 'get' command");
    CHECK(error("MSET a 1 b") == "ERR wrong number of arguments for 'mset' command");
    CHECK(error("MSETNX a 1 b") == "ERR wrong number of arguments for 'msetnx' command");
    CHECK(error("RENAME a b") == "CROSSSLOT Keys in request don't hash to the same slot");
    CHECK(error("EVAL x y a") == "ERR value is not an integer or out of range");
    CHECK(error("SCAN x") == "ERR invalid cursor");
    CHECK(error("FLUSHALL", false) ==
          "NOPERM this user has no permissions to run the 'flushall' command");
    CHECK(error("SHUTDOWN").starts_with("ERR "));
    CHECK(error("SORT a BY w*").starts_with("ERR BY option of SORT denied"));
  }

  TEST_CASE("a key of an unassigned slot is named by its slot") {
    std::string key;
    for (int i = 0; slot_of(key) != 0 || key.empty(); ++i) key = "key" + std::to_string(i);
    const Cluster cluster;
    CHECK(cluster.explain("GET " + key).error == "CLUSTERDOWN slot 0 is not assigned");
    CHECK(cluster.explain("MGET a " + key).error == "CLUSTERDOWN slot 0 is not assigned");
  }

  TEST_CASE("a request for a slot that is locked or moving says what it would wait for") {
    const Cluster locked(SlotState::kLocked);
    CHECK(locked.explain("GET a").waits == "slot 579 is locked, for a moment");
    CHECK(groups_of(locked.explain("GET a")) == std::vector<GroupIndex>{1});
    CHECK(locked.explain("GET b").waits.empty());
    CHECK(locked.explain("MGET b a").waits == "slot 579 is locked, for a moment");
    CHECK(locked.explain("GET a").error.empty());

    const Cluster moving(SlotState::kMigrating);
    CHECK(moving.explain("GET a").waits ==
          "slot 579 is moving from group two to group one, and this key is moved first");
    CHECK(groups_of(moving.explain("GET a")) == std::vector<GroupIndex>{0});
    CHECK(moving.explain("SORT a GET {a}*").waits ==
          "slot 579 is moving from group two to group one, and the request may touch keys that it "
          "does not name");
  }
}
