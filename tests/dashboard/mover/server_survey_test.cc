#include "dashboard/mover/server_survey.h"

#include <doctest/doctest.h>

#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kTimeout(5);

}  // namespace

TEST_SUITE("dashboard/mover/server_survey") {
  TEST_CASE("a server says who it is and what it can") {
    RedisProcess server({"--requirepass", "secret", "--maxmemory", "100mb"});
    server({"SET", "a", "1"});
    server({"SELECT", "2"});
    server({"SET", "a", "1"});
    const auto facts = ask_server(server.access(), kTimeout);
    REQUIRE(facts);
    CHECK(facts->engine == "redis");
    CHECK(facts->version.find('.') != std::string::npos);
    CHECK(facts->is_master);
    CHECK(facts->keys == 2);
    CHECK(facts->memory_bytes > 0);
    CHECK(facts->memory_max_bytes == 100u << 20);
    CHECK(facts->clients >= 2);
    CHECK(facts->has_migrate);
    CHECK(facts->has_migrate_auth);
    CHECK(facts->asks_password);
    CHECK(facts->has_dump_restore);
    CHECK_FALSE(facts->has_slots_commands);
    CHECK(*choose_mover(*facts, *facts) == MoverKind::kMigrate);
  }

  TEST_CASE("a command that was renamed away is missing, and so is one that an ACL forbids") {
    SUBCASE("renamed") {
      RedisProcess server({"--rename-command", "MIGRATE", "", "--rename-command", "DUMP", ""});
      const auto facts = ask_server(server.access(), kTimeout);
      REQUIRE(facts);
      CHECK_FALSE(facts->has_migrate);
      CHECK_FALSE(facts->has_dump_restore);
      CHECK(*choose_mover(*facts, *facts) == MoverKind::kCopy);
    }
    SUBCASE("forbidden") {
      RedisProcess server;
      REQUIRE(server({"ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-migrate"}).is_ok());
      const auto facts = ask_server({server.access().address, "u", "p"}, kTimeout);
      REQUIRE(facts);
      CHECK_FALSE(facts->has_migrate);
      CHECK(facts->has_dump_restore);
    }
  }

  TEST_CASE("a replica names its master, and no mover takes keys from or to it") {
    RedisProcess master, replica;
    REQUIRE(replicate(replica.access(), &master.access().address, kTimeout));
    const auto facts = ask_server(replica.access(), kTimeout);
    REQUIRE(facts);
    CHECK_FALSE(facts->is_master);
    CHECK(facts->master_addr == master.access().address.to_string());
    const auto masters = ask_server(master.access(), kTimeout);
    REQUIRE(masters);
    CHECK_FALSE(choose_mover(*facts, *masters));
    CHECK_FALSE(choose_mover(*masters, *facts));
    REQUIRE(replicate(replica.access(), nullptr, kTimeout));
    CHECK(ask_server(replica.access(), kTimeout)->is_master);
  }

  TEST_CASE("keys are counted and purged by slot, in all databases") {
    RedisProcess server;
    for (int i = 0; i < 3000; ++i) server.link().add({"SET", "k" + std::to_string(i), "v"});
    std::vector<Reply> replies;
    REQUIRE(server.link().exchange(replies, std::chrono::seconds(20)));
    server({"SELECT", "1"});
    server({"SET", "k7", "v"});
    const SlotId slot = slot_of("k7");
    uint64_t same = 1;
    for (int i = 0; i < 3000; ++i) same += slot_of("k" + std::to_string(i)) == slot;
    const SlotId other = slot_of("k8");
    auto counts = count_keys(server.access(), {slot, other});
    REQUIRE(counts);
    CHECK(counts->size() == 2);
    CHECK((*counts)[slot].keys == same);
    const auto purged = purge_keys(server.access(), {slot});
    REQUIRE(purged);
    CHECK(*purged == same);
    counts = count_keys(server.access(), {slot, other});
    REQUIRE(counts);
    CHECK(counts->size() == 1);
    CHECK(counts->count(other) == 1);
  }

  TEST_CASE("a purge that somebody gave up is ended by the next look") {
    RedisProcess server;
    auto lost = ServerLink::connect(server.access(), "pikaproxy-purge:1-1", kTimeout);
    REQUIRE(lost);
    REQUIRE(count_keys(server.access(), {1}));
    CHECK((*lost)->call({"DBSIZE"}, kTimeout).is_error());
  }

  TEST_CASE("a server that cannot be reached is named in the error") {
    ServerAccess access;
    {
      RedisProcess server;
      access = server.access();
    }
    for (const std::string& error :
         {ask_server(access, kTimeout).error(), count_keys(access, {1}).error(),
          purge_keys(access, {1}).error(), replicate(access, nullptr, kTimeout).error()}) {
      CHECK(error.find(access.address.to_string()) != std::string::npos);
      CHECK(error.ends_with("."));
    }
  }
}

}  // namespace pikaproxy
