#include "dashboard/health/server_prober.h"

#include <doctest/doctest.h>

#include "dashboard/api/time_text.h"
#include "tests/dashboard/mover/redis_process.h"

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

// Until `done`, or too long for anything that works.
bool wait_for(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

}  // namespace

TEST_SUITE("dashboard/health/server_prober") {
  TEST_CASE("servers are asked again and again, and one that hangs holds up nobody") {
    RedisProcess first, second({"--requirepass", "secret"});
    first({"SET", "k", "v"});
    ServerStatusBoard board;
    std::mutex mutex;
    std::vector<ServerAccess> targets = {first.access(), second.access()};
    ServerProber prober(
        {.interval = 50ms, .timeout = 300ms},
        [&] {
          const std::lock_guard lock(mutex);
          return targets;
        },
        board, now_ms);
    const auto state = [&](const RedisProcess& server) {
      const auto status = board.find(server.access().address);
      return status ? status->state : ServerState::kUnknown;
    };
    REQUIRE(wait_for(
        [&] { return state(first) == ServerState::kUp && state(second) == ServerState::kUp; }));
    auto status = *board.find(first.access().address);
    CHECK(status.facts.keys == 1);
    CHECK(status.facts.engine == "redis");
    CHECK(status.facts.has_migrate);
    CHECK(status.ip == "127.0.0.1");

    second.freeze();
    REQUIRE(wait_for([&] { return state(second) != ServerState::kUp; }));
    const int64_t before = board.find(first.access().address)->asked_at;
    REQUIRE(wait_for([&] { return board.find(first.access().address)->asked_at > before + 300; }));
    CHECK(state(first) == ServerState::kUp);
    second.thaw();
    REQUIRE(wait_for([&] { return state(second) == ServerState::kUp; }));

    // A replica is recognized, by its history too.
    const std::string port = std::to_string(first.access().address.port);
    second({"REPLICAOF", "localhost", port});
    REQUIRE(wait_for([&] {
      const auto replica = *board.find(second.access().address);
      return !replica.facts.is_master && replica.facts.link_up;
    }));
    CHECK(wait_for([&] {
      return follows(*board.find(second.access().address), *board.find(first.access().address));
    }));

    {
      const std::lock_guard lock(mutex);
      targets.pop_back();
    }
    REQUIRE(wait_for([&] { return !board.find(second.access().address); }));
    first.end(SIGKILL);
    REQUIRE(wait_for([&] { return state(first) == ServerState::kDown; }));
    CHECK(board.find(first.access().address)->error.find(port) != std::string::npos);
  }

  TEST_CASE("the end waits for nobody who hangs") {
    RedisProcess server;
    server.freeze();
    ServerStatusBoard board;
    const auto begin = std::chrono::steady_clock::now();
    {
      ServerProber prober(
          {.interval = 50ms, .timeout = 600s}, [&] { return std::vector{server.access()}; }, board,
          now_ms);
      std::this_thread::sleep_for(200ms);
    }
    CHECK(std::chrono::steady_clock::now() - begin < 60s);
  }
}
