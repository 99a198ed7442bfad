#include "common/slot.h"

#include <random>
#include <string>
#include <zlib.h>

#include <doctest/doctest.h>

#include "common/crc32.h"

using namespace pikaproxy;

TEST_SUITE("common/slot") {
  TEST_CASE("the check values that codis and Pika agree on") {
    CHECK(slot_of("a") == 579);
    CHECK(slot_of("b") == 1017);
    CHECK(slot_of("c") == 879);
    CHECK(slot_of("{}x") == 0);
    CHECK(slot_of("{a}{b}") == 579);
    CHECK(slot_of("a{tag}") == 899);
    CHECK(slot_of("x{{y}}z") == 858);
    CHECK(slot_of("{abc") == 81);
  }

  TEST_CASE("the hash part is what lies in the first pair of braces") {
    CHECK(hash_part("") == "");
    CHECK(hash_part("user:{42}:name") == "42");
    CHECK(hash_part("}{x}") == "x");
    CHECK(hash_part("a}b") == "a}b");
    CHECK(hash_part("{}{x}") == "");
    CHECK(hash_part("{{x}") == "{x");
  }

  TEST_CASE("crc32 equals zlib's for any bytes of any length") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 20'000; ++round) {
      std::string bytes(random() % 300, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      const auto expected =
          ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
      REQUIRE(pikaproxy::crc32(bytes) == expected);
    }
  }
}
