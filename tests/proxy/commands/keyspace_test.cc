#include "proxy/commands/keyspace.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("proxy/keyspace") {
  TEST_CASE("keys are added up by database, and times to live by how many keys have one") {
    Keyspace keyspace;
    keyspace.add(
        "# Keyspace\r\ndb0:keys=10,expires=1,avg_ttl=1000\r\ndb12:keys=1,expires=0,avg_ttl=0\r\n");
    keyspace.add("# Keyspace\r\ndb0:keys=5,expires=3,avg_ttl=2000,subexpiry=7\r\n");
    keyspace.add("# Keyspace\r\n");
    CHECK(keyspace.lines() ==
          "db0:keys=15,expires=4,avg_ttl=1750\r\ndb12:keys=1,expires=0,avg_ttl=0\r\n");
  }

  TEST_CASE("a Pika's keys are those of all types") {
    Keyspace keyspace;
    keyspace.add(
        "# Keyspace\r\n# Time: 1970-01-01 08:00:00\r\n# Duration: In Processing\r\n"
        "db0 Strings_keys=7, expires=2, invalid_keys=1\r\n"
        "db0 Hashes_keys=3, expires=0, invalid_keys=0\r\n");
    CHECK(keyspace.lines() == "db0:keys=10,expires=2,avg_ttl=0\r\n");
  }

  TEST_CASE("what is no such line is passed over, and groups that are not counted are named") {
    Keyspace keyspace;
    for (const char* text : {"", "db", "db0", "dbx:keys=1", "db99999999999:keys=1", "\n\n", "x"}) {
      keyspace.add(text);
    }
    CHECK(keyspace.lines().empty());
    keyspace.add_unknown("g1");
    keyspace.add_unknown("g7");
    CHECK(keyspace.lines() == "unknown_groups:g1,g7\r\n");
  }
}
