#include "dashboard/auth/sessions.h"

#include <doctest/doctest.h>

using namespace pikaproxy;
using namespace std::chrono_literals;

TEST_SUITE("dashboard/auth/sessions") {
  const Sessions::Clock::time_point kStart{1h};

  TEST_CASE("a session ends when it is idle, and in any case at its age") {
    Sessions sessions({10min, 60min});
    const auto secret = sessions.begin("ann", Role::kViewer, kStart);
    CHECK(sessions.find(secret, kStart + 9min, true)->user == "ann");
    CHECK(sessions.find(secret, kStart + 18min, false));
    CHECK_FALSE(sessions.find(secret, kStart + 19min, true));
    const auto busy = sessions.begin("ann", Role::kViewer, kStart);
    for (auto at = kStart; at < kStart + 60min; at += 9min) CHECK(sessions.find(busy, at, true));
    CHECK_FALSE(sessions.find(busy, kStart + 60min, true));
  }

  TEST_CASE("secrets and CSRF tokens differ, and a wrong secret finds nothing") {
    Sessions sessions({10min, 60min});
    const auto one = sessions.begin("ann", Role::kViewer, kStart);
    const auto two = sessions.begin("ann", Role::kViewer, kStart);
    CHECK(one != two);
    CHECK(sessions.find(one, kStart, false)->csrf_token !=
          sessions.find(two, kStart, false)->csrf_token);
    CHECK_FALSE(sessions.find("", kStart, false));
    CHECK_FALSE(sessions.find(one + "x", kStart, false));
  }

  TEST_CASE("sessions of a user end together, but for one") {
    Sessions sessions({10min, 60min});
    const auto one = sessions.begin("ann", Role::kViewer, kStart);
    const auto two = sessions.begin("ann", Role::kViewer, kStart);
    const auto other = sessions.begin("bob", Role::kViewer, kStart);
    sessions.end_all_of("ann", two);
    CHECK_FALSE(sessions.find(one, kStart, false));
    CHECK(sessions.find(two, kStart, false));
    sessions.change_role("ann", Role::kAdmin);
    CHECK(sessions.find(two, kStart, false)->role == Role::kAdmin);
    sessions.end(two);
    CHECK_FALSE(sessions.find(two, kStart, false));
    CHECK(sessions.find(other, kStart, false)->role == Role::kViewer);
  }

  TEST_CASE("a user who logs in without end pushes out his own sessions only") {
    Sessions sessions({10min, 60min});
    const auto other = sessions.begin("bob", Role::kViewer, kStart);
    const auto first = sessions.begin("ann", Role::kViewer, kStart);
    std::string last;
    for (int i = 0; i < 2000; ++i) last = sessions.begin("ann", Role::kViewer, kStart + 1s);
    CHECK_FALSE(sessions.find(first, kStart + 1s, false));
    CHECK(sessions.find(last, kStart + 1s, false));
    CHECK(sessions.find(other, kStart + 1s, false));
  }
}
