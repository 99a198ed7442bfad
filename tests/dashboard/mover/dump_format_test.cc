#include "dashboard/mover/dump_format.h"

#include <doctest/doctest.h>

#include "dashboard/mover/server_survey.h"
#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kTimeout(5);

ServerFacts master_with(std::vector<uint16_t> dump_versions) {
  ServerFacts facts;
  facts.has_migrate = facts.has_dump_restore = facts.has_migrate_auth = true;
  facts.dump_versions = std::move(dump_versions);
  return facts;
}

}  // namespace

TEST_SUITE("dashboard/mover/dump_format") {
  TEST_CASE("the last version that RESTORE takes is the one that DUMP writes") {
    RedisProcess server;
    server({"SET", "pikaproxy-probe", "a client's own key"});
    const auto versions = dump_versions(server.link(), kTimeout);
    const Reply dump = server({"DUMP", "pikaproxy-probe"});
    REQUIRE(dump.text.size() > 10);
    const std::string footer = dump.text.substr(dump.text.size() - 10, 2);
    REQUIRE_FALSE(versions.empty());
    CHECK(versions.back() ==
          static_cast<uint8_t>(footer[0]) + 256 * static_cast<uint8_t>(footer[1]));
    CHECK(versions.front() == 1);
    // Nothing was written.
    CHECK(server({"GET", "pikaproxy-probe"}).text == "a client's own key");
    CHECK(server({"DBSIZE"}).is_integer(1));
  }

  TEST_CASE("a server that refuses for another reason does not tell") {
    RedisProcess full({"--maxmemory", "1"});
    CHECK(dump_versions(full.link(), kTimeout).empty());
    RedisProcess renamed({"--rename-command", "RESTORE", ""});
    CHECK(dump_versions(renamed.link(), kTimeout).empty());
  }

  TEST_CASE("keys go by MIGRATE only to a server that reads what the source writes") {
    const ServerFacts older = master_with({1, 2, 3, 4, 5, 6, 7});
    const ServerFacts newer = master_with({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    // It has left out what others use.
    const ServerFacts other = master_with({1, 2, 3, 4, 5, 6, 7, 8, 9, 80});
    const ServerFacts silent = master_with({});
    CHECK(*choose_mover(older, newer) == MoverKind::kMigrate);
    CHECK(*choose_mover(newer, older) == MoverKind::kCopy);
    CHECK(*choose_mover(newer, other) == MoverKind::kCopy);
    CHECK(*choose_mover(other, newer) == MoverKind::kCopy);
    CHECK(*choose_mover(older, other) == MoverKind::kMigrate);
    CHECK(*choose_mover(silent, older) == MoverKind::kMigrate);
  }

  TEST_CASE("keys go neither by MIGRATE nor by SLOTS where the target's password cannot be given") {
    ServerFacts codis = master_with({1, 2, 3, 4, 5, 6, 7});
    codis.has_migrate_auth = false;
    codis.has_slots_commands = true;
    ServerFacts with_password = codis;
    with_password.asks_password = true;
    CHECK(*choose_mover(codis, codis) == MoverKind::kMigrate);
    CHECK(*choose_mover(with_password, with_password) == MoverKind::kCopy);
    codis.has_migrate = with_password.has_migrate = false;
    CHECK(*choose_mover(codis, codis) == MoverKind::kSlots);
    CHECK(*choose_mover(with_password, codis) == MoverKind::kCopy);
  }
}

}  // namespace pikaproxy
