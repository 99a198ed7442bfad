#include "proxy/routing/moved_keys.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("proxy/moved_keys") {
  TEST_CASE("a key is known for its slot and database until the slot is forgotten") {
    MovedKeys keys(1 << 20);
    keys.add(7, 0, "x");
    keys.add(7, 2, "y");
    keys.add(8, 0, "z");
    CHECK(keys.contains(7, 0, "x"));
    CHECK_FALSE(keys.contains(7, 2, "x"));
    CHECK_FALSE(keys.contains(8, 0, "x"));
    keys.forget(7);
    CHECK_FALSE(keys.contains(7, 0, "x"));
    CHECK_FALSE(keys.contains(7, 2, "y"));
    CHECK(keys.contains(8, 0, "z"));
    keys.forget(8);
    CHECK(keys.bytes() == 0);
  }

  TEST_CASE("it stays within its bound, and forgets rather than grow") {
    MovedKeys keys(10'000);
    for (int i = 0; i < 1000; ++i) {
      const std::string key = "a key that does not fit into a short string " + std::to_string(i);
      keys.add(static_cast<SlotId>(i % 5), 0, key);
      REQUIRE(keys.contains(static_cast<SlotId>(i % 5), 0, key));
      REQUIRE(keys.bytes() <= 10'000);
    }
    const uint64_t before = keys.bytes();
    keys.add(0, 0, std::string(20'000, 'x'));
    CHECK(keys.bytes() == before);
  }

  TEST_CASE("a key added twice counts once") {
    MovedKeys keys(1 << 20);
    keys.add(1, 0, "x");
    const uint64_t once = keys.bytes();
    keys.add(1, 0, "x");
    CHECK(keys.bytes() == once);
  }
}
