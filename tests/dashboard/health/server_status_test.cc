#include "dashboard/health/server_status.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

ServerStatus answered(ServerStatus status, uint64_t offset, int64_t at) {
  ServerFacts facts = status.facts;
  facts.replication_offset = offset;
  return after_answer(std::move(status), facts, at, at);
}

}  // namespace

TEST_SUITE("dashboard/health/server_status") {
  TEST_CASE("a server is suspect after one failure and down after several that take long enough") {
    ServerStatus status = after_answer({}, {}, 1000, 1010);
    CHECK(status.state == ServerState::kUp);
    CHECK(status.state_since == 1010);
    status = after_failure(status, "timed out", 2000, 3000);
    CHECK(status.state == ServerState::kSuspect);
    CHECK(status.state_since == 3000);
    CHECK(status.error == "timed out");
    SUBCASE("it is down") {
      status = after_failure(status, "timed out", 3000, 4000);
      CHECK(status.state == ServerState::kSuspect);
      status = after_failure(status, "timed out", 4000, 5000);
      CHECK(status.state == ServerState::kDown);
      CHECK(status.state_since == 5000);
      CHECK(status.failing_since == 2000);
      status = after_failure(status, "refused", 5000, 5001);
      CHECK(status.state == ServerState::kDown);
      CHECK(status.state_since == 5000);
      CHECK(status.error == "refused");
    }
    SUBCASE("refusals in quick succession do not make it down at once") {
      for (int i = 0; i < 5; ++i) status = after_failure(status, "refused", 3001 + i, 3001 + i);
      CHECK(status.state == ServerState::kSuspect);
    }
    SUBCASE("one answer makes it up") {
      status = after_answer(status, {}, 3000, 3001);
      CHECK(status.state == ServerState::kUp);
      CHECK(status.failures == 0);
      CHECK(status.error == "");
    }
  }

  TEST_CASE("what a server said stays known while it does not answer") {
    ServerFacts facts;
    facts.keys = 7;
    ServerStatus status = after_answer({}, facts, 1000, 1001);
    status = after_failure(status, "timed out", 2000, 3000);
    CHECK(status.facts.keys == 7);
    CHECK(status.answered_at == 1000);
    CHECK(status.asked_at == 2000);
  }

  TEST_CASE("lag is measured against a master's offset that is not younger than the replica's") {
    ServerStatus master, replica;
    replica.facts.is_master = false;
    master = answered(master, 100, 10);
    replica = answered(replica, 90, 20);
    CHECK(replication_lag(master, replica) == 10);
    master = answered(master, 5000, 30);
    CHECK(replication_lag(master, replica) == 10);
    replica = answered(replica, 4000, 40);
    CHECK(replication_lag(master, replica) == 1000);
    replica = answered(replica, 5100, 50);
    CHECK(replication_lag(master, replica) == 0);
    // Both offsets of the master are younger: it cannot be told.
    master = answered(answered(master, 6000, 60), 7000, 70);
    CHECK(replication_lag(master, replica) == 0);
  }

  TEST_CASE("the distance of Pika's offsets counts whole files between") {
    CHECK(offset_distance("redis", 7, 3) == 4);
    CHECK(offset_distance("redis", 3, 7) == 0);
    CHECK(offset_distance("pika", (2ull << 32) + 10, (2ull << 32) + 4) == 6);
    CHECK(offset_distance("pika", (3ull << 32) + 1, (2ull << 32) + 5) == (100ull << 20) - 4);
  }

  TEST_CASE("a replica follows its master by whatever name it calls it") {
    ServerStatus master, replica;
    master.address = {"cache-1", 6379, ""};
    master.ip = "10.0.0.1";
    master.facts.replication_id = "a1";
    replica.facts.is_master = false;
    replica.facts.link_up = false;
    for (const char* name : {"cache-1:6379", "10.0.0.1:6379"}) {
      replica.facts.master_addr = name;
      CHECK(follows(replica, master));
    }
    replica.facts.master_addr = "cache-alias:6379";
    CHECK_FALSE(follows(replica, master));
    replica.master_ip = "10.0.0.1";
    CHECK(follows(replica, master));
    replica.facts.master_addr = "cache-alias:6380";
    CHECK_FALSE(follows(replica, master));
    // Through a forwarded port; the history is the same.
    replica.facts.link_up = true;
    replica.facts.replication_id = "a1";
    CHECK(follows(replica, master));
    replica.facts.is_master = true;
    CHECK_FALSE(follows(replica, master));
  }
}
