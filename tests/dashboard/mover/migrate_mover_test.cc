#include <doctest/doctest.h>

#include "tests/dashboard/mover/move_watcher.h"
#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {
namespace {

void fill(RedisProcess& server, int keys, const std::string& prefix = "key:") {
  std::vector<Reply> replies;
  for (int i = 0; i < keys; ++i) {
    server.link().add({"SET", prefix + std::to_string(i), "value " + std::to_string(i)});
    if (server.link().added() < 1000 && i + 1 < keys) continue;
    REQUIRE(server.link().exchange(replies, std::chrono::seconds(20)));
  }
}

}  // namespace

TEST_SUITE("dashboard/mover/migrate_mover") {
  TEST_CASE("all keys of the added slots move, those of others stay") {
    RedisProcess source, target;
    fill(source, 5000);
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    std::vector<SlotId> half(512);
    for (SlotId slot = 0; slot < 512; ++slot) half[slot] = slot;
    job.engine->add_slots(1, half);
    REQUIRE(job.watcher.wait_clean(half));
    int64_t moved = 0;
    for (int i = 0; i < 5000; ++i) moved += slot_of("key:" + std::to_string(i)) < 512;
    CHECK(target.keys() == moved);
    CHECK(source.keys() == 5000 - moved);
    CHECK(job.engine->progress(1).keys_moved == static_cast<uint64_t>(moved));
    CHECK(job.engine->progress(1).keys_seen_left == 0);
    for (const auto& [slot, times] : job.watcher.clean()) CHECK(times == 1);
    CHECK(job.watcher.clean().size() == 512);
    CHECK(job.remove(half) == "");
  }

  TEST_CASE("keys of every database move to the database of the same number") {
    RedisProcess source, target;
    source({"SET", "a", "0"});
    source({"SELECT", "3"});
    source({"SET", "a", "3"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->add_slots(1, all_slots());
    REQUIRE(job.watcher.wait_clean(all_slots()));
    CHECK(target({"GET", "a"}).text == "0");
    target({"SELECT", "3"});
    CHECK(target({"GET", "a"}).text == "3");
  }

  TEST_CASE("a key that is asked for moves at once, one that is nowhere is none to wait for") {
    RedisProcess source, target;
    source({"SET", "{t}a", "1"});
    source({"SET", "{t}b", "2"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{t}")});
    const auto outcome = job.move({"{t}a", "{t}nowhere", "{t}a"});
    CHECK(outcome.error == "");
    CHECK(outcome.moved);
    CHECK(target({"GET", "{t}a"}).text == "1");
    CHECK(source({"EXISTS", "{t}a"}).is_integer(0));
    CHECK(source({"EXISTS", "{t}b"}).is_integer(1));
    CHECK(job.engine->progress(1).keys_moved == 1);
  }

  TEST_CASE("asks for slots that are not being moved are to be tried again") {
    RedisProcess source, target;
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    CHECK(job.move({"a"}).error.starts_with("TRYAGAIN "));
    job.engine->add_slots(1, {slot_of("a")});
    CHECK(job.move({"a"}).moved);
    CHECK(job.remove({slot_of("a")}) == "");
    CHECK(job.move({"a"}).error.starts_with("TRYAGAIN "));
    job.engine->stop();
    CHECK(job.move({"a"}).error.starts_with("TRYAGAIN "));
  }

  TEST_CASE("what the target has already stands") {
    RedisProcess source, target;
    for (const std::string key : {"{t}a", "{t}b", "{t}c"}) source({"SET", key, "old"});
    target({"SET", "{t}b", "new"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->add_slots(1, {slot_of("{t}")});
    REQUIRE(job.watcher.wait_clean({slot_of("{t}")}));
    CHECK(target({"GET", "{t}a"}).text == "old");
    CHECK(target({"GET", "{t}b"}).text == "new");
    CHECK(source.keys() == 0);
  }

  TEST_CASE("a target with a password, for the default user or another, is logged in to") {
    RedisProcess source({"--requirepass", "from here"});
    RedisProcess target({"--requirepass", "to there"});
    ServerAccess access = target.access();
    SUBCASE("the default user") {}
    SUBCASE("a user of its own") {
      REQUIRE(target({"ACL", "SETUSER", "mover", "on", ">pw", "~*", "+@all"}).is_ok());
      access.user = "mover";
      access.password = "pw";
    }
    source({"SET", "a", "1"});
    MovingJob job(source.access(), access, MoverKind::kMigrate);
    job.engine->add_slots(1, {slot_of("a")});
    REQUIRE(job.watcher.wait_clean({slot_of("a")}));
    CHECK(target({"GET", "a"}).text == "1");
  }

  TEST_CASE("a wrong password is a problem that names the server and not the password") {
    RedisProcess source;
    RedisProcess target({"--requirepass", "right"});
    ServerAccess access = target.access();
    access.password = "wrong-one";
    source({"SET", "a", "1"});
    MovingJob job(source.access(), access, MoverKind::kMigrate);
    job.engine->add_slots(1, {slot_of("a")});
    REQUIRE(job.watcher.wait_problem("refuses our login"));
    CHECK(job.watcher.problem().find(access.address.to_string()) != std::string::npos);
    CHECK(job.watcher.problem().find("wrong-one") == std::string::npos);
    const auto outcome = job.move({"a"});
    CHECK(outcome.error.starts_with("TRYAGAIN "));
    CHECK(outcome.error.find("wrong-one") == std::string::npos);
    CHECK(source.keys() == 1);
  }

  TEST_CASE("a target without memory refuses keys, and takes them once it has some") {
    RedisProcess source, target;
    fill(source, 500);
    REQUIRE(target({"CONFIG", "SET", "maxmemory", "1mb"}).is_ok());
    REQUIRE(target({"CONFIG", "SET", "maxmemory-policy", "noeviction"}).is_ok());
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->add_slots(1, all_slots());
    REQUIRE(job.watcher.wait_problem("OOM"));
    const auto outcome = job.move({"key:1"});
    CHECK_FALSE(outcome.moved);
    CHECK(outcome.error.starts_with("OOM "));
    CHECK(job.watcher.clean().size() < kSlotCount);
    REQUIRE(target({"CONFIG", "SET", "maxmemory", "0"}).is_ok());
    REQUIRE(job.watcher.wait_clean(all_slots()));
    CHECK(job.watcher.problem() == "");
    CHECK(target.keys() == 500);
    CHECK(source.keys() == 0);
  }
}

}  // namespace pikaproxy
