#include "proxy/commands/config_names.h"

#include <chrono>

#include <doctest/doctest.h>

#include "common/option_table.h"

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

using Values = std::map<std::string, std::string>;

Values get(const Config& config, std::string_view pattern) {
  Values values;
  get_config_values(config, pattern, values);
  return values;
}

}  // namespace

TEST_SUITE("proxy/config_names") {
  TEST_CASE("every option is found by its name, by a pattern and in any case") {
    const Config config;
    for (const Option& option : options()) {
      CAPTURE(option.name);
      CHECK(get(config, option.name).size() == 1);
    }
    CHECK(get(config, "*").size() > options().size());
    CHECK(get(config, "PROXY.MAX_CLIENTS") == Values{{"proxy.max_clients", "10000"}});
    CHECK(get(config, "proxy.max_c*") == Values{{"proxy.max_clients", "10000"}});
    CHECK(get(config, "nothing").empty());
    CHECK(get(config, "").empty());
  }

  TEST_CASE("Redis' names have Redis' units") {
    Config config;
    config.proxy.client_idle_timeout = 90s;
    config.proxy.tcp_keepalive = 300s;
    config.proxy.memory_max = 4ull << 30;
    config.proxy.bulk_max = 512ull << 20;
    config.slowlog.slower_than = 10ms;
    CHECK(get(config, "timeout") == Values{{"timeout", "90"}});
    CHECK(get(config, "tcp-keepalive") == Values{{"tcp-keepalive", "300"}});
    CHECK(get(config, "maxmemory") == Values{{"maxmemory", "4294967296"}});
    CHECK(get(config, "proto-max-bulk-len") == Values{{"proto-max-bulk-len", "536870912"}});
    CHECK(get(config, "slowlog-log-slower-than") == Values{{"slowlog-log-slower-than", "10000"}});
    CHECK(get(config, "databases") == Values{{"databases", "16"}});
    CHECK(get(config, "maxclients") == Values{{"maxclients", "10000"}});
    CHECK(get(config, "save") == Values{{"save", ""}});
    CHECK(get(config, "appendonly") == Values{{"appendonly", "no"}});
  }

  TEST_CASE("a secret is masked, its absence is not") {
    Config config;
    CHECK(get(config, "auth.password") == Values{{"auth.password", ""}});
    config.auth.password = "secret";
    CHECK(get(config, "auth.password") == Values{{"auth.password", "***"}});
    for (const auto& [name, value] : get(config, "*")) {
      CAPTURE(name);
      CHECK(value.find("secret") == std::string::npos);
    }
  }

  TEST_CASE("an option is set by our name and by Redis', in its own unit") {
    Config config;
    CHECK(set_config_value(config, "proxy.max_clients", "123") == "");
    CHECK(config.proxy.max_clients == 123);
    CHECK(set_config_value(config, "MaxClients", "124") == "");
    CHECK(config.proxy.max_clients == 124);
    CHECK(set_config_value(config, "timeout", "60") == "");
    CHECK(config.proxy.client_idle_timeout == 60s);
    CHECK(set_config_value(config, "timeout", "0") == "");
    CHECK(config.proxy.client_idle_timeout == 0s);
    CHECK(set_config_value(config, "maxmemory", "2147483648") == "");
    CHECK(config.proxy.memory_max == 2ull << 30);
    CHECK(set_config_value(config, "maxmemory", "1gb") == "");
    CHECK(config.proxy.memory_max == 1ull << 30);
    CHECK(set_config_value(config, "slowlog-log-slower-than", "500") == "");
    CHECK(config.slowlog.slower_than == 500us);
    CHECK(set_config_value(config, "slowlog-log-slower-than", "0") == "");
    CHECK(config.slowlog.slower_than == 0us);
    CHECK(set_config_value(config, "slowlog-log-slower-than", "-1") == "");
    CHECK(config.slowlog.slower_than < 0us);
    CHECK(set_config_value(config, "loglevel", "debug") == "");
    CHECK(config.log.level == LogLevel::kDebug);
  }

  TEST_CASE("what was read can be set again under every name that may change") {
    Config config;
    for (const auto& [name, value] : get(config, "*")) {
      Config changed = config;
      const std::string error = set_config_value(changed, name, value);
      CAPTURE(name);
      CAPTURE(error);
      if (error.empty()) {
        CHECK(changed == config);
      } else {
        const bool fixed = error.find("it needs a restart") != std::string::npos;
        CHECK((fixed || name == "save" || name == "appendonly"));
      }
    }
  }

  TEST_CASE("what cannot be set leaves the configuration as it was and says why") {
    const Config before;
    Config config;
    CHECK(set_config_value(config, "nothing", "1").starts_with("ERR Unknown option"));
    CHECK(set_config_value(config, "", "1").starts_with("ERR Unknown option"));
    CHECK(set_config_value(config, std::string_view("a\0b", 3), "1").ends_with("CONFIG SET - 'a'"));
    CHECK(set_config_value(config, "proxy.workers", "2").find("needs a restart") !=
          std::string::npos);
    CHECK(set_config_value(config, "databases", "32").find("needs a restart") != std::string::npos);
    for (const std::string_view value : {"", "x", "-1", "0", "99999999999999999999"}) {
      CAPTURE(value);
      const std::string error = set_config_value(config, "maxclients", value);
      CHECK(error.starts_with("ERR CONFIG SET failed (possibly related to argument 'maxclients')"));
    }
    CHECK(config == before);
  }

  TEST_CASE("options that contradict each other are refused together") {
    Config config;
    CHECK(check_changed_config(config) == "");
    CHECK(set_config_value(config, "proxy.bulk_max", "2gb") == "");
    const std::string error = check_changed_config(config);
    CHECK(error.starts_with("ERR CONFIG SET failed - "));
    CHECK(error.find("proxy.request_max") != std::string::npos);
    CHECK(set_config_value(config, "proxy.request_max", "2gb") == "");
    CHECK(check_changed_config(config) == "");
  }
}
