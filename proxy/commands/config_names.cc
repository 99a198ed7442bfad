#include "proxy/commands/config_names.h"

#include <vector>

#include "common/ascii.h"
#include "common/config_check.h"
#include "common/glob.h"
#include "common/option_table.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kMask = "***";

// A setting by Redis' name: which option it is, and the unit Redis counts it in.
struct RedisName {
  std::string_view name;
  std::string_view option;
  enum class Unit : uint8_t { kAsIs, kBytes, kSeconds, kMicroseconds } unit;
};
using Unit = RedisName::Unit;

constexpr RedisName kRedisNames[] = {
    {"databases", "proxy.databases", Unit::kAsIs},
    {"loglevel", "log.level", Unit::kAsIs},
    {"maxclients", "proxy.max_clients", Unit::kAsIs},
    {"maxmemory", "proxy.memory_max", Unit::kBytes},
    {"proto-max-bulk-len", "proxy.bulk_max", Unit::kBytes},
    {"slowlog-log-slower-than", "slowlog.slower_than", Unit::kMicroseconds},
    {"slowlog-max-len", "slowlog.max_len", Unit::kAsIs},
    {"tcp-keepalive", "proxy.tcp_keepalive", Unit::kSeconds},
    {"timeout", "proxy.client_idle_timeout", Unit::kSeconds},
};

// What benchmarks and libraries ask for although it does not exist here.
constexpr std::pair<std::string_view, std::string_view> kFixed[] = {{"appendonly", "no"},
                                                                    {"save", ""}};

std::string redis_value(const Config& config, const RedisName& name) {
  switch (name.unit) {
    case Unit::kBytes:
      return std::to_string(name.name == "maxmemory" ? config.proxy.memory_max
                                                     : config.proxy.bulk_max);
    case Unit::kSeconds:
      return std::to_string(
          (name.name == "timeout" ? config.proxy.client_idle_timeout : config.proxy.tcp_keepalive)
              .count() /
          1000);
    case Unit::kMicroseconds:
      return std::to_string(config.slowlog.slower_than.count());
    case Unit::kAsIs:
      break;
  }
  return get_option(config, *find_option(name.option));
}

std::string with_unit(Unit unit, std::string_view value) {
  int64_t number = 0;
  if (!parse_integer(value, number) || number == 0) return std::string(value);
  switch (unit) {
    case Unit::kSeconds:
      return std::string(value) + "s";
    case Unit::kMicroseconds:
      return number < 0 ? "off" : std::string(value) + "us";
    default:
      return std::string(value);
  }
}

}  // namespace

void get_config_values(const Config& config, std::string_view pattern,
                       std::map<std::string, std::string>& found) {
  for (const Option& option : options()) {
    if (!glob_matches(pattern, option.name, GlobCase::kIgnored)) continue;
    std::string value = get_option(config, option);
    if (option.secret() && !value.empty()) value = kMask;
    found.emplace(option.name, std::move(value));
  }
  for (const RedisName& name : kRedisNames) {
    if (glob_matches(pattern, name.name, GlobCase::kIgnored)) {
      found.emplace(name.name, redis_value(config, name));
    }
  }
  for (const auto& [name, value] : kFixed) {
    if (glob_matches(pattern, name, GlobCase::kIgnored)) found.emplace(name, value);
  }
}

std::string set_config_value(Config& config, std::string_view name, std::string_view value) {
  const std::string lower = to_lower(name);
  std::string_view option_name = lower;
  std::string text(value);
  for (const RedisName& known : kRedisNames) {
    if (known.name != lower) continue;
    option_name = known.option;
    text = with_unit(known.unit, value);
  }
  const Option* option = find_option(option_name);
  const std::string echoed(name.substr(0, name.find('\0')));  // As Redis, no further than a NUL.
  if (option == nullptr) {
    return "ERR Unknown option or number of arguments for CONFIG SET - '" + echoed + "'";
  }
  const std::string failed =
      "ERR CONFIG SET failed (possibly related to argument '" + echoed + "') - ";
  if (!option->reloadable) return failed + "can't set immutable config: it needs a restart";
  if (const auto error = set_option(config, *option, text)) return failed + error->message;
  return {};
}

std::string check_changed_config(const Config& config) {
  Problems problems;
  std::vector<std::string> warnings;
  check_config(config, Origins{}, problems, warnings);
  return problems.empty() ? "" : "ERR CONFIG SET failed - " + problems.front().message;
}

}  // namespace pikaproxy
