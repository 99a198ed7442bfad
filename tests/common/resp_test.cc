#include "common/resp.h"

#include <cstdint>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("common/resp") {
  TEST_CASE("each kind of reply has its own form") {
    std::string out;
    resp::append_array(out, 5);
    resp::append_status(out, "OK");
    resp::append_error(out, "ERR no");
    resp::append_integer(out, -17);
    resp::append_bulk(out, std::string_view("a\r\n\0", 4));
    resp::append_null(out);
    CHECK(out ==
          "*5\r\n+OK\r\n-ERR no\r\n:-17\r\n$4\r\na\r\n" + std::string(1, '\0') + "\r\n$-1\r\n");
  }

  TEST_CASE("numbers are written to their last digit") {
    CHECK(resp::integer(0) == ":0\r\n");
    CHECK(resp::integer(INT64_MAX) == ":9223372036854775807\r\n");
    CHECK(resp::integer(INT64_MIN) == ":-9223372036854775808\r\n");
  }

  TEST_CASE("an empty string is a bulk string of no bytes") {
    CHECK(resp::bulk("") == "$0\r\n\r\n");
  }

  TEST_CASE("an error's text cannot end its line early") {
    CHECK(resp::error("ERR unknown command 'a\r\n+OK\r\n'") ==
          "-ERR unknown command 'a  +OK  '\r\n");
  }
}
