#include "proxy/stats/hot_keys.h"

#include <doctest/doctest.h>

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

const HotKeys::Clock::time_point kStart{1000s};

// `requests` in 10 s, of which each third is for "hot" and the others for different keys.
void work(HotKeys& hot, int requests, HotKeys::Clock::time_point from) {
  for (int i = 0; i < requests; ++i) {
    if (!hot.is_due()) continue;
    const auto at = from + 10s * i / requests;
    hot.note(i % 3 == 0 ? "hot" : "cold" + std::to_string(i), i % 3 == 0 ? 7 : 8, at);
  }
}

}  // namespace

TEST_SUITE("proxy/hot_keys") {
  TEST_CASE("a key with a third of all requests is found, with its rate, among ever new ones") {
    HotKeys hot;
    work(hot, 300'000, kStart);
    const auto keys = hot.read(kStart + 10s);
    REQUIRE(!keys.empty());
    CHECK(keys[0].key == "hot");
    CHECK(keys[0].slot == 7);
    CHECK(keys[0].key_bytes == 3);
    // 10,000 per second, by some 1,600 samples.
    CHECK(keys[0].ops_per_second > 8'000);
    CHECK(keys[0].ops_per_second < 12'000);
  }

  TEST_CASE("what is over is forgotten") {
    HotKeys hot;
    work(hot, 100'000, kStart);
    CHECK(!hot.read(kStart + 15s).empty());
    CHECK(hot.read(kStart + 30s).empty());
    for (int i = 0; i < 1000; ++i) hot.note("new", 1, kStart + 20s + i * 5ms);
    const auto keys = hot.read(kStart + 26s);
    REQUIRE(keys.size() == 1);
    CHECK(keys[0].key == "new");
  }

  TEST_CASE("a key that was seen once is not called hot") {
    HotKeys hot;
    for (int i = 0; i < 1000; ++i) hot.note("k" + std::to_string(i), 0, kStart);
    CHECK(hot.read(kStart + 1s).empty());
  }

  TEST_CASE("long keys that begin alike are told apart") {
    HotKeys hot;
    const std::string beginning(HotKeys::kKeyBytesMax, 'x');
    for (int i = 0; i < 100; ++i) hot.note(beginning + (i % 4 == 0 ? "a" : "bb"), 0, kStart);
    const auto keys = hot.read(kStart + 1s);
    REQUIRE(keys.size() == 2);
    CHECK(keys[0].key == beginning);
    CHECK(keys[0].key_bytes == beginning.size() + 2);
    CHECK(keys[1].key_bytes == beginning.size() + 1);
    CHECK(keys[0].ops_per_second > 2 * keys[1].ops_per_second);
  }
}
