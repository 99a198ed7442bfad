#include "common/option_table.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "common/config_file.h"
#include "common/config_load.h"
#include "common/config_print.h"
#include "tests/common/temporary_directory.h"

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

const Option& row(std::string_view name) {
  const Option* option = find_option(name);
  REQUIRE_MESSAGE(option != nullptr, std::string(name));
  return *option;
}

std::string source_file(const std::string& path) {
  const std::string text =
      TemporaryDirectory::read_whole_file(std::string(PIKAPROXY_SOURCE_DIR) + "/" + path);
  REQUIRE_MESSAGE(!text.empty(), path);
  return text;
}

// Whether it could be an option's key or section.
bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// "section.key" of every commented option line of conf/pikaproxy.toml, and the file with these
// lines in force. Stops where the examples of groups begin.
struct ExampleFile {
  ExampleFile() {
    std::istringstream lines(source_file("conf/pikaproxy.toml"));
    std::string section;
    std::string above;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("#[[")) break;
      if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1);
      const size_t equals = line.find(" = ");
      if (line.starts_with('#') && equals != std::string::npos &&
          is_word(line.substr(1, equals - 1))) {
        names.push_back(section + "." + line.substr(1, equals - 1));
        reload_lines.push_back(above);
        line.erase(0, 1);
      }
      above = line;
      text += line + "\n";
    }
  }
  std::vector<std::string> names;
  std::vector<std::string> reload_lines;  // The line above each.
  std::string text;
};

}  // namespace

TEST_SUITE("common/option_table") {
  TEST_CASE("rows have a section, a key, a help line and a name of their own") {
    std::set<std::string_view> names;
    std::set<std::string> variables;
    std::set<std::string_view> sections;
    std::string_view section;
    for (const Option& option : options()) {
      CAPTURE(option.name);
      CHECK(is_word(option.section()));
      CHECK(is_word(option.key()));
      CHECK(names.insert(option.name).second);
      CHECK(variables.insert(environment_name(option)).second);
      CHECK_FALSE(option.help.empty());
      CHECK_FALSE(option.help.ends_with('.'));
      CHECK(option.help.find('\n') == std::string_view::npos);
      CHECK(find_option(option.name) == &option);
      if (option.section() != section) {
        section = option.section();
        CHECK(sections.insert(section).second);
      }
    }
    CHECK(find_option("proxy.max_client") == nullptr);
    CHECK(find_option("") == nullptr);
    CHECK(environment_name(row("proxy.max_clients")) == "PIKAPROXY_PROXY_MAX_CLIENTS");
  }

  TEST_CASE("every field of the sections in config.h has a row") {
    std::istringstream lines(source_file("common/config.h"));
    std::string section;
    size_t fields = 0;
    for (std::string line; std::getline(lines, line);) {
      // The comment "// [section]" stands above the struct.
      if (line.starts_with("// [") && line[4] != '[') section = line.substr(4, line.find(']') - 4);
      if (line == "};") section.clear();
      // "  type name = value;", "  type name{value};" or "  type name;"
      if (section.empty() || !line.starts_with("  ") || line[2] == ' ' || line[2] == '/' ||
          line.find("operator") != std::string::npos) {
        continue;
      }
      line = line.substr(0, line.find_first_of("={;"));
      while (line.ends_with(' ')) line.pop_back();
      const std::string name = line.substr(line.rfind(' ') + 1);
      CAPTURE(line);
      CHECK(find_option(section + "." + name) != nullptr);
      ++fields;
    }
    CHECK(fields == options().size());
  }

  TEST_CASE("the defaults are within their own rules and survive being written and read") {
    for (const Option& option : options()) {
      CAPTURE(option.name);
      Config config;
      const std::string text = get_option(config, option);
      const auto error = set_option(config, option, text);
      CHECK_MESSAGE(!error, (error ? error->message : ""));
      CHECK(config == Config());
      CHECK(get_option(config, option) == text);
    }
  }

  TEST_CASE("values are written in one form, whatever form they were given in") {
    struct Case {
      std::string name, text, canonical;
    };
    const Case cases[] = {
        {"proxy.listen", "10.0.0.1:1, unix:/x", "10.0.0.1:1,unix:/x"},
        {"proxy.listen", ":7", "127.0.0.1:7"},
        {"proxy.unix_mode", "770", "0770"},
        {"proxy.unix_mode", "0o660", "0660"},
        {"proxy.unix_mode", "0", "0"},
        {"proxy.router", "ketama", "ketama"},
        {"proxy.client_idle_timeout", "0s", "0"},
        {"proxy.client_idle_timeout", "60s", "1m"},
        {"proxy.bulk_max", "1024kb", "1mb"},
        {"proxy.bulk_max", "1000000", "1000000"},
        {"log.level", "error", "error"},
        {"slowlog.slower_than", "-1", "off"},
        {"slowlog.slower_than", "off", "off"},
        {"slowlog.slower_than", "0", "0"},
        {"slowlog.slower_than", "1500us", "1500us"},
        {"admin.enabled", "false", "false"},
        {"admin.listen", "[::1]:80", "[::1]:80"},
        {"admin.allowed_hosts", "a.example, B_1", "a.example,B_1"},
        {"admin.allowed_hosts", "", ""},
        {"auth.password", "line\nbreak", "line\nbreak"},
        {"ketama.hash", "md5", "md5"},
    };
    for (const Case& c : cases) {
      CAPTURE(c.name);
      CAPTURE(c.text);
      Config config;
      const auto error = set_option(config, row(c.name), c.text);
      CHECK_MESSAGE(!error, (error ? error->message : ""));
      CHECK(get_option(config, row(c.name)) == c.canonical);
    }
  }

  TEST_CASE("values reach the field that bears the option's name") {
    Config config;
    CHECK_FALSE(set_option(config, row("proxy.max_clients"), "7"));
    CHECK(config.proxy.max_clients == 7);
    CHECK_FALSE(set_option(config, row("backend.reconnect_max"), "2s"));
    CHECK(config.backend.reconnect_max == 2s);
    CHECK_FALSE(set_option(config, row("slowlog.slower_than"), "off"));
    CHECK(config.slowlog.slower_than == -1us);
    CHECK_FALSE(set_option(config, row("log.format"), "json"));
    CHECK(config.log.format == LogFormat::kJson);
    CHECK_FALSE(set_option(config, row("proxy.unix_mode"), "0750"));
    CHECK(config.proxy.unix_mode == 0750);
  }

  TEST_CASE("a bad value is refused with a sentence about it, and changes nothing") {
    struct Case {
      std::string name, text, part;
    };
    const Case cases[] = {
        {"proxy.listen", "", "at least one"},
        {"proxy.listen", "a:1,", "port is missing"},
        {"proxy.listen", "a:1,b", "\"b\""},
        {"proxy.unix_mode", "0800", "0 to 0777"},
        {"proxy.unix_mode", "01000", "0 to 0777"},
        {"proxy.workers", "65", "0 to 64"},
        {"proxy.workers", "-1", "0 to 64"},
        {"proxy.workers", "", "0 to 64"},
        {"proxy.workers", "4 ", "0 to 64"},
        {"proxy.workers", "4294967297", "0 to 64"},
        {"proxy.databases", "0", "1 to 10000"},
        {"proxy.databases", "10001", "1 to 10000"},
        {"proxy.router", "slots", "Did you mean \"slot\"?"},
        {"proxy.router", "SLOT", "slot | ketama"},
        {"proxy.client_idle_timeout", "10ms", "0 or 1s to 365d"},
        {"proxy.client_idle_timeout", "-1", "not a duration"},
        {"proxy.client_output_timeout", "0", "100ms to 1d"},
        {"proxy.shutdown_timeout", "5", "\"5s\" or \"5ms\""},
        {"proxy.shutdown_timeout", "10us", "finer than a millisecond"},
        {"proxy.bulk_max", "64m", "64mb"},
        {"proxy.bulk_max", "0", "1kb to 1tb"},
        {"log.level", "warning", "debug | info | warn | error"},
        {"log.file", "a\nb", "control character"},
        {"slowlog.slower_than", "-2", "not a duration"},
        {"slowlog.slower_than", "never", "off"},
        {"admin.enabled", "yes", "true or false"},
        {"admin.listen", "unix:/x", "unix socket"},
        {"admin.allowed_hosts", "a,", "host name"},
        {"admin.allowed_hosts", "a:80", "without a port"},
        {"ketama.hash", "fnv1a64", "Did you mean \"fnv1a_64\"?"},
    };
    for (const Case& c : cases) {
      CAPTURE(c.name);
      CAPTURE(c.text);
      Config config;
      const auto error = set_option(config, row(c.name), c.text);
      REQUIRE(error);
      CAPTURE(error->message);
      CHECK(error->message.starts_with(c.name));
      CHECK(error->message.find(c.part) != std::string::npos);
      CHECK(config == Config());
    }
  }

  TEST_CASE("any text that is accepted can be written, in text and in TOML, and read again") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    constexpr std::string_view kAlphabet = "0123456789kmgtbushd.:,-[]/ off\"\\\x01\xC3";
    for (int round = 0; round < 20'000; ++round) {
      std::string text;
      for (size_t size = random() % 8; size > 0; --size)
        text += kAlphabet[random() % kAlphabet.size()];
      const Option& option = options()[random() % options().size()];
      Config config;
      if (set_option(config, option, text)) {
        REQUIRE(config == Config());
        continue;
      }
      CAPTURE(option.name);
      CAPTURE(text);
      Config again;
      REQUIRE_FALSE(set_option(again, option, get_option(config, option)));
      REQUIRE(again == config);
      // TOML is UTF-8 and nothing else.
      if (text.find('\xC3') != std::string::npos) continue;
      const std::string toml = "[" + std::string(option.section()) + "]\n" +
                               std::string(option.key()) + " = " + option_toml(config, option) +
                               "\n";
      Config from_file;
      Origins origins;
      Problems problems;
      REQUIRE(read_config_file(toml, "x.toml", from_file, origins, problems));
      REQUIRE_MESSAGE(problems.empty(), problems[0].to_string());
      REQUIRE(from_file == config);
    }
  }

  TEST_CASE("the example file has every option, in force exactly the defaults") {
    const ExampleFile example;
    std::vector<std::string> expected;
    for (const Option& option : options()) expected.emplace_back(option.name);
    CHECK(example.names == expected);
    ConfigSources sources;
    sources.file = "pikaproxy.toml";
    const LoadResult result = load_config_text(example.text, sources);
    REQUIRE_MESSAGE(result.ok(), result.problems_text());
    CHECK(result.loaded->config == Config());
    // Not only equal by accident: each really came from the file.
    for (const Option& option : options()) {
      CAPTURE(option.name);
      CHECK(result.loaded->source_of(option.name) == Source::kFile);
    }
  }

  TEST_CASE("the example file says of every option whether it can be reloaded") {
    const ExampleFile example;
    REQUIRE(example.names.size() == example.reload_lines.size());
    for (size_t i = 0; i < example.names.size(); ++i) {
      CAPTURE(example.names[i]);
      const Option& option = row(example.names[i]);
      std::string expected = option.reloadable ? "# Reload: yes." : "# Reload: no.";
      if (option.type == OptionType::kSecretFile) expected = "# Reload: the file is read again.";
      CHECK(example.reload_lines[i] == expected);
    }
  }

  TEST_CASE("the example file as it is, and its example groups and users, load") {
    ConfigSources sources;
    sources.file = "pikaproxy.toml";
    std::string text = source_file("conf/pikaproxy.toml");
    const LoadResult untouched = load_config_text(text, sources);
    REQUIRE_MESSAGE(untouched.ok(), untouched.problems_text());
    CHECK(untouched.loaded->config == Config());

    const TemporaryDirectory directory;
    directory.write("password", "from a file\n");
    std::istringstream lines(text.substr(text.find("#[[group]]")));
    std::string slot_groups, ring_groups, users;
    std::string* part = &slot_groups;
    for (std::string line; std::getline(lines, line);) {
      if (line.find("twemproxy") != std::string::npos) part = &ring_groups;
      if (line == "#[[user]]") part = &users;
      if (!line.starts_with("#") || line.starts_with("# ")) continue;
      line.erase(0, 1);
      if (line.starts_with("password_file")) {
        line = "password_file = \"" + directory.path("password") + "\"";
      }
      *part += line + "\n";
    }
    const LoadResult slots = load_config_text(slot_groups + users, sources);
    REQUIRE_MESSAGE(slots.ok(), slots.problems_text());
    CHECK(slots.loaded->warnings.empty());
    REQUIRE(slots.loaded->config.groups.size() == 3);
    CHECK(slots.loaded->config.groups[0].password == "from a file");
    CHECK(slots.loaded->config.users.size() == 3);
    CHECK(slots.loaded->config.listeners.size() == 1);
    CHECK(slots.loaded->config.zones.size() == 1);
    const LoadResult ring =
        load_config_text("[proxy]\nrouter = \"ketama\"\n" + ring_groups, sources);
    REQUIRE_MESSAGE(ring.ok(), ring.problems_text());
    CHECK(ring.loaded->config.groups.size() == 2);
  }

  TEST_CASE("the table in docs/configuration.md is the one that --help-markdown prints") {
    const std::string text = source_file("docs/configuration.md");
    const std::string begin = "<!-- begin: pikaproxy --help-markdown -->\n";
    const size_t from = text.find(begin);
    const size_t to = text.find("<!-- end -->");
    REQUIRE(from != std::string::npos);
    REQUIRE(to != std::string::npos);
    CHECK(text.substr(from + begin.size(), to - from - begin.size()) == options_markdown());
  }
}
