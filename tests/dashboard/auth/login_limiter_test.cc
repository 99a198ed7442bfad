#include "dashboard/auth/login_limiter.h"

#include <doctest/doctest.h>

using namespace pikaproxy;
using namespace std::chrono_literals;

TEST_SUITE("dashboard/auth/login_limiter") {
  const LoginLimiter::Clock::time_point kStart{1h};

  TEST_CASE("after five failures the same user from the same address waits, others do not") {
    LoginLimiter limiter;
    for (int i = 0; i < 5; ++i) CHECK(limiter.begin("ann", "1.1.1.1", kStart) == 0s);
    CHECK(limiter.begin("ann", "1.1.1.1", kStart + 1min) == 14min);
    CHECK(limiter.begin("bob", "1.1.1.1", kStart) == 0s);
    CHECK(limiter.begin("ann", "2.2.2.2", kStart) == 0s);
    CHECK(limiter.begin("ann", "1.1.1.1", kStart + 15min) == 0s);
  }

  TEST_CASE("an address that tries many names waits too") {
    LoginLimiter limiter;
    for (int i = 0; i < 30; ++i) {
      CHECK(limiter.begin("user" + std::to_string(i), "1.1.1.1", kStart) == 0s);
    }
    CHECK(limiter.begin("ann", "1.1.1.1", kStart) > 0s);
    CHECK(limiter.begin("ann", "1.1.1.2", kStart) == 0s);
  }

  TEST_CASE("a success forgives the user's failures, a withdrawn try only itself") {
    LoginLimiter limiter;
    for (int i = 0; i < 4; ++i) limiter.begin("ann", "1.1.1.1", kStart);
    CHECK(limiter.begin("ann", "1.1.1.1", kStart) == 0s);
    limiter.withdraw("ann", "1.1.1.1");
    CHECK(limiter.begin("ann", "1.1.1.1", kStart) == 0s);
    CHECK(limiter.begin("ann", "1.1.1.1", kStart) > 0s);
    limiter.succeed("ann", "1.1.1.1");
    CHECK(limiter.begin("ann", "1.1.1.1", kStart) == 0s);
  }

  TEST_CASE("however many addresses try, what is kept is bounded and the newest count") {
    LoginLimiter limiter;
    for (int i = 0; i < 30'000; ++i) {
      limiter.begin("ann", std::to_string(i), kStart + std::chrono::milliseconds(i));
    }
    for (int i = 0; i < 4; ++i) limiter.begin("ann", "29999", kStart + 31s);
    CHECK(limiter.begin("ann", "29999", kStart + 31s) > 0s);
  }
}
