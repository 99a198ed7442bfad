#include "dashboard/api/json_text.h"

#include <doctest/doctest.h>

#include "dashboard/api/time_text.h"

using namespace pikaproxy;

TEST_SUITE("dashboard/api/json_text") {
  TEST_CASE("one object in UTF-8 is read") {
    const auto value = parse_json_object(" {\"a\": [1, {\"b\": \"\xC3\xA9\\u00e9\"}]} \n");
    REQUIRE(value.ok());
    CHECK((*value)["a"][1]["b"] == "\xC3\xA9\xC3\xA9");
  }

  TEST_CASE("anything else is refused, without quoting it") {
    const std::string cases[] = {
        "",
        " ",
        "[]",
        "1",
        "null",
        "\"secret\"",
        "{",
        "{}}",
        "{} {}",
        "{\"secret\": }",
        "{secret: 1}",
        "{'secret': 1}",
        "{\"a\": 1,}",
        "{\"a\": 01}",
        "{\"a\": NaN}",
        "{\"a\": 1e999}",
        "{\"a\": -1e999}",
        "{\"a\": \"\xFF\"}",
        "{\"a\": \"\xED\xA0\x80\"}",
        "{\"a\": \"\xC0\x80\"}",
        "{\"a\": \"\\ud800\"}",
        "{\"a\": \"secret\n\"}",
        std::string("{\"a\": \"\0\"}", 10),
        std::string("{}\0", 3),
        "\xEF\xBB\xBF{\"a\": 1, \"a\": 2}",
        "{\"a\": 1, \"a\": 1}",
        "{\"x\": {\"a\": 1, \"b\": 2, \"a\": 1}}",
        "{\"a\": 1, \"\\u0061\": 1}",
        "{\"a\": 1 /* secret */}",
    };
    for (const std::string& text : cases) {
      CAPTURE(text);
      const auto value = parse_json_object(text);
      REQUIRE_FALSE(value.ok());
      CHECK(value.error().find("secret") == std::string::npos);
    }
  }

  TEST_CASE("depth is bounded, however the brackets are mixed") {
    const auto nested = [](int depth, const std::string& open, const std::string& close) {
      std::string text = "{\"a\": ";
      for (int i = 1; i < depth; ++i) text += open;
      text += "1";
      for (int i = 1; i < depth; ++i) text += close;
      return text + "}";
    };
    CHECK(parse_json_object(nested(kJsonDepthMax, "[", "]")).ok());
    CHECK_FALSE(parse_json_object(nested(kJsonDepthMax + 1, "[", "]")).ok());
    CHECK(parse_json_object(nested(kJsonDepthMax, "{\"a\":", "}")).ok());
    CHECK_FALSE(parse_json_object(nested(kJsonDepthMax + 1, "{\"a\":", "}")).ok());
    CHECK_FALSE(parse_json_object("{\"a\":" + std::string(500'000, '[')).ok());
  }

  TEST_CASE("bytes that are not UTF-8 are sent as replacement characters") {
    CHECK(dump_json({{"a", "\xFF"}}) == "{\"a\":\"\xEF\xBF\xBD\"}\n");
  }

  TEST_CASE("UTF-8 is told from what is not") {
    for (const char* text :
         {"", "a", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF"}) {
      CHECK(is_utf8(text));
    }
    for (const char* text :
         {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82", "a\xC3(b"}) {
      CHECK_FALSE(is_utf8(text));
    }
  }
}

TEST_SUITE("dashboard/api/time_text") {
  TEST_CASE("times are written and read back") {
    for (const int64_t ms : {0LL, 1LL, 999LL, 1'795'000'000'123LL, 951'782'400'000LL, -1LL}) {
      CHECK(parse_time_ms(time_text(ms)) == ms);
    }
    CHECK(time_text(1'700'000'000'007) == "2023-11-14T22:13:20.007Z");
    CHECK(parse_time_ms("2023-11-14T22:13:20Z") == 1'700'000'000'000);
    CHECK(parse_time_ms("2023-11-14T22:13:20.5Z") == 1'700'000'000'500);
    CHECK(parse_time_ms("2023-11-14T22:13:20.123456789Z") == 1'700'000'000'123);
  }

  TEST_CASE("what is no time in UTC is refused") {
    for (const char* text :
         {"", "now", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20+00:00",
          "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-11-14T24:00:00Z",
          "2023-11-14T22:13:60Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20.1x3Z",
          "2023-11-14T22:13:20.1234567890Z", "2023-11-14t22:13:20Z", "+023-11-14T22:13:20Z"}) {
      CAPTURE(text);
      CHECK_FALSE(parse_time_ms(text));
    }
  }
}
