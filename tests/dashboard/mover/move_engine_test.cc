#include "dashboard/mover/move_engine.h"

#include <doctest/doctest.h>

#include "dashboard/mover/client_list.h"
#include "dashboard/mover/move_budget.h"
#include "tests/dashboard/mover/move_watcher.h"
#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {

TEST_SUITE("dashboard/mover/move_engine") {
  TEST_CASE("the budget lets the next step begin when the work done has had its time") {
    using std::chrono::milliseconds;
    MoveBudget budget;
    const MoveBudget::Time start{std::chrono::hours(1)};
    budget.spend(1000000, 1 << 30, start);
    CHECK(budget.free_at() == start);
    budget.set_limits({100, 0});
    CHECK(budget.batch(128) == 10);
    budget.spend(10, 1 << 30, start);
    CHECK(budget.free_at() == start + milliseconds(100));
    budget.set_limits({100, 1000});
    budget.spend(10, 500, start + milliseconds(100));
    CHECK(budget.free_at() == start + milliseconds(600));
    // Idle time is not saved up.
    budget.spend(10, 0, start + milliseconds(5000));
    CHECK(budget.free_at() == start + milliseconds(5100));
    budget.set_limits({3, 0});
    CHECK(budget.batch(128) == 1);
  }

  TEST_CASE("CLIENT LIST is read as Redis and Pika write it") {
    const auto entries = parse_client_list(
        "id=3 addr=127.0.0.1:5 laddr=127.0.0.1:1 fd=8 name=a cmd=client|list user=default\r\n"
        "addr=[::1]:6 fd=9 name= idle=3\nnonsense\n");
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].id == 3);
    CHECK(entries[0].name == "a");
    CHECK(entries[0].cmd == "client|list");
    CHECK(entries[1].id == 0);
    CHECK(ip_of(entries[1].addr) == "::1");
    CHECK(ip_of("10.0.0.1:77") == "10.0.0.1");
  }

  TEST_CASE("many asks for the same keys are all answered, and each key moves once") {
    RedisProcess source, target;
    constexpr int kKeys = 50;
    for (int i = 0; i < kKeys; ++i) source({"SET", "{k}" + std::to_string(i), "v"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    std::vector<std::future<KeyMover::Outcome>> asked;
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < kKeys; ++i) {
        asked.push_back(job.start_move({"{k}" + std::to_string(i), "{k}0"}));
      }
    }
    for (auto& outcome : asked) CHECK(outcome.get().moved);
    CHECK(job.engine->progress(1).keys_moved == kKeys);
    CHECK(target.keys() == kKeys);
  }

  TEST_CASE("while paused only what is asked for moves; a slot is not clean before it is") {
    RedisProcess source, target;
    for (int i = 0; i < 100; ++i) source({"SET", "{k}" + std::to_string(i), "v"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    CHECK(job.move({"{k}5"}).moved);
    CHECK(source.keys() == 99);
    CHECK(job.watcher.clean().empty());
    job.engine->set_background(1, true);
    REQUIRE(job.watcher.wait_clean({slot_of("{k}")}));
    CHECK(source.keys() == 0);
  }

  TEST_CASE("limits are of the background only, and can be lifted while it waits") {
    RedisProcess source, target;
    for (int i = 0; i < 100; ++i) source({"SET", "{k}" + std::to_string(i), "v"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate, {1, 0});
    job.engine->add_slots(1, {slot_of("{k}")});
    CHECK(job.move({"{k}7", "{k}8", "{k}9"}).moved);
    CHECK(job.watcher.clean().empty());
    job.engine->set_limits(1, {});
    REQUIRE(job.watcher.wait_clean({slot_of("{k}")}));
    CHECK(target.keys() == 100);
  }

  TEST_CASE("a large key is announced once") {
    RedisProcess source, target;
    source({"SET", "big", std::string(9 << 20, 'x')});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->add_slots(1, {slot_of("big")});
    REQUIRE(job.watcher.wait_clean({slot_of("big")}));
    REQUIRE(job.watcher.warnings().size() == 1);
    CHECK(job.watcher.warnings()[0].find("\"big\"") != std::string::npos);
  }

  TEST_CASE("slots can be removed while their keys move, and taken the other way") {
    RedisProcess source, target;
    for (int i = 0; i < 3000; ++i) source.link().add({"SET", "{k}" + std::to_string(i), "v"});
    std::vector<Reply> replies;
    REQUIRE(source.link().exchange(replies, std::chrono::seconds(20)));
    const std::vector<SlotId> slots = {slot_of("{k}")};
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->add_slots(1, slots);
    while (target.keys() == 0) std::this_thread::yield();
    CHECK(job.remove(slots) == "");
    const int64_t moved = target.keys();
    CHECK(source.keys() + moved == 3000);
    job.engine->close_job(1);
    job.engine->open_job(1, {target.access(), source.access(), MoverKind::kMigrate}, {});
    const size_t cleaned_before = job.watcher.clean().size();
    job.engine->add_slots(1, slots);
    REQUIRE(job.watcher.wait_clean(slots));
    CHECK(cleaned_before == 0);
    CHECK(source.keys() == 3000);
    CHECK(target.keys() == 0);
  }

  TEST_CASE("stop answers what is under way") {
    RedisProcess source, target;
    source({"SET", "a", "1"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("a")});
    source.freeze();
    auto asked = job.start_move({"a"});
    job.engine->stop();
    CHECK(asked.get().error.starts_with("TRYAGAIN "));
    source.thaw();
  }
}

}  // namespace pikaproxy
