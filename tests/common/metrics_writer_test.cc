#include "common/metrics_writer.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "common/process_stats.h"

using namespace pikaproxy;

namespace {

std::string one_sample(double value) {
  MetricsWriter writer;
  writer.family("m", "gauge", "M.");
  writer.sample({}, value);
  const std::string page = writer.take();
  const size_t start = page.rfind(' ') + 1;
  return page.substr(start, page.size() - start - 1);
}

std::string one_label(std::string_view value) {
  MetricsWriter writer;
  writer.family("m", "gauge", "M.");
  writer.sample({{"l", value}}, 1);
  const std::string page = writer.take();
  const size_t start = page.find("l=") + 2;
  return page.substr(start, page.size() - start - 4);
}

std::string example_page() {
  MetricsWriter writer;
  writer.family("pikaproxy_commands_total", "counter", "Requests by command.");
  writer.sample({{"command", "get"}}, 123);
  writer.sample({{"command", "a\"b\\c\nd\xFF"}}, std::numeric_limits<uint64_t>::max());
  writer.family("pikaproxy_offset_bytes", "gauge", "May be \\ negative\nor not.");
  writer.sample({}, -5);
  writer.family("pikaproxy_command_duration_seconds", "histogram", "Time to answer.");
  const std::array<double, 3> bounds = {0.0001, 0.005, 10};
  const std::array<uint64_t, 3> cumulative = {1, 4, 7};
  writer.histogram_sample({{"class", "read"}}, bounds, cumulative, 12.5, 9);
  return writer.take();
}

}  // namespace

TEST_SUITE("common/metrics_writer") {
  TEST_CASE("a page has each family's HELP and TYPE once, then its samples") {
    CHECK(example_page() ==
          "# HELP pikaproxy_commands_total Requests by command.\n"
          "# TYPE pikaproxy_commands_total counter\n"
          "pikaproxy_commands_total{command=\"get\"} 123\n"
          "pikaproxy_commands_total{command=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\"} 18446744073709551615\n"
          "# HELP pikaproxy_offset_bytes May be \\\\ negative\\nor not.\n"
          "# TYPE pikaproxy_offset_bytes gauge\n"
          "pikaproxy_offset_bytes -5\n"
          "# HELP pikaproxy_command_duration_seconds Time to answer.\n"
          "# TYPE pikaproxy_command_duration_seconds histogram\n"
          "pikaproxy_command_duration_seconds_bucket{class=\"read\",le=\"0.0001\"} 1\n"
          "pikaproxy_command_duration_seconds_bucket{class=\"read\",le=\"0.005\"} 4\n"
          "pikaproxy_command_duration_seconds_bucket{class=\"read\",le=\"10\"} 7\n"
          "pikaproxy_command_duration_seconds_bucket{class=\"read\",le=\"+Inf\"} 9\n"
          "pikaproxy_command_duration_seconds_sum{class=\"read\"} 12.5\n"
          "pikaproxy_command_duration_seconds_count{class=\"read\"} 9\n");
  }

  TEST_CASE("the writer can be used again for the same families") {
    MetricsWriter writer;
    for (int i = 0; i < 2; ++i) {
      writer.family("m", "gauge", "M.");
      writer.sample({}, i);
      CHECK(writer.take() == "# HELP m M.\n# TYPE m gauge\nm " + std::to_string(i) + "\n");
    }
    CHECK(writer.take() == "");
  }

  TEST_CASE("doubles are short and read back the same") {
    CHECK(one_sample(0.0) == "0");
    CHECK(one_sample(0.1) == "0.1");
    CHECK(one_sample(1e6) == "1000000");
    CHECK(one_sample(0.00001) == "1e-05");
    CHECK(one_sample(std::numeric_limits<double>::quiet_NaN()) == "NaN");
    CHECK(one_sample(std::numeric_limits<double>::infinity()) == "+Inf");
    CHECK(one_sample(-std::numeric_limits<double>::infinity()) == "-Inf");
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 10'000; ++i) {
      const double value = std::uniform_real_distribution<double>(-1, 1)(random) *
                           std::pow(10.0, static_cast<int>(random() % 60) - 30);
      REQUIRE(std::strtod(one_sample(value).c_str(), nullptr) == value);
    }
  }

  TEST_CASE("a label's value keeps UTF-8 and loses what is not") {
    CHECK(one_label("") == "\"\"");
    CHECK(one_label("\xC3\xA4\xE7\xBB\xB4\xF0\x9F\x98\x80") ==
          "\"\xC3\xA4\xE7\xBB\xB4\xF0\x9F\x98\x80\"");
    const std::string bad = "\xEF\xBF\xBD";
    CHECK(one_label("\x80") == '"' + bad + '"');
    CHECK(one_label("\xC0\xAF") == '"' + bad + bad + '"');            // Overlong.
    CHECK(one_label("\xED\xA0\x80") == '"' + bad + bad + bad + '"');  // A surrogate.
    CHECK(one_label("\xF4\x90\x80\x80") == '"' + bad + bad + bad + bad + '"');
    CHECK(one_label("a\xE7\xBB") == "\"a" + bad + bad + '"');  // Cut off.
  }

  TEST_CASE("promtool finds nothing wrong with a page") {
    // Debian's package "prometheus" has it; where it is missing, the cases above stand alone.
    if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
      MESSAGE("promtool is not installed");
      return;
    }
    MetricsWriter writer;
    write_process_metrics(writer, read_process_stats());
    const std::string page = example_page() + writer.take();
    FILE* pipe = ::popen("promtool check metrics", "w");
    REQUIRE(pipe != nullptr);
    CHECK(std::fwrite(page.data(), 1, page.size(), pipe) == page.size());
    CHECK(::pclose(pipe) == 0);
  }
}
