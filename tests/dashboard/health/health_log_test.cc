#include "dashboard/health/health_log.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

HealthFinding finding(const std::string& object, HealthSeverity severity) {
  return {"server_down", severity, "It is down.", "Look.", {object}};
}

}  // namespace

TEST_SUITE("dashboard/health/health_log") {
  TEST_CASE("events come when something changes, and only then") {
    HealthLog log;
    CHECK(log.update({}, 1000).empty());
    auto events = log.update({finding("a", HealthSeverity::kWarning)}, 2000);
    REQUIRE(events.size() == 1);
    CHECK(events[0]["status"] == "failing");
    CHECK(events[0]["severity"] == "warning");
    CHECK(events[0]["since"] == "1970-01-01T00:00:02.000Z");
    CHECK(log.update({finding("a", HealthSeverity::kWarning)}, 3000).empty());
    HealthFinding other_words = finding("a", HealthSeverity::kWarning);
    other_words.detail = "It is down for 3 seconds.";
    CHECK(log.update({other_words}, 4000).empty());
    CHECK(log.problems()[0].finding.detail == "It is down for 3 seconds.");
    CHECK(log.problems()[0].since == 2000);

    events = log.update(
        {finding("a", HealthSeverity::kCritical), finding("b", HealthSeverity::kWarning)}, 5000);
    REQUIRE(events.size() == 2);
    CHECK(events[0]["severity"] == "critical");
    CHECK(events[0]["since"] == "1970-01-01T00:00:02.000Z");
    CHECK(events[1]["objects"] == nlohmann::json{"b"});

    events = log.update({finding("b", HealthSeverity::kWarning)}, 6000);
    REQUIRE(events.size() == 1);
    CHECK(events[0]["status"] == "ok");
    CHECK(events[0]["objects"] == nlohmann::json{"a"});
    CHECK(events[0]["since"] == "1970-01-01T00:00:06.000Z");
  }

  TEST_CASE("the document has the worst first and every check") {
    HealthLog log;
    log.update({finding("a", HealthSeverity::kWarning), finding("b", HealthSeverity::kCritical)},
               1000);
    const auto document = log.to_json();
    CHECK(document.size() == 2 + health_check_names().size() - 1);
    CHECK(document[0]["severity"] == "critical");
    CHECK(document[1]["severity"] == "warning");
    for (size_t i = 2; i < document.size(); ++i) CHECK(document[i]["status"] == "ok");
  }

  TEST_CASE("a check is ok since its last problem ended") {
    HealthLog log;
    log.update({finding("a", HealthSeverity::kWarning)}, 1000);
    log.update({}, 2000);
    log.update({}, 3000);
    for (const auto& entry : log.to_json()) {
      if (entry["check"] == "server_down") {
        CHECK(entry["since"] == "1970-01-01T00:00:02.000Z");
      }
    }
  }
}
