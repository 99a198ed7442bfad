#include "dashboard/api/body_reader.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

nlohmann::json parse(const char* text) {
  return nlohmann::json::parse(text);
}

// Pointer and code of each error, in their order.
std::vector<std::string> errors_of(const std::optional<ApiProblem>& problem) {
  std::vector<std::string> all;
  if (!problem) return all;
  for (const auto& field : problem->errors) all.push_back(field.pointer + " " + field.code);
  return all;
}

}  // namespace

TEST_SUITE("dashboard/api/body_reader") {
  TEST_CASE("fields of the right kind are read") {
    const auto json = parse(
        R"({"name": "a", "n": 7, "yes": true, "kind": "move", "list": ["x", "y"], "ids": [1, 2],
            "ranges": [{"from": 1}, {"from": 2}], "weights": {"3": 10}, "none": null})");
    BodyReader body(json);
    CHECK(body.text("name", {1, 5}) == "a");
    CHECK(body.integer("n", 0, 7) == 7);
    CHECK(body.optional_boolean("yes") == true);
    CHECK(body.choice("kind", {"drain", "move"}) == "move");
    CHECK(body.text_list("list", {1, 2}, {1, 1}) == std::vector<std::string>{"x", "y"});
    CHECK(body.optional_integer_list("ids", {0, 9}, 0, 2) == std::vector<int64_t>{1, 2});
    int64_t sum = 0;
    body.objects("ranges", {1, 2}, [&](BodyReader& range) { sum += range.integer("from", 0, 9); });
    CHECK(sum == 3);
    CHECK(body.optional_integers_by_name("weights", {0, 5}, 0, 10)->at(0).second == 10);
    CHECK(body.is_null("none"));
    CHECK_FALSE(body.has("other"));
    CHECK(body.optional_text("absent", {1, 2}) == std::nullopt);
    CHECK_FALSE(body.finish());
  }

  TEST_CASE("all errors are collected, with JSON pointers") {
    const auto json = parse(
        R"({"name": 3, "n": 8, "kind": "moev", "list": ["x", 5], "ranges": [{"from": 1}, 2,
            {"form": 1}], "a/b~c": 1})");
    BodyReader body(json);
    body.text("name", {1, 5});
    body.integer("n", 0, 7);
    body.choice("kind", {"drain", "move"});
    body.text_list("list", {1, 2}, {1, 1});
    body.objects("ranges", {1, 3}, [&](BodyReader& range) { range.integer("from", 0, 9); });
    body.text("password", {1, 2});
    const auto problem = body.finish();
    REQUIRE(problem);
    CHECK(problem->status == 400);
    CHECK(problem->code == "invalid_body");
    CHECK(errors_of(problem) ==
          std::vector<std::string>{"/name invalid", "/n invalid", "/kind invalid",
                                   "/list/1 invalid", "/ranges/1 invalid", "/ranges/2/from missing",
                                   "/ranges/2/form unknown_field", "/password missing",
                                   "/a~1b~0c unknown_field"});
    CHECK(problem->errors[2].detail.find("Did you mean \"move\"?") != std::string::npos);
  }

  TEST_CASE("numbers that are no integers, or too large, are errors") {
    for (const char* text : {"1.0", "1e3", "18446744073709551615", "9223372036854775808", "-1",
                             "\"1\"", "true", "null", "[]"}) {
      CAPTURE(text);
      const auto json = parse((std::string("{\"n\": ") + text + "}").c_str());
      BodyReader body(json);
      body.integer("n", 0, INT64_MAX);
      CHECK(body.finish());
    }
  }

  TEST_CASE("control characters are taken in secrets alone, and secrets are not quoted") {
    const auto json = parse(R"({"a": "x\ny", "b": "x\ny", "c": "hunter2"})");
    BodyReader body(json);
    body.text("a", {1, 5});
    CHECK(body.secret("b", {1, 5}) == "x\ny");
    body.secret("c", {1, 3});
    const auto problem = body.finish();
    CHECK(errors_of(problem) == std::vector<std::string>{"/a invalid", "/c invalid"});
    CHECK(problem->detail.find("hunter2") == std::string::npos);
  }

  TEST_CASE("a body with very many mistakes gives a bounded number of errors") {
    nlohmann::json json = nlohmann::json::object();
    for (int i = 0; i < 10'000; ++i) json["field" + std::to_string(i)] = 1;
    BodyReader body(json);
    CHECK(body.finish()->errors.size() == 50);
  }
}
