#include "common/ascii.h"

#include <cstdint>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("common/ascii") {
  TEST_CASE("only ASCII letters are the same in both cases") {
    CHECK(equals_ignoring_case("GeT", "gEt"));
    CHECK(equals_ignoring_case("", ""));
    CHECK(!equals_ignoring_case("GET", "GETS"));
    CHECK(!equals_ignoring_case("GET", "G\0T"));
    CHECK(!equals_ignoring_case("\xC4", "\xE4"));
    CHECK(!equals_ignoring_case("[", "{"));
    CHECK(to_lower("AbC\xC4-1") == "abc\xC4-1");
    CHECK(to_upper("AbC\xE4-1") == "ABC\xE4-1");
  }

  TEST_CASE("a number is the whole text and within its type") {
    int64_t number = 42;
    CHECK(parse_integer("-9223372036854775808", number));
    CHECK(number == INT64_MIN);
    CHECK(parse_integer("007", number));
    CHECK(number == 7);
    uint32_t small = 0;
    CHECK(parse_integer("4294967295", small));
    CHECK(!parse_integer("4294967296", small));
    CHECK(!parse_integer("-1", small));
    for (const std::string_view text :
         {"", "-", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "a", "9223372036854775808"}) {
      CAPTURE(text);
      CHECK(!parse_integer(text, number));
    }
    CHECK(!parse_integer(std::string_view("1\0", 2), number));
  }
}
