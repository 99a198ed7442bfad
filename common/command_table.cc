#include "common/command_table.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "common/command_table_data.h"

namespace pikaproxy {
namespace {

using command_data::kCommands;
using command_data::kTopLevel;
using command_data::kTopLevelNames;

constexpr std::string_view kSyntaxError = "syntax error";
constexpr std::string_view kNotAnInteger = "value is not an integer or out of range";

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char byte) { return byte >= 'A' && byte <= 'Z' ? byte + 32 : byte; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y); });
}

// As strict as Redis reads integers: digits and at most one "-", no "+", blanks or leading zeros.
bool read_integer(std::string_view text, int64_t& value) noexcept {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  const bool is_zero = text == "0";
  if (digits.empty() || (digits.front() == '0' && !is_zero)) return false;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size();
}

// What commands say about a bad numkeys.
struct NumkeysErrors {
  std::string_view not_an_integer, too_small, too_large;
};

// Source: redis-server 7.0.15 (tests/integration/command_table_test.py asks it).
NumkeysErrors numkeys_errors(const Command& command) noexcept {
  constexpr std::string_view kTooMany = "Number of keys can't be greater than number of args";
  constexpr std::string_view kNegative = "Number of keys can't be negative";
  constexpr std::string_view kNotPositive = "numkeys should be greater than 0";
  struct InputKeyError {
    std::string_view name, text;
  };
  constexpr InputKeyError kInputKeyErrors[] = {
      {"zdiff", "at least 1 input key is needed for 'zdiff' command"},
      {"zdiffstore", "at least 1 input key is needed for 'zdiffstore' command"},
      {"zinter", "at least 1 input key is needed for 'zinter' command"},
      {"zintercard", "at least 1 input key is needed for 'zintercard' command"},
      {"zinterstore", "at least 1 input key is needed for 'zinterstore' command"},
      {"zunion", "at least 1 input key is needed for 'zunion' command"},
      {"zunionstore", "at least 1 input key is needed for 'zunionstore' command"},
  };
  if (command.action == CommandAction::kEval) return {kNotAnInteger, kNegative, kTooMany};
  if (command.name.starts_with("fcall")) {
    return {"Bad number of keys provided", kNegative, kTooMany};
  }
  if (command.name == "sintercard") return {kNotPositive, kNotPositive, kTooMany};
  for (const auto& [name, text] : kInputKeyErrors) {
    if (command.name == name) return {kNotAnInteger, text, kSyntaxError};
  }
  return {kNotPositive, kNotPositive, kSyntaxError};  // LMPOP, ZMPOP and their blocking forms.
}

// The find_*() below call emit(position, spec) for each key, and return an error's text, or
// nothing.

// Emits the keys that start at argument `first`, which is below args.size().
template <typename Emit>
std::string_view find_from(const Command& command, const KeySpec& spec, Arguments args,
                           size_t first, Emit& emit) {
  const size_t count = args.size();
  if (spec.find == KeySpec::Find::kKeynum) {
    const size_t numkeys_at = first + static_cast<size_t>(spec.keynum_index);
    if (numkeys_at >= count) return kSyntaxError;
    int64_t numkeys = 0;
    if (!read_integer(args[numkeys_at], numkeys)) return numkeys_errors(command).not_an_integer;
    const int64_t at_least = (command.flags & kFlagNoMandatoryKeys) != 0 ? 0 : 1;
    if (numkeys < at_least) return numkeys_errors(command).too_small;
    first += static_cast<size_t>(spec.first_key);
    const size_t left = count - std::min(first, count);
    if (static_cast<uint64_t>(numkeys) > left) return numkeys_errors(command).too_large;
    for (size_t at = first; at < first + static_cast<size_t>(numkeys); ++at) emit(at, spec);
    return {};
  }
  // One past the last key.
  size_t end;
  if (spec.last_key >= 0) {
    end = first + static_cast<size_t>(spec.last_key) + 1;
    if (end > count) return kSyntaxError;
  } else if (spec.limit > 1) {
    end = first + (count - first) / static_cast<size_t>(spec.limit);
  } else {
    const size_t not_keys = static_cast<size_t>(-spec.last_key - 1);
    end = count - std::min(not_keys, count);
  }
  for (size_t at = first; at < end; at += static_cast<size_t>(spec.key_step)) emit(at, spec);
  return {};
}

template <typename Emit>
std::string_view find_by_specs(const Command& command, Arguments args, Emit& emit) {
  for (const KeySpec& spec : command.key_specs) {
    // What kUnknown stands for (SORT ... BY GET) are patterns, no arguments that are keys; commands
    // whose specs look for keywords have rules of their own.
    if (spec.begin != KeySpec::Begin::kIndex || (spec.flags & kKeyNotKey) != 0) continue;
    const size_t first = static_cast<size_t>(spec.index);
    if (first >= args.size()) {
      // PFMERGE with a destination alone is complete.
      if (spec.last_key < 0 && &spec != command.key_specs.data()) continue;
      return kSyntaxError;
    }
    if (const auto error = find_from(command, spec, args, first, emit); !error.empty()) {
      return error;
    }
  }
  return {};
}

// Reads the options of XREAD and XREADGROUP as these commands do: everything before STREAMS.
struct StreamOptions {
  size_t streams = 0;  // Position of the first stream's name; 0 = there is none.
  bool block = false;
  bool unknown = false;  // Something no option: Redis answers with a syntax error.
};

StreamOptions read_stream_options(Arguments args) noexcept {
  StreamOptions options;
  for (size_t at = 1; at < args.size(); ++at) {
    const std::string_view arg = args[at];
    if (equal_ignoring_case(arg, "streams")) {
      if (at + 1 < args.size()) options.streams = at + 1;
      return options;
    }
    if (equal_ignoring_case(arg, "block")) {
      options.block = true;
      at += 1;
    } else if (equal_ignoring_case(arg, "count")) {
      at += 1;
    } else if (equal_ignoring_case(arg, "group")) {
      at += 2;
    } else if (!equal_ignoring_case(arg, "noack")) {
      options.unknown = true;
    }
  }
  return options;
}

template <typename Emit>
std::string_view find_streams(const Command& command, Arguments args, Emit& emit) {
  const StreamOptions options = read_stream_options(args);
  if (options.unknown || options.streams == 0) return kSyntaxError;
  const size_t rest = args.size() - options.streams;
  if (rest % 2 != 0) {
    return "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
  }
  for (size_t k = 0; k < rest / 2; ++k) emit(options.streams + k, command.key_specs[0]);
  return {};
}

template <typename Emit>
std::string_view find_sort(const Command& command, Arguments args, Emit& emit) {
  if (args.size() < 2) return kSyntaxError;
  const KeySpec& source = command.key_specs.front();
  const KeySpec& destination = command.key_specs.back();
  emit(1, source);
  for (size_t at = 2; at < args.size(); ++at) {
    const std::string_view arg = args[at];
    if (equal_ignoring_case(arg, "limit")) {
      at += 2;
    } else if (equal_ignoring_case(arg, "by") || equal_ignoring_case(arg, "get")) {
      at += 1;
    } else if (equal_ignoring_case(arg, "store") && at + 1 < args.size()) {
      emit(++at, destination);
    }
  }
  return {};
}

template <typename Emit>
std::string_view find_geo_store(const Command& command, Arguments args, Emit& emit) {
  if (args.size() < 2) return kSyntaxError;
  emit(1, command.key_specs[0]);
  const KeySpec& destination = command.key_specs[1];
  for (size_t at = static_cast<size_t>(destination.index); at < args.size(); ++at) {
    const std::string_view arg = args[at];
    if (equal_ignoring_case(arg, "count")) {
      at += 1;
    } else if ((equal_ignoring_case(arg, "store") || equal_ignoring_case(arg, "storedist")) &&
               at + 1 < args.size()) {
      emit(++at, destination);
    }
  }
  return {};
}

template <typename Emit>
std::string_view find_migrate(const Command& command, Arguments args, Emit& emit) {
  if (args.size() < 6) return kSyntaxError;
  for (size_t at = 6; at < args.size(); ++at) {
    const std::string_view arg = args[at];
    if (equal_ignoring_case(arg, "auth")) {
      at += 1;
    } else if (equal_ignoring_case(arg, "auth2")) {
      at += 2;
    } else if (equal_ignoring_case(arg, "keys")) {
      if (!args[3].empty()) return kSyntaxError;
      for (size_t key = at + 1; key < args.size(); ++key) emit(key, command.key_specs[0]);
      return {};
    }
  }
  emit(3, command.key_specs[0]);
  return {};
}

template <typename Emit>
std::string_view find_by_rule(const Command& command, Arguments args, Emit emit) {
  switch (command.key_rule) {
    case KeyRule::kSpecs:
      return find_by_specs(command, args, emit);
    case KeyRule::kStreams:
      return find_streams(command, args, emit);
    case KeyRule::kSort:
      return find_sort(command, args, emit);
    case KeyRule::kGeoStore:
      return find_geo_store(command, args, emit);
    case KeyRule::kMigrate:
      return find_migrate(command, args, emit);
  }
  return kSyntaxError;
}

// The flags of a spec with kKeyVariableFlags: SET's and BITFIELD's only key.
uint16_t actual_flags(const Command& command, Arguments args, uint16_t flags) noexcept {
  if ((flags & kKeyVariableFlags) == 0) return flags;
  if (command.name == "set") {
    // SET writes, and reads too with the option GET.
    for (size_t at = 3; at < args.size(); ++at) {
      if (equal_ignoring_case(args[at], "get")) return kKeyRw | kKeyAccess | kKeyUpdate;
    }
    return kKeyOw | kKeyUpdate;
  }
  // BITFIELD writes unless all its operations are complete GETs.
  for (size_t at = 2; at < args.size(); ++at) {
    const size_t left = args.size() - at - 1;
    if (equal_ignoring_case(args[at], "get") && left >= 2) {
      at += 2;
    } else if (equal_ignoring_case(args[at], "overflow") && left >= 1) {
      at += 1;
    } else {
      return kKeyRw | kKeyAccess | kKeyUpdate;
    }
  }
  return kKeyRo | kKeyAccess;
}

}  // namespace

std::string_view name_of(CommandClass command_class) noexcept {
  switch (command_class) {
    case CommandClass::kRead:
      return "read";
    case CommandClass::kWrite:
      return "write";
    case CommandClass::kMulti:
      return "multi";
    case CommandClass::kScript:
      return "script";
    case CommandClass::kAdmin:
      return "admin";
  }
  return "unknown";
}

std::span<const std::string_view> key_spec_flag_names() noexcept {
  static constexpr std::string_view kNames[] = {
      "RO",     "RW",     "OW",      "RM",         "access",        "update",
      "insert", "delete", "not_key", "incomplete", "variable_flags"};
  return kNames;
}

size_t command_count() noexcept {
  return command_data::kCommandCount;
}

const Command& command_at(size_t index) noexcept {
  return kCommands.rows[index];
}

std::span<const Command* const> top_level_commands() noexcept {
  return kTopLevel;
}

const Command* find_command(std::string_view name) noexcept {
  const uint16_t index = kTopLevelNames.find(name);
  return index == kTopLevelNames.kNone ? nullptr : &kCommands.rows[index];
}

const Command* find_subcommand(const Command& container, std::string_view name) noexcept {
  const size_t prefix = container.name.size() + 1;  // "client|"
  for (const Command& subcommand : container.subcommands) {
    if (equal_ignoring_case(subcommand.name.substr(prefix), name)) return &subcommand;
  }
  return nullptr;
}

bool arity_fits(const Command& command, size_t count) noexcept {
  return command.arity >= 0 ? count == static_cast<size_t>(command.arity)
                            : count >= static_cast<size_t>(-command.arity);
}

bool find_keys(const Command& command, Arguments args, std::vector<uint32_t>& positions,
               std::string_view& error) {
  positions.clear();
  error = find_by_rule(command, args, [&positions](size_t at, const KeySpec&) {
    positions.push_back(static_cast<uint32_t>(at));
  });
  if (!error.empty()) {
    positions.clear();
    return false;
  }
  // Keys are emitted in ascending order but where specs cross: no command's do so far.
  const bool ascending = std::adjacent_find(positions.begin(), positions.end(),
                                            std::greater_equal<>()) == positions.end();
  if (!ascending) {
    std::sort(positions.begin(), positions.end());
    positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  }
  return true;
}

bool find_keys_and_flags(const Command& command, Arguments args, std::vector<KeyUse>& keys,
                         std::string_view& error) {
  keys.clear();
  error = find_by_rule(command, args, [&](size_t at, const KeySpec& spec) {
    keys.push_back({static_cast<uint32_t>(at), actual_flags(command, args, spec.flags)});
  });
  if (!error.empty()) {
    keys.clear();
    return false;
  }
  std::stable_sort(keys.begin(), keys.end(),
                   [](const KeyUse& a, const KeyUse& b) { return a.position < b.position; });
  return true;
}

bool has_block_option(const Command& command, Arguments args) noexcept {
  return command.key_rule == KeyRule::kStreams && read_stream_options(args).block;
}

}  // namespace pikaproxy
