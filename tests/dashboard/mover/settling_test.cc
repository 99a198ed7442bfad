// What comes late: servers that die, hang, and wake up again in the middle of a move.

#include <doctest/doctest.h>

#include "tests/dashboard/mover/move_watcher.h"
#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kTimeout(5);

const std::vector<std::string> kNoDump = {"--rename-command", "DUMP", ""};

// Keeps asking, as a proxy's clients do; false: it never moved.
bool move_at_last(MovingJob& job, const std::string& key) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < give_up) {
    const auto outcome = job.move({key});
    if (outcome.moved) return true;
    if (!outcome.error.starts_with("TRYAGAIN ")) return false;
  }
  return false;
}

}  // namespace

TEST_SUITE("dashboard/mover/settling") {
  TEST_CASE("a target that hangs gives TRYAGAIN, and what it applies late does not come back") {
    MoverKind mover = MoverKind::kMigrate;
    std::vector<std::string> options;
    SUBCASE("MIGRATE") {}
    SUBCASE("COPY with dumps") {
      mover = MoverKind::kCopy;
    }
    SUBCASE("COPY by type") {
      mover = MoverKind::kCopy;
      options = kNoDump;
    }
    RedisProcess source(options), target;
    source({"SET", "{k}warm", "1"});
    source({"SET", "{k}", "value"});
    MovingJob job(source.access(), target.access(), mover);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    REQUIRE(job.move({"{k}warm"}).moved);
    target.freeze();
    const auto outcome = job.move({"{k}"});
    CHECK_FALSE(outcome.moved);
    CHECK(outcome.error.starts_with("TRYAGAIN "));
    REQUIRE(job.watcher.wait_problem(target.access().address.to_string()));
    target.thaw();
    REQUIRE(move_at_last(job, "{k}"));
    CHECK(job.watcher.problem() == "");
    // What a client writes from here on must stay.
    CHECK(target({"SET", "{k}", "newer"}).is_ok());
    CHECK(target({"GET", "{k}"}).text == "newer");
    CHECK(source({"EXISTS", "{k}"}).is_integer(0));
    target({"DEL", "{k}"});
    CHECK(job.remove({slot_of("{k}")}) == "");
    CHECK(target({"EXISTS", "{k}"}).is_integer(0));
  }

  TEST_CASE("a source that hangs moves nothing later than it was answered") {
    RedisProcess source, target;
    source({"SET", "{k}warm", "1"});
    source({"SET", "{k}", "value"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    REQUIRE(job.move({"{k}warm"}).moved);
    source.freeze();
    CHECK(job.move({"{k}"}).error.starts_with("TRYAGAIN "));
    source.thaw();
    REQUIRE(move_at_last(job, "{k}"));
    CHECK(target({"GET", "{k}"}).text == "value");
    CHECK(source.keys() == 0);
  }

  TEST_CASE("a server that dies and comes back is moved from and to again") {
    MoverKind mover = MoverKind::kMigrate;
    SUBCASE("MIGRATE") {}
    SUBCASE("COPY") {
      mover = MoverKind::kCopy;
    }
    RedisProcess source, target;
    source({"SET", "{k}a", "1"});
    MovingJob job(source.access(), target.access(), mover);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    REQUIRE(job.move({"{k}a"}).moved);
    for (RedisProcess* const server : {&source, &target}) {
      source({"SET", "{k}b", "2"});
      server->end(SIGKILL);
      const auto outcome = job.move({"{k}b"});
      CHECK(outcome.error.starts_with("TRYAGAIN "));
      CHECK(outcome.error.find(server->access().address.to_string()) != std::string::npos);
      server->start();
      source({"SET", "{k}b", "2"});
      REQUIRE(move_at_last(job, "{k}b"));
      CHECK(target({"GET", "{k}b"}).text == "2");
    }
  }

  TEST_CASE("slots are not given back while an attempt might come late") {
    RedisProcess source, target;
    source({"SET", "{k}", "value"});
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    REQUIRE(job.move({"{k}warm"}).moved);
    target.freeze();
    CHECK_FALSE(job.move({"{k}"}).moved);
    const std::string error = job.remove({slot_of("{k}")});
    CHECK(error.find(target.access().address.to_string()) != std::string::npos);
    target.thaw();
    // They stayed as they were.
    CHECK(move_at_last(job, "{k}"));
    CHECK(job.remove({slot_of("{k}")}) == "");
  }

  TEST_CASE("connections of an earlier process are ended before the first move") {
    RedisProcess source, target;
    auto earlier = ServerLink::connect(source.access(), "pikaproxy-mover:test:earlier-1", kTimeout);
    auto other = ServerLink::connect(source.access(), "pikaproxy-mover:other:earlier-1", kTimeout);
    auto transfer = ServerLink::connect(target.access(), "", kTimeout);
    REQUIRE(earlier);
    REQUIRE(other);
    REQUIRE(transfer);
    // As MIGRATE of a source would leave it.
    (*transfer)->call({"RESTORE", "x", "0", "bad"}, kTimeout);
    MovingJob job(source.access(), target.access(), MoverKind::kMigrate);
    job.engine->add_slots(1, {1});
    REQUIRE(job.watcher.wait_clean({1}));
    CHECK((*earlier)->call({"DBSIZE"}, kTimeout).is_error());
    CHECK((*transfer)->call({"DBSIZE"}, kTimeout).is_error());
    CHECK_FALSE((*other)->call({"DBSIZE"}, kTimeout).is_error());
  }

  TEST_CASE("after a restart, a key that both ends have is left at the one whose copy stands") {
    RedisProcess source, target;
    for (RedisProcess* const server : {&source, &target}) {
      (*server)({"SET", "{k}both", server == &source ? "of the source" : "of the target"});
      (*server)({"SET", "{k}only" + std::to_string(server == &source), "1"});
      (*server)({"SET", "of another slot", "1"});
    }
    REQUIRE(slot_of("of another slot") != slot_of("{k}"));
    MoverKind mover = MoverKind::kMigrate;
    SUBCASE("MIGRATE: the target's") {}
    SUBCASE("COPY: the source's") {
      mover = MoverKind::kCopy;
    }
    MovingJob job(source.access(), target.access(), mover);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("{k}")});
    CHECK(job.reconcile({slot_of("{k}")}) == "");
    const bool at_source = mover == MoverKind::kCopy;
    CHECK(source({"EXISTS", "{k}both"}).is_integer(at_source));
    CHECK(target({"EXISTS", "{k}both"}).is_integer(!at_source));
    CHECK(source.keys() == (at_source ? 3 : 2));
    CHECK(target.keys() == (at_source ? 2 : 3));
  }

  TEST_CASE("a copy that was cut off leaves nothing at the target when the slot goes back") {
    RedisProcess source(kNoDump), target;
    std::vector<Reply> replies;
    for (int i = 0; i < 64; ++i) {
      source.link().add({"APPEND", "big", std::string(1 << 20, 'x')});
    }
    REQUIRE(source.link().exchange(replies, std::chrono::seconds(60)));
    MovingJob job(source.access(), target.access(), MoverKind::kCopy);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, {slot_of("big")});
    auto asked = job.start_move({"big"});
    while (target.keys() == 0) std::this_thread::yield();
    CHECK(job.remove({slot_of("big")}) == "");
    CHECK_FALSE(asked.get().moved);
    CHECK(target.keys() == 0);
    CHECK(source({"STRLEN", "big"}).is_integer(64 << 20));
  }
}

}  // namespace pikaproxy
