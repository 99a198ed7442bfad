#include "dashboard/mover/pika_keys.h"

#include <doctest/doctest.h>

#include "tests/dashboard/mover/move_watcher.h"
#include "tests/dashboard/mover/pika_stand_in.h"
#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kTimeout(5);

// A job that moves only what is asked for.
struct AskedJob : MovingJob {
  AskedJob(PikaStandIn& source, RedisProcess& target)
      : MovingJob(source.access(), target.access(), MoverKind::kCopy) {
    engine->set_background(1, false);
    engine->add_slots(1, all_slots());
  }
};

}  // namespace

TEST_SUITE("dashboard/mover/pika_keys") {
  TEST_CASE("what Pika has is told from what it answers about keys that are gone") {
    PikaStandIn pika;
    pika.add_list("list", 1);
    pika.add_list("deleted", 1);
    pika.add_list("expired", 1);
    pika.warm_up("expired");
    pika.expire("deleted");
    pika.expire("expired");
    pika.add_empty_stream("emptied");
    auto link = ServerLink::connect(pika.access(), "test", kTimeout);
    REQUIRE(link);
    const std::string unfit("zero\0byte", 9);
    const std::vector<std::string> asked = {"deleted", "expired", "emptied",
                                            "list",    "never",   unfit};
    const auto there = present_keys(**link, true, asked, kTimeout);
    REQUIRE(there);
    CHECK(*there == std::vector<std::string>{"list"});
    RedisProcess redis;
    redis({"SET", "list", "1"});
    const auto of_redis = present_keys(redis.link(), false, asked, kTimeout);
    REQUIRE(of_redis);
    CHECK(*of_redis == std::vector<std::string>{"list"});
  }

  TEST_CASE("a list that has moved does not come back out of Pika's cache") {
    // Few elements are read at once, many in pieces.
    for (const size_t elements : {3, 500}) {
      PikaStandIn source;
      RedisProcess target;
      source.add_list("k", elements);
      source.warm_up("k");
      AskedJob job(source, target);
      REQUIRE(job.move({"k"}).moved);
      CHECK(source.list_length("k") == 0);
      target({"RPUSH", "k", "written since"});
      REQUIRE(job.move({"k"}).moved);
      CHECK(target({"LLEN", "k"}).is_integer(static_cast<int64_t>(elements) + 1));
    }
  }

  TEST_CASE("a key that has expired does not come back out of Pika's cache") {
    PikaStandIn source;
    RedisProcess target;
    source.add_list("k", 3);
    source.warm_up("k");
    source.expire("k");
    AskedJob job(source, target);
    REQUIRE(job.move({"k"}).moved);
    CHECK(target.keys() == 0);
  }

  TEST_CASE("a stream without entries, which Pika never forgets, does not replace the target's") {
    PikaStandIn source;
    RedisProcess target;
    source.add_empty_stream("k");
    AskedJob job(source, target);
    REQUIRE(job.move({"k"}).moved);
    target({"XADD", "k", "9-9", "f", "v"});
    REQUIRE(job.move({"k"}).moved);
    CHECK(target({"XLEN", "k"}).is_integer(1));
  }

  TEST_CASE("members with the score -inf move, though Pika's ZRANGE leaves them out") {
    PikaStandIn source;
    RedisProcess target;
    source.add_zset("some", {{"low", "-inf"}, {"zero", "-0"}, {"one", "1"}});
    source.add_zset("all", {{"low", "-inf"}});
    AskedJob job(source, target);
    REQUIRE(job.move({"some"}).moved);
    REQUIRE(job.move({"all"}).moved);
    CHECK(target({"ZCARD", "some"}).is_integer(3));
    CHECK(target({"ZSCORE", "some", "low"}).text == "-inf");
    CHECK(target({"ZSCORE", "all", "low"}).text == "-inf");
  }

  TEST_CASE("a key with a zero byte stays at Pika, and Pika is not asked about it") {
    PikaStandIn source;
    RedisProcess target;
    source.hold("TYPE");
    AskedJob job(source, target);
    CHECK(job.move({std::string("zero\0byte", 9)}).error.find("zero byte") != std::string::npos);
  }

  TEST_CASE("nothing moves while a command that was given up may still run at Pika") {
    PikaStandIn source;
    RedisProcess target;
    source.add_list("k", 3);
    AskedJob job(source, target);
    REQUIRE(job.move({"warm"}).moved);
    source.hold("DEL");
    CHECK(job.move({"k"}).error.starts_with("TRYAGAIN "));
    REQUIRE(job.watcher.wait_problem("does not end our connection"));
    CHECK(job.move({"k"}).error.starts_with("TRYAGAIN "));
    // The delete runs now. It was the commit, so the target's copy is the key.
    source.go_on();
    while (!job.move({"k"}).moved) {
    }
    CHECK(target({"LLEN", "k"}).is_integer(3));
    CHECK(source.list_length("k") == 0);
  }
}

}  // namespace pikaproxy
