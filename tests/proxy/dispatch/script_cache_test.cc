#include "proxy/dispatch/script_cache.h"

#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("proxy/script_cache") {
  TEST_CASE("digests are those of FIPS 180 and of redis-server") {
    CHECK(ScriptCache::sha1_hex("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(ScriptCache::sha1_hex("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(ScriptCache::sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(ScriptCache::sha1_hex(std::string(1'000'000, 'a')) ==
          "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    // SCRIPT LOAD "return 1"
    CHECK(ScriptCache::sha1_hex("return 1") == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
  }

  TEST_CASE("a script is found by its digest in lower case") {
    ScriptCache cache;
    cache.add("return 1");
    const auto body = cache.find("e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    REQUIRE(body != nullptr);
    CHECK(*body == "return 1");
    CHECK(cache.find("E0E1F9FABFC9D4800C877A703B823AC0578FF8DB") == nullptr);
    CHECK(cache.find(ScriptCache::normalize("E0E1F9FABFC9D4800C877A703B823AC0578FF8DB")) == body);
    CHECK(cache.find("") == nullptr);
  }

  TEST_CASE("adding a script again changes nothing") {
    ScriptCache cache;
    cache.add("return 1");
    const auto body = cache.find(ScriptCache::sha1_hex("return 1"));
    cache.add("return 1");
    CHECK(cache.find(ScriptCache::sha1_hex("return 1")) == body);
  }

  TEST_CASE("a body outlives the cache's knowledge of it") {
    ScriptCache cache;
    cache.add("return 1");
    const auto body = cache.find(ScriptCache::sha1_hex("return 1"));
    cache.clear();
    CHECK(cache.find(ScriptCache::sha1_hex("return 1")) == nullptr);
    CHECK(*body == "return 1");
  }

  TEST_CASE("a body of 1 MiB is kept, a larger one is not") {
    ScriptCache cache;
    const std::string largest(1 << 20, 'x');
    cache.add(largest);
    CHECK(cache.find(ScriptCache::sha1_hex(largest)) != nullptr);
    cache.add(largest + "x");
    CHECK(cache.find(ScriptCache::sha1_hex(largest + "x")) == nullptr);
  }

  TEST_CASE("the oldest scripts are forgotten when 16 MiB are kept") {
    ScriptCache cache;
    const auto body = [](int i) { return std::to_string(i) + std::string(1'000'000, 'x'); };
    for (int i = 0; i < 20; ++i) cache.add(body(i));
    CHECK(cache.find(ScriptCache::sha1_hex(body(0))) == nullptr);
    CHECK(cache.find(ScriptCache::sha1_hex(body(3))) == nullptr);
    CHECK(cache.find(ScriptCache::sha1_hex(body(4))) != nullptr);
    CHECK(cache.find(ScriptCache::sha1_hex(body(19))) != nullptr);
  }

  TEST_CASE("small scripts are bounded too, by what an entry takes") {
    ScriptCache cache;
    for (int i = 0; i < 70'000; ++i) cache.add("return " + std::to_string(i));
    CHECK(cache.find(ScriptCache::sha1_hex("return 0")) == nullptr);
    CHECK(cache.find(ScriptCache::sha1_hex("return 10000")) != nullptr);
    CHECK(cache.find(ScriptCache::sha1_hex("return 69999")) != nullptr);
  }
}
