#include "common/log.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/common/temporary_directory.h"

using namespace pikaproxy;

namespace {

// Logs into a file, and puts the log back on standard error at the end.
class LogFile {
 public:
  explicit LogFile(LogFormat format, LogLevel level = LogLevel::kDebug) {
    REQUIRE(log_configure({level, format, directory_.path("log")}));
  }
  ~LogFile() { log_configure(LogConfig()); }

  std::vector<std::string> lines(const std::string& name = "log") const {
    std::istringstream text(directory_.read(name));
    std::vector<std::string> all;
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }
  std::string path(const std::string& name) const { return directory_.path(name); }

 private:
  TemporaryDirectory directory_;
};

// Every byte there is.
std::string all_bytes() {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
  return bytes;
}

}  // namespace

TEST_SUITE("common/log") {
  TEST_CASE("a JSON line is one object, whatever the values hold") {
    const LogFile log(LogFormat::kJson);
    log_warn("backend lost", "addr", "10.0.0.1:6379", "bytes", all_bytes(), "inflight", 7u,
             "degraded", true);
    log_info("quotes \" and \\ in an event");
    const auto lines = log.lines();
    REQUIRE(lines.size() == 2);
    const auto first = nlohmann::json::parse(lines[0]);
    CHECK(first["level"] == "warn");
    CHECK(first["event"] == "backend lost");
    CHECK(first["addr"] == "10.0.0.1:6379");
    CHECK(first["inflight"] == 7);
    CHECK(first["degraded"] == true);
    CHECK(first["bytes"].get<std::string>().substr(0, 128) == all_bytes().substr(0, 128));
    CHECK(nlohmann::json::parse(lines[1])["event"] == "quotes \" and \\ in an event");
  }

  TEST_CASE("numbers keep their value in JSON, and what JSON has no number for is a string") {
    const LogFile log(LogFormat::kJson);
    log_info("numbers", "low", std::numeric_limits<int64_t>::min(), "high",
             std::numeric_limits<uint64_t>::max(), "half", 0.5, "tiny", 1e-7);
    log_info("no numbers", "nan", std::nan(""), "inf", std::numeric_limits<double>::infinity());
    const auto lines = log.lines();
    REQUIRE(lines.size() == 2);
    const auto numbers = nlohmann::json::parse(lines[0]);
    CHECK(numbers["low"] == std::numeric_limits<int64_t>::min());
    CHECK(numbers["high"] == std::numeric_limits<uint64_t>::max());
    CHECK(numbers["half"] == 0.5);
    CHECK(numbers["tiny"] == 1e-7);
    CHECK(nlohmann::json::parse(lines[1])["nan"].is_string());
    CHECK(nlohmann::json::parse(lines[1])["inf"] == "inf");
  }

  TEST_CASE("a text value with spaces, quotes or newlines stays in its quotes on its line") {
    const LogFile log(LogFormat::kText);
    log_error("refused", "why", "two words", "quote", "a\"b", "lines", "a\nb\r\n", "empty", "");
    const auto lines = log.lines();
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].substr(24) ==
          " error refused why=\"two words\" quote=\"a\\\"b\" lines=\"a\\nb\\r\\n\" empty=\"\"");
  }

  TEST_CASE("a plain text value has no quotes") {
    const LogFile log(LogFormat::kText);
    log_info("connected", "addr", "127.0.0.1:6379", "ok", false, "db", -1);
    REQUIRE(log.lines().size() == 1);
    CHECK(log.lines()[0].substr(24) == " info connected addr=127.0.0.1:6379 ok=false db=-1");
  }

  TEST_CASE("the time is UTC with milliseconds") {
    const LogFile log(LogFormat::kText);
    log_info("now");
    REQUIRE(log.lines().size() == 1);
    const std::string time = log.lines()[0].substr(0, 24);
    std::string shape = time;
    for (char& c : shape) {
      if (c >= '0' && c <= '9') c = '9';
    }
    CHECK(shape == "9999-99-99T99:99:99.999Z");
  }

  TEST_CASE("only events of the level and above are written") {
    const std::vector<std::string> names = {"debug", "info", "warn", "error"};
    for (size_t level = 0; level < names.size(); ++level) {
      const LogFile log(LogFormat::kJson, static_cast<LogLevel>(level));
      CHECK(log_level() == static_cast<LogLevel>(level));
      log_debug("event");
      log_info("event");
      log_warn("event");
      log_error("event");
      const auto lines = log.lines();
      REQUIRE(lines.size() == names.size() - level);
      for (size_t i = 0; i < lines.size(); ++i) {
        CHECK(nlohmann::json::parse(lines[i])["level"] == names[level + i]);
      }
    }
  }

  TEST_CASE("the level changes while running") {
    const LogFile log(LogFormat::kText, LogLevel::kError);
    log_info("dropped");
    log_set_level(LogLevel::kInfo);
    log_info("kept");
    CHECK(log.lines().size() == 1);
  }

  TEST_CASE("a very long value is cut, and the line is still whole") {
    const LogFile log(LogFormat::kJson);
    log_info("long", "value", std::string(1 << 20, '\n'));
    const auto lines = log.lines();
    REQUIRE(lines.size() == 1);
    CHECK(nlohmann::json::parse(lines[0])["value"].get<std::string>().size() < 4096);
  }

  TEST_CASE("after a rotation the file is opened again under its name") {
    const LogFile log(LogFormat::kText);
    log_info("before");
    std::filesystem::rename(log.path("log"), log.path("log.1"));
    log_info("still to the old file");
    log_reopen();
    log_info("after");
    CHECK(log.lines("log.1").size() == 2);
    CHECK(log.lines("log").size() == 1);
  }

  TEST_CASE("a file that cannot be opened is reported and the log stays where it was") {
    const LogFile log(LogFormat::kText);
    CHECK_FALSE(log_configure({LogLevel::kInfo, LogFormat::kText, log.path("no/such/directory")}));
    log_info("here");
    CHECK(log.lines().size() == 1);
  }

  TEST_CASE("lines of several threads do not mix") {
    const LogFile log(LogFormat::kJson);
    constexpr int kThreads = 4;
    constexpr int kLines = 200;
    {
      std::vector<std::jthread> threads;
      for (int id = 0; id < kThreads; ++id) {
        threads.emplace_back([id] {
          for (int i = 0; i < kLines; ++i) {
            log_info("event", "thread", id, "text", std::string(500, 'x'));
          }
        });
      }
    }
    const auto lines = log.lines();
    CHECK(lines.size() == kThreads * kLines);
    for (const std::string& line : lines) {
      REQUIRE(nlohmann::json::parse(line)["text"].get<std::string>().size() == 500);
    }
  }
}
