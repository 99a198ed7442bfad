#include "common/command_replies.h"

#include <algorithm>
#include <vector>

#include "common/glob.h"

namespace pikaproxy {
namespace {

struct FlagName {
  uint32_t flag;
  std::string_view name;
};

// In the order in which Redis prints them.
constexpr FlagName kFlagNames[] = {
    {kFlagWrite, "write"},
    {kFlagReadonly, "readonly"},
    {kFlagDenyoom, "denyoom"},
    {kFlagAdmin, "admin"},
    {kFlagPubsub, "pubsub"},
    {kFlagNoscript, "noscript"},
    {kFlagBlocking, "blocking"},
    {kFlagLoading, "loading"},
    {kFlagStale, "stale"},
    {kFlagSkipMonitor, "skip_monitor"},
    {kFlagSkipSlowlog, "skip_slowlog"},
    {kFlagAsking, "asking"},
    {kFlagFast, "fast"},
    {kFlagNoAuth, "no_auth"},
    {kFlagNoMandatoryKeys, "no_mandatory_keys"},
    {kFlagNoAsyncLoading, "no_async_loading"},
    {kFlagNoMulti, "no_multi"},
    {kFlagMovableKeys, "movablekeys"},
    {kFlagAllowBusy, "allow_busy"},
};

bool is_served(const Command& command) noexcept {
  return command.action != CommandAction::kRefuse;
}

// Writes RESP of one version.
class Writer {
 public:
  Writer(std::string& out, RespVersion version) noexcept
      : out_(out), is_resp3_(version == RespVersion::k3) {}

  void integer(int64_t value) { line(':', std::to_string(value)); }
  void status(std::string_view text) { line('+', text); }
  void error(std::string_view text) {
    out_ += "-ERR ";
    out_ += text;
    out_ += "\r\n";
  }
  void bulk(std::string_view text) {
    line('$', std::to_string(text.size()));
    out_ += text;
    out_ += "\r\n";
  }
  void null() { out_ += is_resp3_ ? "_\r\n" : "$-1\r\n"; }
  void array(size_t size) { line('*', std::to_string(size)); }
  void set(size_t size) { line(is_resp3_ ? '~' : '*', std::to_string(size)); }
  void map(size_t pairs) {
    line(is_resp3_ ? '%' : '*', std::to_string(is_resp3_ ? pairs : 2 * pairs));
  }
  // A map's field whose value is an integer.
  void field(std::string_view name, int64_t value) {
    bulk(name);
    integer(value);
  }

 private:
  void line(char type, std::string_view text) {
    out_ += type;
    out_ += text;
    out_ += "\r\n";
  }

  std::string& out_;
  const bool is_resp3_;
};

void write_command_flags(Writer& writer, uint32_t flags) {
  const auto is_set = [flags](const FlagName& row) { return (flags & row.flag) != 0; };
  writer.set(
      static_cast<size_t>(std::count_if(std::begin(kFlagNames), std::end(kFlagNames), is_set)));
  for (const FlagName& row : kFlagNames) {
    if (is_set(row)) writer.status(row.name);
  }
}

void write_key_flags(Writer& writer, uint16_t flags) {
  const auto names = key_spec_flag_names();
  size_t count = 0;
  for (size_t bit = 0; bit < names.size(); ++bit) count += (flags >> bit) & 1;
  writer.set(count);
  for (size_t bit = 0; bit < names.size(); ++bit) {
    if (((flags >> bit) & 1) != 0) writer.status(names[bit]);
  }
}

// "@read @string" -> two strings.
std::vector<std::string_view> split_categories(std::string_view categories) {
  std::vector<std::string_view> parts;
  while (!categories.empty()) {
    const size_t space = std::min(categories.find(' '), categories.size());
    parts.push_back(categories.substr(0, space));
    categories.remove_prefix(std::min(space + 1, categories.size()));
  }
  return parts;
}

void write_begin_search(Writer& writer, const KeySpec& spec) {
  writer.bulk("begin_search");
  writer.map(2);
  writer.bulk("type");
  switch (spec.begin) {
    case KeySpec::Begin::kIndex:
      writer.bulk("index");
      writer.bulk("spec");
      writer.map(1);
      writer.field("index", spec.index);
      break;
    case KeySpec::Begin::kKeyword:
      writer.bulk("keyword");
      writer.bulk("spec");
      writer.map(2);
      writer.bulk("keyword");
      writer.bulk(spec.keyword);
      writer.field("startfrom", spec.index);
      break;
    case KeySpec::Begin::kUnknown:
      writer.bulk("unknown");
      writer.bulk("spec");
      writer.map(0);
      break;
  }
}

void write_find_keys(Writer& writer, const KeySpec& spec) {
  writer.bulk("find_keys");
  writer.map(2);
  writer.bulk("type");
  switch (spec.find) {
    case KeySpec::Find::kRange:
      writer.bulk("range");
      writer.bulk("spec");
      writer.map(3);
      writer.field("lastkey", spec.last_key);
      writer.field("keystep", spec.key_step);
      writer.field("limit", spec.limit);
      break;
    case KeySpec::Find::kKeynum:
      writer.bulk("keynum");
      writer.bulk("spec");
      writer.map(3);
      writer.field("keynumidx", spec.keynum_index);
      writer.field("firstkey", spec.first_key);
      writer.field("keystep", spec.key_step);
      break;
    case KeySpec::Find::kUnknown:
      writer.bulk("unknown");
      writer.bulk("spec");
      writer.map(0);
      break;
  }
}

void write_command(Writer& writer, const Command& command) {
  writer.array(10);
  writer.bulk(command.name);
  writer.integer(command.arity);
  write_command_flags(writer, command.flags);
  writer.integer(command.first_key);
  writer.integer(command.last_key);
  writer.integer(command.key_step);
  const auto categories = split_categories(command.acl_categories);
  writer.set(categories.size());
  for (const std::string_view category : categories) writer.status(category);
  writer.set(command.tips.size());
  for (const std::string_view tip : command.tips) writer.bulk(tip);
  writer.set(command.key_specs.size());
  for (const KeySpec& spec : command.key_specs) {
    writer.map(3);
    writer.bulk("flags");
    write_key_flags(writer, spec.flags);
    write_begin_search(writer, spec);
    write_find_keys(writer, spec);
  }
  const auto subcommands = command.subcommands;
  writer.set(static_cast<size_t>(std::count_if(subcommands.begin(), subcommands.end(), is_served)));
  for (const Command& subcommand : subcommands) {
    if (is_served(subcommand)) write_command(writer, subcommand);
  }
}

size_t served_count() noexcept {
  const auto commands = top_level_commands();
  return static_cast<size_t>(
      std::count_if(commands.begin(), commands.end(),
                    [](const Command* command) { return is_served(*command); }));
}

// "get" or "client|id", in any case; null if there is none.
const Command* find_by_full_name(std::string_view name) noexcept {
  const size_t bar = name.find('|');
  const Command* command = find_command(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return find_subcommand(*command, name.substr(bar + 1));
}

// The command of a request's first arguments, null if there is none.
const Command* find_requested(Arguments request) noexcept {
  const Command* command = request.empty() ? nullptr : find_command(request[0]);
  if (command == nullptr || command->subcommands.empty() || request.size() == 1) return command;
  return find_subcommand(*command, request[1]);
}

bool has_keys(const Command& command) noexcept {
  return std::any_of(command.key_specs.begin(), command.key_specs.end(),
                     [](const KeySpec& spec) { return (spec.flags & kKeyNotKey) == 0; });
}

// What keeps a request from being asked for its keys; empty if nothing does.
std::string_view keys_error(const Command* command, Arguments request) noexcept {
  if (command == nullptr) return "Invalid command specified";
  if (!has_keys(*command)) return "The command has no key arguments";
  if (!arity_fits(*command, request.size())) {
    return "Invalid number of arguments specified for command";
  }
  return {};
}

// The keys of `request` with what is done to them, or false after an error was written.
bool find_requested_keys(Writer& writer, Arguments request, std::vector<KeyUse>& keys) {
  const Command* command = find_requested(request);
  if (const auto error = keys_error(command, request); !error.empty()) {
    writer.error(error);
    return false;
  }
  std::string_view error;
  const bool may_be_none = (command->flags & kFlagNoMandatoryKeys) != 0;
  if (!find_keys_and_flags(*command, request, keys, error) && !may_be_none) {
    writer.error("Invalid arguments specified for command");
    return false;
  }
  return true;
}

bool equal_ignoring_case(std::string_view text, std::string_view lower) noexcept {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
  });
}

// FILTERBY's condition.
struct Filter {
  enum class Kind : uint8_t { kNone, kModule, kCategory, kPattern };
  Kind kind = Kind::kNone;
  std::string_view value;

  bool takes(const Command& command) const {
    switch (kind) {
      case Kind::kNone:
        return true;
      case Kind::kModule:
        return false;  // There are no modules here.
      case Kind::kCategory: {
        const auto categories = split_categories(command.acl_categories);
        return std::any_of(categories.begin(), categories.end(), [this](std::string_view category) {
          return equal_ignoring_case(value, category.substr(1));
        });
      }
      case Kind::kPattern:
        return glob_matches(value, command.name, GlobCase::kIgnored);
    }
    return false;
  }
};

// False if `options` are not [FILTERBY kind value].
bool read_filter(std::span<const std::string_view> options, Filter& filter) noexcept {
  if (options.empty()) return true;
  if (options.size() != 3 || !equal_ignoring_case(options[0], "filterby")) return false;
  if (equal_ignoring_case(options[1], "module")) {
    filter.kind = Filter::Kind::kModule;
  } else if (equal_ignoring_case(options[1], "aclcat")) {
    filter.kind = Filter::Kind::kCategory;
  } else if (equal_ignoring_case(options[1], "pattern")) {
    filter.kind = Filter::Kind::kPattern;
  } else {
    return false;
  }
  filter.value = options[2];
  return true;
}

constexpr std::string_view kHelp[] = {
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Describe all commands this proxy serves.",
    "COUNT",
    "    Number of commands this proxy serves.",
    "DOCS [<command-name> ...]",
    "    Documentation of the named or of all commands, as a server behind this proxy has it.",
    "GETKEYS <full-command>",
    "    The keys of a request.",
    "GETKEYSANDFLAGS <full-command>",
    "    The keys of a request, each with what the command does to it.",
    "INFO [<command-name> ...]",
    "    Describe the named or all commands.",
    "LIST [FILTERBY MODULE <name>|ACLCAT <category>|PATTERN <pattern>]",
    "    Names of the commands and subcommands this proxy serves.",
    "HELP",
    "    Print this help.",
};

}  // namespace

void append_commands(std::string& out, RespVersion version) {
  Writer writer(out, version);
  writer.array(served_count());
  for (const Command* command : top_level_commands()) {
    if (is_served(*command)) write_command(writer, *command);
  }
}

void append_command_count(std::string& out) {
  Writer(out, RespVersion::k2).integer(static_cast<int64_t>(served_count()));
}

void append_command_info(std::string& out, std::span<const std::string_view> names,
                         RespVersion version) {
  Writer writer(out, version);
  writer.array(names.size());
  for (const std::string_view name : names) {
    const Command* command = find_by_full_name(name);
    if (command == nullptr || !is_served(*command)) {
      writer.null();
    } else {
      write_command(writer, *command);
    }
  }
}

void append_command_list(std::string& out, std::span<const std::string_view> options) {
  Writer writer(out, RespVersion::k2);
  Filter filter;
  if (!read_filter(options, filter)) return writer.error("syntax error");
  std::vector<std::string_view> names;
  for (size_t index = 0; index < command_count(); ++index) {
    const Command& command = command_at(index);
    if (is_served(command) && filter.takes(command)) names.push_back(command.name);
  }
  writer.array(names.size());
  for (const std::string_view name : names) writer.bulk(name);
}

void append_command_keys(std::string& out, Arguments request) {
  Writer writer(out, RespVersion::k2);
  std::vector<KeyUse> keys;
  if (!find_requested_keys(writer, request, keys)) return;
  writer.array(keys.size());
  for (const KeyUse& key : keys) writer.bulk(request[key.position]);
}

void append_command_keys_and_flags(std::string& out, Arguments request, RespVersion version) {
  Writer writer(out, version);
  std::vector<KeyUse> keys;
  if (!find_requested_keys(writer, request, keys)) return;
  writer.array(keys.size());
  for (const KeyUse& key : keys) {
    writer.array(2);
    writer.bulk(request[key.position]);
    write_key_flags(writer, key.flags);
  }
}

void append_command_help(std::string& out) {
  Writer writer(out, RespVersion::k2);
  writer.array(std::size(kHelp));
  for (const std::string_view text : kHelp) writer.status(text);
}

}  // namespace pikaproxy
