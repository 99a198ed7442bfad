#include "proxy/routing/slot_gate.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

constexpr SlotId kSlotA = 1;
constexpr SlotId kSlotB = 2;

std::shared_ptr<const SlotTable> table_with(SlotState a, SlotState b = SlotState::kNormal,
                                            bool swapped = false) {
  auto table = std::make_shared<SlotTable>();
  table->groups.resize(2);
  table->groups[0].id = swapped ? 2 : 1;
  table->groups[1].id = swapped ? 1 : 2;
  const uint16_t source = swapped ? 1 : 0;
  const uint16_t target = swapped ? 0 : 1;
  table->slots.fill({SlotState::kNormal, source, SlotEntry::kNone});
  const auto entry = [&](SlotState state) {
    return SlotEntry{state, source, state == SlotState::kMigrating ? target : SlotEntry::kNone};
  };
  table->slots[kSlotA] = entry(a);
  table->slots[kSlotB] = entry(b);
  return table;
}

// A gate whose requests are names, and where a key's first letter says its slot: a... or b...
class Gate : private SlotGate::Host {
 public:
  struct Question {
    SlotId slot;
    uint32_t version;
    uint32_t db;
    std::vector<std::string> keys;
  };

  Gate() : gate(*this) {}

  static SlotId slot_of_key(std::string_view key) { return key[0] == 'a' ? kSlotA : kSlotB; }

  // As the dispatcher does: sends it at once if it may go.
  void request(const std::string& name, const std::vector<std::string>& keys,
               bool whole_slot = false, uint32_t db = 0) {
    const bool goes = std::all_of(keys.begin(), keys.end(), [&](const std::string& key) {
      return whole_slot ? gate.may_go_whole(slot_of_key(key))
                        : gate.may_go(slot_of_key(key), db, key);
    });
    if (goes) {
      log.push_back(name);
      return;
    }
    auto held = std::make_unique<HeldRequest>();
    std::string bytes;
    for (const std::string& key : keys) bytes += key;
    held->size = held->capacity = bytes.size();
    held->data = static_cast<char*>(std::malloc(bytes.size()));
    std::memcpy(held->data, bytes.data(), bytes.size());
    size_t at = 0;
    for (const std::string& key : keys) {
      held->keys.push_back({slot_of_key(key), {held->data + at, key.size()}});
      at += key.size();
    }
    held->cost = 1;
    held->db = db;
    held->whole_slot = whole_slot;
    held->since = ++clock;
    HeldRequest& there = gate.hold(std::move(held));
    names[&there] = name;
  }
  void answer(const Question& question, bool moved, const std::string& error = "TRYAGAIN why") {
    gate.answered(question.slot, question.version, question.db, question.keys, {moved, error});
    gate.run();
  }
  void install(std::shared_ptr<const SlotTable> table) {
    gate.install(std::move(table));
    gate.run();
  }
  void drop(const std::string& name) {
    for (const auto& [held, its_name] : names) {
      if (its_name != name) continue;
      HeldRequest* gone = held;
      names.erase(gone);
      gate.drop(*gone);
      gate.run();
      return;
    }
  }
  // What went ("r1") or was refused ("-r1 <error>") since the last call.
  std::vector<std::string> took() { return std::exchange(log, {}); }

  SlotGate gate;
  std::vector<Question> questions;
  std::vector<std::string> log;
  std::map<HeldRequest*, std::string> names;
  Ticks clock = 0;

 private:
  void go(HeldRequest& request) override {
    log.push_back(names.at(&request));
    names.erase(&request);
  }
  void refuse(HeldRequest& request, std::string_view error) override {
    log.push_back("-" + names.at(&request) + " " + std::string(error));
    names.erase(&request);
  }
  void ask(SlotId slot, uint32_t version, uint32_t db, std::vector<std::string> keys) override {
    questions.push_back({slot, version, db, std::move(keys)});
  }
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_SUITE("proxy/slot_gate") {
  TEST_CASE("without a table, and in normal slots, everything goes at once") {
    Gate gate;
    gate.request("r1", {"a1"});
    gate.install(table_with(SlotState::kNormal));
    gate.request("r2", {"a1", "b1"});
    gate.request("r3", {"a1"}, true);
    CHECK(gate.took() == Strings{"r1", "r2", "r3"});
    CHECK(gate.questions.empty());
  }

  TEST_CASE("requests of a locked slot go in the order of their arrival once it is open") {
    Gate gate;
    gate.install(table_with(SlotState::kLocked));
    gate.request("r1", {"a1"});
    gate.request("r2", {"b1"});
    gate.request("r3", {"a2", "b1"});
    gate.request("r4", {"a1"});
    CHECK(gate.took() == Strings{"r2"});
    CHECK(gate.gate.held() == 3);
    CHECK(gate.gate.held_bytes() == 3);
    gate.install(table_with(SlotState::kNormal));
    CHECK(gate.took() == Strings{"r1", "r3", "r4"});
    CHECK(gate.gate.held() == 0);
    CHECK(gate.gate.held_bytes() == 0);
    CHECK(gate.questions.empty());
  }

  TEST_CASE("a key of a migrating slot is asked for once, and then known") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"});
    gate.request("r2", {"a1"});
    REQUIRE(gate.questions.size() == 1);
    CHECK(gate.questions[0].slot == kSlotA);
    CHECK(gate.questions[0].keys == Strings{"a1"});
    gate.answer(gate.questions[0], true);
    CHECK(gate.took() == Strings{"r1", "r2"});
    gate.request("r3", {"a1"});
    CHECK(gate.took() == Strings{"r3"});
    CHECK(gate.questions.size() == 1);
    SUBCASE("but not in another database") {
      gate.request("r4", {"a1"}, false, 3);
      REQUIRE(gate.questions.size() == 2);
      CHECK(gate.questions[1].db == 3);
    }
    CHECK(gate.gate.queues() == gate.gate.held());
  }

  TEST_CASE("the unknown keys of a request make one question for each slot") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating, SlotState::kMigrating));
    gate.request("r1", {"a1"});
    gate.answer(gate.questions.at(0), true);
    gate.request("r2", {"a3", "b1", "a1", "a2", "a3", "b1"});
    REQUIRE(gate.questions.size() == 3);
    CHECK(gate.questions[1].keys == Strings{"a3", "a2"});
    CHECK(gate.questions[2].keys == Strings{"b1"});
    gate.answer(gate.questions[2], true);
    CHECK(gate.took() == Strings{"r1"});
    gate.answer(gate.questions[1], true);
    CHECK(gate.took() == Strings{"r2"});
    CHECK(gate.gate.queues() == 0);
  }

  TEST_CASE(
      "a later request waits behind a held one that touches its key, even if that has moved") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"});
    gate.answer(gate.questions.at(0), true);
    gate.request("r2", {"a1", "a2"});
    gate.request("r3", {"a1"});
    gate.request("r4", {"a4"});
    CHECK(gate.took() == Strings{"r1"});
    gate.answer(gate.questions.at(2), true);
    CHECK(gate.took() == Strings{"r4"});
    gate.answer(gate.questions.at(1), true);
    CHECK(gate.took() == Strings{"r2", "r3"});
  }

  TEST_CASE("a move that failed refuses those who wait for the key, and the next one asks again") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1", "a2"});
    gate.request("r2", {"a2"});
    gate.request("r3", {"a1"});
    gate.request("r4", {"a3"});
    REQUIRE(gate.questions.size() == 2);
    gate.answer(gate.questions[0], false, "TRYAGAIN not now");
    CHECK(gate.took() ==
          Strings{"-r1 TRYAGAIN not now", "-r3 TRYAGAIN not now", "-r2 TRYAGAIN not now"});
    CHECK(gate.gate.held() == 1);
    gate.request("r5", {"a1"});
    REQUIRE(gate.questions.size() == 3);
    CHECK(gate.questions[2].keys == Strings{"a1"});
  }

  TEST_CASE("a request that is refused makes room for those behind it") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"});
    gate.answer(gate.questions[0], true);
    gate.request("r2", {"a1", "a2"});
    gate.request("r3", {"a1"});
    gate.answer(gate.questions.at(1), false);
    CHECK(gate.took() == Strings{"r1", "-r2 TRYAGAIN why", "r3"});
    CHECK(gate.gate.queues() == 0);
  }

  TEST_CASE("an answer that comes after the slot has changed says nothing") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"});
    SUBCASE("to locked and back") {
      gate.install(table_with(SlotState::kLocked));
      gate.install(table_with(SlotState::kMigrating));
      REQUIRE(gate.questions.size() == 2);
      gate.answer(gate.questions[0], true);
      CHECK(gate.took().empty());
      gate.answer(gate.questions[1], true);
      CHECK(gate.took() == Strings{"r1"});
    }
    SUBCASE("to locked") {
      gate.install(table_with(SlotState::kLocked));
      gate.answer(gate.questions[0], true);
      CHECK(gate.took().empty());
      CHECK(gate.gate.held() == 1);
    }
    SUBCASE("an error, too") {
      gate.install(table_with(SlotState::kLocked));
      gate.answer(gate.questions[0], false);
      CHECK(gate.took().empty());
    }
  }

  TEST_CASE("keys that have moved are known until their slot changes") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating, SlotState::kMigrating));
    gate.request("r1", {"a1"});
    gate.request("r2", {"b1"});
    gate.answer(gate.questions.at(0), true);
    gate.answer(gate.questions.at(1), true);
    gate.install(table_with(SlotState::kLocked, SlotState::kMigrating));
    gate.install(table_with(SlotState::kMigrating, SlotState::kMigrating));
    CHECK(gate.gate.may_go(kSlotB, 0, "b1"));
    CHECK_FALSE(gate.gate.may_go(kSlotA, 0, "a1"));
  }

  TEST_CASE("a table that changes nothing for a slot leaves its questions open") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"});
    // The same groups under other indices.
    gate.install(table_with(SlotState::kMigrating, SlotState::kLocked, true));
    CHECK(gate.questions.size() == 1);
    gate.answer(gate.questions[0], true);
    CHECK(gate.took() == Strings{"r1"});
  }

  TEST_CASE("a request that touches keys it does not name waits until the slot moves no more") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"}, true);
    gate.request("r2", {"a1"});
    gate.answer(gate.questions.at(0), true);
    CHECK(gate.took().empty());
    gate.install(table_with(SlotState::kNormal));
    CHECK(gate.took() == Strings{"r1", "r2"});
  }

  TEST_CASE("a request of a client that is gone is forgotten, and those behind it go on") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating));
    gate.request("r1", {"a1"});
    gate.answer(gate.questions.at(0), true);
    gate.request("r2", {"a1", "a2"});
    gate.request("r3", {"a1"});
    gate.request("r4", {"a2"});
    gate.took();
    gate.drop("r2");
    CHECK(gate.took() == Strings{"r3"});
    gate.drop("r4");
    CHECK(gate.gate.held() == 0);
    // Asked for, and nobody waits any more.
    CHECK(gate.gate.queues() == 1);
    gate.answer(gate.questions.at(1), true);
    CHECK(gate.gate.queues() == 0);
    CHECK(gate.gate.may_go(kSlotA, 0, "a2"));
  }

  TEST_CASE("what is held for too long is refused, the oldest first, with its slot") {
    Gate gate;
    gate.install(table_with(SlotState::kMigrating, SlotState::kLocked));
    gate.request("r1", {"a1"});
    gate.request("r2", {"b1"});
    gate.request("r3", {"a1"});
    gate.gate.expire(2, 1500);
    CHECK(
        gate.took() ==
        Strings{"-r1 TRYAGAIN slot 1 is moving to another group, and the key was not there within "
                "1500 ms (proxy.hold_timeout); try again",
                "-r2 TRYAGAIN slot 2 is locked, and was not open again within 1500 ms "
                "(proxy.hold_timeout); try again"});
    gate.answer(gate.questions.at(0), true);
    CHECK(gate.took() == Strings{"r3"});
  }

  TEST_CASE("whatever happens, requests for a key go in their order and nothing is left") {
    const auto seed = std::random_device()();
    INFO("seed ", seed);
    std::mt19937 random(seed);
    const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
    for (int round = 0; round < 200; ++round) {
      Gate gate;
      struct Sent {
        uint32_t client;
        Strings keys;
      };
      std::map<int, Sent> sent;                                // By number.
      std::map<std::pair<uint32_t, std::string>, int> newest;  // That went, by client and key.
      std::map<uint32_t, int> paused;  // Clients that wait for a request with several slots.
      const SlotState states[] = {SlotState::kNormal, SlotState::kLocked, SlotState::kMigrating,
                                  SlotState::kMigrating};
      SlotState a = SlotState::kNormal, b = SlotState::kNormal;
      size_t asked = 0;
      std::set<int> answered;
      const auto look = [&] {
        for (const std::string& line : gate.took()) {
          const bool refused = line[0] == '-';
          const int number = std::stoi(line.substr(refused ? 1 : 0));
          REQUIRE(answered.insert(number).second);
          std::erase_if(paused, [&](const auto& one) { return one.second == number; });
          if (refused) continue;
          for (const std::string& key : sent.at(number).keys) {
            REQUIRE((Gate::slot_of_key(key) == kSlotA ? a : b) != SlotState::kLocked);
            int& before = newest[{sent.at(number).client, key}];
            REQUIRE(before <= number);
            before = number;
          }
        }
      };
      int number = 0;
      size_t dropped = 0;
      for (int step = 0; step < 120; ++step) {
        switch (below(8)) {
          case 0:
            a = states[below(4)];
            b = states[below(4)];
            gate.install(table_with(a, b, below(2) == 0));
            break;
          case 1:
          case 2:
            // Answers come in any order.
            if (asked < gate.questions.size()) {
              std::swap(gate.questions[asked],
                        gate.questions[asked + below(static_cast<uint32_t>(gate.questions.size() -
                                                                           asked))]);
              const Gate::Question question = gate.questions[asked++];
              gate.answer(question, below(4) != 0);
            }
            break;
          case 3:
            if (below(4) == 0) gate.gate.expire(gate.clock - below(10), 1);
            if (below(4) == 0 && !gate.names.empty()) {
              auto gone = gate.names.begin();
              std::advance(gone, below(static_cast<uint32_t>(gate.names.size())));
              const std::string name = gone->second;
              gate.drop(name);
              std::erase_if(paused, [&](const auto& one) { return one.second == std::stoi(name); });
              ++dropped;
            }
            break;
          default: {
            const uint32_t client = below(4);
            if (paused.contains(client)) break;
            Strings keys;
            std::set<SlotId> slots;
            for (uint32_t i = 0, count = 1 + below(3); i < count; ++i) {
              keys.push_back((below(2) == 0 ? "a" : "b") + std::to_string(below(3)));
              slots.insert(Gate::slot_of_key(keys.back()));
            }
            sent[++number] = {client, keys};
            if (slots.size() > 1) paused[client] = number;
            gate.request(std::to_string(number), keys, below(20) == 0);
          }
        }
        look();
      }
      a = b = SlotState::kNormal;
      gate.install(table_with(a, b));
      look();
      REQUIRE(gate.gate.held() == 0);
      REQUIRE(gate.gate.held_bytes() == 0);
      REQUIRE(gate.gate.queues() == 0);
      REQUIRE(answered.size() + dropped == static_cast<size_t>(number));
    }
  }
}
