#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/config.h"
#include "common/result.h"

namespace pikaproxy {

// One row per option of the sections [proxy] [backend] [log] [slowlog] [admin] [dashboard] [auth]
// [ketama]. The file, the environment, the flags, --help, --print-config, the table in docs and
// CONFIG GET/SET all come from here; a new option is a field in config.h, a row in option_table.cc
// and a paragraph in conf/pikaproxy.toml (a test compares the three).

enum class OptionType : uint8_t {
  kBool,         // true, false
  kInteger,      // 10000
  kSize,         // 64mb
  kDuration,     // 30s
  kMode,         // 0700, octal
  kText,         // Anything without control characters.
  kPassword,     // Anything.
  kSecretFile,   // Path of a file whose first line load_config() puts into the password beside it.
  kChoice,       // One of Option::choices.
  kAddress,      // host:port, never a unix socket.
  kAddressList,  // host:port,unix:/path
  kHostList,     // proxy1.example,proxy2.example; may be empty
};

// Where a row's value lives.
using OptionField =
    std::variant<bool& (*)(Config&), uint32_t& (*)(Config&), uint64_t& (*)(Config&),
                 Milliseconds& (*)(Config&), Microseconds& (*)(Config&), std::string& (*)(Config&),
                 Address& (*)(Config&), std::vector<Address>& (*)(Config&),
                 std::vector<std::string>& (*)(Config&), RouterKind& (*)(Config&),
                 ReadFrom& (*)(Config&), LogLevel& (*)(Config&), LogFormat& (*)(Config&)>;

struct Option {
  std::string_view name;  // "proxy.max_clients"
  OptionField field;
  OptionType type;
  bool reloadable;        // May change while running, by SIGHUP or CONFIG SET.
  std::string_view help;  // One line, without a full stop.
  // Inclusive; of numbers, bytes of sizes, and durations in the unit of the field. A duration with
  // min < 0 can be "off" (-1).
  int64_t min = 0;
  int64_t max = 0;
  // Also a zero is allowed, outside min..max.
  bool or_zero = false;
  std::span<const std::string_view> choices = {};

  bool is_list() const noexcept {
    return type == OptionType::kAddressList || type == OptionType::kHostList;
  }
  bool secret() const noexcept { return type == OptionType::kPassword; }
  std::string_view section() const noexcept { return name.substr(0, name.find('.')); }
  std::string_view key() const noexcept { return name.substr(name.find('.') + 1); }
};

// All rows; those of a section stand together.
std::span<const Option> options() noexcept;
// Null if there is no such option. Exact, lower case.
const Option* find_option(std::string_view name) noexcept;
// The names of options(), for suggestions.
std::span<const std::string_view> option_names();

// The words for ReadFrom, in its order.
std::span<const std::string_view> read_from_names() noexcept;

// The value as text, as set_option() reads it. Secrets too: the caller masks them.
std::string get_option(const Config& config, const Option& option);

// The value as TOML: a string in quotes, a number bare, a list in brackets.
std::string option_toml(const Config& config, const Option& option);

// Reads `text` into the row's field; on an error the field is as before. Checks the row's own rule
// only; check_config() compares options with each other. Does not touch files.
//   Result: nothing, or a sentence that begins with the option's name and never holds a secret.
std::optional<Error> set_option(Config& config, const Option& option, std::string_view text);

// "PIKAPROXY_PROXY_MAX_CLIENTS"
std::string environment_name(const Option& option);

// What a value looks like, for a human: "1 to 1000000", "text | json".
std::string describe_values(const Option& option);

}  // namespace pikaproxy
