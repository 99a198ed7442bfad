#include "common/units.h"

#include <chrono>
#include <random>
#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;
using namespace std::chrono_literals;

TEST_SUITE("common/units") {
  TEST_CASE("sizes are bytes or powers of 1024") {
    CHECK(parse_size("0").value() == 0);
    CHECK(parse_size("1000").value() == 1000);
    CHECK(parse_size("1kb").value() == 1024);
    CHECK(parse_size("64MB").value() == 64ull << 20);
    CHECK(parse_size("4Gb").value() == 4ull << 30);
    CHECK(parse_size("1tb").value() == 1ull << 40);
  }

  TEST_CASE("what is no size is refused") {
    for (const char* text : {"", "mb", "-1", "+1", "1.5gb", "64m", "64 mb", " 64mb", "64mb ",
                             "64mib", "0x10", "9223372036854775808", "8388608tb", "1mbb"}) {
      CAPTURE(text);
      CHECK_FALSE(parse_size(text).ok());
    }
  }

  TEST_CASE("durations have a unit unless they are zero") {
    CHECK(parse_duration("0").value() == 0us);
    CHECK(parse_duration("10us").value() == 10us);
    CHECK(parse_duration("500ms").value() == 500ms);
    CHECK(parse_duration("30S").value() == 30s);
    CHECK(parse_duration("5m").value() == 5min);
    CHECK(parse_duration("1h").value() == 1h);
    CHECK(parse_duration("7d").value() == 7 * 24h);
  }

  TEST_CASE("a bare number is refused with the units it could have") {
    const auto result = parse_duration("30");
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().find("\"30s\" or \"30ms\"") != std::string::npos);
  }

  TEST_CASE("what is no duration is refused") {
    for (const char* text : {"", "s", "-1s", "1.5s", "30 s", "30sec", "1y", "3651d",
                             "99999999999999999999s", "9223372036854775807h"}) {
      CAPTURE(text);
      CHECK_FALSE(parse_duration(text).ok());
    }
  }

  TEST_CASE("any value is written in its largest unit and read back the same") {
    CHECK(format_size(64 << 20) == "64mb");
    CHECK(format_size(1500) == "1500");
    CHECK(format_duration(90s) == "90s");
    CHECK(format_duration(120s) == "2m");
    CHECK(format_duration(24h) == "1d");
    CHECK(format_duration(0s) == "0");
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 20'000; ++round) {
      const uint64_t bytes = (random() >> 1) >> (random() % 63);
      REQUIRE(parse_size(format_size(bytes)).value() == bytes);
      const std::chrono::microseconds duration(random() % 315'360'000'000'000);
      REQUIRE(parse_duration(format_duration(duration)).value() == duration);
    }
  }
}
