#include "proxy/backend/replica_reads.h"

#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

const Address kMaster{"10.0.0.1", 7001, ""};

ReplicationReport master(uint64_t offset, const std::string& history = "h1") {
  ReplicationReport report;
  report.is_master = true;
  report.offset = offset;
  report.replication_id = history;
  return report;
}

ReplicationReport replica(uint64_t offset, const std::string& history = "h1") {
  ReplicationReport report;
  report.offset = offset;
  report.link_up = true;
  report.master = "10.0.0.1:7001";
  report.replication_id = history;
  return report;
}

constexpr Ticks kNever = ReplicaFreshness::kNever;

}  // namespace

TEST_SUITE("proxy/replica_reads") {
  TEST_CASE("a replica has what its master had when that was asked, if it has got there") {
    ReplicaFreshness freshness(2);
    CHECK(freshness.known_until(0) == kNever);
    freshness.note_master(1000, master(500));
    freshness.note_master(2000, master(730));
    CHECK(freshness.note_replica(0, replica(499), kMaster).empty());
    CHECK(freshness.known_until(0) == kNever);
    CHECK(freshness.note_replica(0, replica(600), kMaster).empty());
    CHECK(freshness.known_until(0) == 1000);
    CHECK(freshness.note_replica(0, replica(730), kMaster).empty());
    CHECK(freshness.known_until(0) == 2000);
    CHECK(freshness.known_until(1) == kNever);
  }

  TEST_CASE("while nothing is written a replica stays as new as the newest question") {
    ReplicaFreshness freshness(1);
    for (Ticks asked = 1000; asked < 100'000; asked += 1000) {
      freshness.note_master(asked, master(500));
      freshness.note_replica(0, replica(500), kMaster);
      CHECK(freshness.known_until(0) == asked);
    }
  }

  TEST_CASE("a replica that is always behind by a little is known to be behind by that") {
    ReplicaFreshness freshness(1);
    for (Ticks asked = 1000; asked < 100'000; asked += 1000) {
      freshness.note_master(asked, master(static_cast<uint64_t>(asked)));
      freshness.note_replica(0, replica(static_cast<uint64_t>(asked) - 2500), kMaster);
    }
    CHECK(freshness.known_until(0) == 96'000);
  }

  TEST_CASE("where data follows the binlog later, a place counts when it is told of once more") {
    ReplicaFreshness freshness(1);
    ReplicationReport pika = replica(500);
    pika.applies_later = true;
    freshness.note_master(1000, master(500));
    freshness.note_replica(0, pika, kMaster);
    CHECK(freshness.known_until(0) == kNever);
    freshness.note_replica(0, pika, kMaster);
    CHECK(freshness.known_until(0) == 1000);
    freshness.note_master(2000, master(700));
    pika.offset = 700;
    freshness.note_replica(0, pika, kMaster);
    CHECK(freshness.known_until(0) == 1000);
    freshness.note_replica(0, pika, kMaster);
    CHECK(freshness.known_until(0) == 2000);
  }

  TEST_CASE("nothing is read from a replica that is cut off, a master, or somebody else's") {
    ReplicaFreshness freshness(1);
    const auto fresh = [&] {
      freshness.note_master(1000, master(500));
      CHECK(freshness.note_replica(0, replica(500), kMaster).empty());
      CHECK(freshness.known_until(0) == 1000);
    };
    fresh();
    ReplicationReport cut_off = replica(500);
    cut_off.link_up = false;
    CHECK(freshness.note_replica(0, cut_off, kMaster) == "has lost its master");
    CHECK(freshness.known_until(0) == kNever);
    fresh();
    CHECK(freshness.note_replica(0, master(500), kMaster) == "is a master itself");
    CHECK(freshness.known_until(0) == kNever);
    fresh();
    CHECK(freshness.note_replica(0, replica(900, "h2"), kMaster) == "has another master's data");
    CHECK(freshness.known_until(0) == kNever);
  }

  TEST_CASE("where servers do not name their history the master's address has to be ours") {
    ReplicaFreshness freshness(1);
    freshness.note_master(1000, master(500, ""));
    CHECK(freshness.note_replica(0, replica(500, ""), kMaster).empty());
    CHECK(freshness.known_until(0) == 1000);
    CHECK(freshness.note_replica(0, replica(500, ""), {"10.0.0.2", 7001, ""}) ==
          "follows 10.0.0.1:7001");
    CHECK(freshness.known_until(0) == kNever);
  }

  TEST_CASE("a master that begins another history, or goes back, makes all that was known void") {
    for (const ReplicationReport& report : {master(900, "h2"), master(400)}) {
      ReplicaFreshness freshness(1);
      freshness.note_master(1000, master(500));
      freshness.note_replica(0, replica(500), kMaster);
      freshness.note_master(2000, report);
      CHECK(freshness.known_until(0) == kNever);
    }
  }
}
