#include <doctest/doctest.h>

#include "dashboard/mover/server_survey.h"
#include "tests/dashboard/mover/codis_stand_in.h"
#include "tests/dashboard/mover/move_watcher.h"

namespace pikaproxy {

TEST_SUITE("dashboard/mover/slots_mover") {
  TEST_CASE("a codis-server is known by its commands") {
    CodisStandIn source, target;
    const auto facts = ask_server(source.access(), std::chrono::seconds(5));
    REQUIRE(facts);
    CHECK(facts->engine == "codis-server");
    CHECK(*choose_mover(*facts, *facts) == MoverKind::kSlots);
  }

  TEST_CASE("slots are drained in all databases, and are clean when nothing is left") {
    CodisStandIn source, target;
    source.send_to(target);
    for (int i = 0; i < 300; ++i) source.set(i % 2, "key" + std::to_string(i), "v");
    MovingJob job(source.access(), target.access(), MoverKind::kSlots);
    job.engine->add_slots(1, all_slots());
    REQUIRE(job.watcher.wait_clean(all_slots()));
    CHECK(source.keys(0) + source.keys(1) == 0);
    CHECK(target.keys(0) == 150);
    CHECK(target.keys(1) == 150);
    CHECK(job.engine->progress(1).keys_moved == 300);
    CHECK(job.remove(all_slots()) == "");
  }

  TEST_CASE("a key that is asked for moves with its tag") {
    CodisStandIn source, target;
    source.send_to(target);
    for (const std::string key : {"{t}a", "{t}b", "other"}) source.set(0, key, "v");
    MovingJob job(source.access(), target.access(), MoverKind::kSlots);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{t}")});
    CHECK(job.move({"{t}a", "{t}nowhere"}).moved);
    CHECK(target.keys() == 2);
    CHECK(source.keys() == 1);
  }

  TEST_CASE("different passwords are a problem that says so") {
    CodisStandIn source, target;
    source.send_to(target);
    source.set(0, "a", "v");
    source.refuse_with("ERR error on slotsrestore, auth failed");
    MovingJob job(source.access(), target.access(), MoverKind::kSlots);
    job.engine->add_slots(1, {slot_of("a")});
    REQUIRE(job.watcher.wait_problem("both need the same"));
    CHECK(job.move({"a"}).error.starts_with("ERR "));
    source.refuse_with("");
    REQUIRE(job.watcher.wait_clean({slot_of("a")}));
    CHECK(job.watcher.problem() == "");
    CHECK(target.keys() == 1);
  }
}

}  // namespace pikaproxy
