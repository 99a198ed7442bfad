#include "common/user_rules.h"

#include <algorithm>

#include <openssl/sha.h>

#include "common/ascii.h"
#include "common/text.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kCategories[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting"};

Error unknown_category(std::string_view rule, std::string_view name) {
  std::string suggestion = did_you_mean(name, kCategories);
  if (suggestion.empty()) suggestion = " There are: all, " + join(kCategories);
  return Error{"has the rule " + quote(rule) + ", which names no category of commands." +
               suggestion};
}

Error unknown_command_name(std::string_view rule) {
  return Error{"has the rule " + quote(rule) +
               ", which names no command: COMMAND LIST shows all, subcommands are written "
               "\"config|get\", categories \"@read\""};
}

// "get", "config", "config|get"; null if there is none.
const Command* find_named(std::string_view name) {
  const size_t bar = name.find('|');
  const Command* command = find_command(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return find_subcommand(*command, name.substr(bar + 1));
}

void set_with_subcommands(CommandSet& set, const Command& command, bool is_in) {
  set.set(command, is_in);
  for (const Command& subcommand : command.subcommands) set.set(subcommand, is_in);
}

}  // namespace

std::string hash_password(std::string_view password) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(password.data()), password.size(), digest);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::span<const std::string_view> command_categories() noexcept {
  return kCategories;
}

bool is_in_category(const Command& command, std::string_view category) noexcept {
  // "@read @string @fast"
  std::string_view left = command.acl_categories;
  while (!left.empty()) {
    const std::string_view word = left.substr(0, left.find(' '));
    if (word.substr(1) == category) return true;
    left.remove_prefix(std::min(left.size(), word.size() + 1));
  }
  return false;
}

Result<CommandSet> parse_command_rules(std::string_view rules, Scripts scripts) {
  CommandSet set;
  while (true) {
    rules.remove_prefix(std::min(rules.size(), rules.find_first_not_of(' ')));
    if (rules.empty()) return set;
    const std::string_view rule = rules.substr(0, rules.find(' '));
    rules.remove_prefix(rule.size());
    std::string name = to_lower(rule);
    if (name == "allcommands") name = "+@all";
    if (name == "nocommands") name = "-@all";
    const bool is_in = name.front() == '+';
    if (!is_in && name.front() != '-') {
      return Error{"has the rule " + quote(rule) + ", which begins with neither \"+\" nor \"-\""};
    }
    name.erase(0, 1);
    if (!name.starts_with('@')) {
      const Command* command = find_named(name);
      if (command == nullptr) return unknown_command_name(rule);
      set_with_subcommands(set, *command, is_in);
      continue;
    }
    name.erase(0, 1);
    const bool is_all = name == "all";
    if (!is_all &&
        std::find(std::begin(kCategories), std::end(kCategories), name) == std::end(kCategories)) {
      return unknown_category(rule, name);
    }
    for (size_t index = 0; index < command_count(); ++index) {
      const Command& command = command_at(index);
      if (!is_all && !is_in_category(command, name)) continue;
      const bool is_left_out = is_in && scripts == Scripts::kOnlyNamed && name != "scripting" &&
                               is_in_category(command, "scripting");
      if (!is_left_out) set.set(command, is_in);
    }
  }
}

Result<KeyPattern> parse_key_pattern(std::string_view text) {
  KeyPattern pattern;
  const std::string whole(text);
  if (text.starts_with('%')) {
    const size_t tilde = text.find('~');
    const std::string flags = to_upper(text.substr(1, tilde - 1));
    if (tilde == std::string_view::npos ||
        (flags != "R" && flags != "W" && flags != "RW" && flags != "WR")) {
      return Error{"has the pattern " + quote(whole) +
                   ", which is none: write \"app:*\", or \"%R~app:*\" for reading alone, or "
                   "\"%W~app:*\" for writing alone"};
    }
    pattern.may_read = flags.find('R') != std::string::npos;
    pattern.may_write = flags.find('W') != std::string::npos;
    text.remove_prefix(tilde + 1);
  } else if (text.starts_with('~')) {
    text.remove_prefix(1);
  }
  if (text.empty()) return Error{"has the pattern " + quote(whole) + ", which matches no key"};
  pattern.glob = text;
  return pattern;
}

Result<std::string> parse_channel_pattern(std::string_view text) {
  const std::string whole(text);
  if (text.starts_with('&')) text.remove_prefix(1);
  if (text.empty()) return Error{"has the pattern " + quote(whole) + ", which matches no channel"};
  return std::string(text);
}

bool is_redis_user_name(std::string_view name) noexcept {
  constexpr size_t kNameMax = 64;
  if (name.empty() || name.size() > kNameMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte != 0x7F;
  });
}

bool covers_all_keys(const UserConfig& user) noexcept {
  return std::any_of(user.keys.begin(), user.keys.end(), [](const std::string& text) {
    return text == "*" || text == "~*" || text == "%RW~*";
  });
}

bool covers_all_channels(const UserConfig& user) noexcept {
  return std::any_of(user.channels.begin(), user.channels.end(),
                     [](const std::string& text) { return text == "*" || text == "&*"; });
}

bool is_restricted(const UserConfig& user) {
  if (user.read_only || !covers_all_keys(user) || !covers_all_channels(user)) return true;
  const auto commands = parse_command_rules(user.commands, Scripts::kWithAll);
  return !commands || *commands != *parse_command_rules("+@all", Scripts::kWithAll);
}

Result<CommandSet> commands_of(const UserConfig& user) {
  const Scripts scripts = is_restricted(user) ? Scripts::kOnlyNamed : Scripts::kWithAll;
  Result<CommandSet> commands = parse_command_rules(user.commands, scripts);
  if (!commands || !user.read_only) return commands;
  for (size_t index = 0; index < command_count(); ++index) {
    const Command& command = command_at(index);
    // Servers see to it that EVAL_RO and FCALL_RO write nothing.
    const bool may_write = command.is_write() || (is_in_category(command, "scripting") &&
                                                  (command.flags & kFlagMayReplicate) != 0);
    if (may_write) commands->set(command, false);
  }
  return commands;
}

std::vector<std::string> check_user_rules(const UserConfig& user) {
  std::vector<std::string> wrong;
  if (user.commands.size() > kUserRulesBytesMax) {
    wrong.push_back("commands is longer than " + std::to_string(kUserRulesBytesMax) + " bytes");
  } else if (const auto commands = parse_command_rules(user.commands, Scripts::kWithAll);
             !commands) {
    wrong.push_back("commands " + commands.error());
  }
  const auto check_patterns = [&wrong](std::string_view name,
                                       const std::vector<std::string>& patterns, auto parse) {
    if (patterns.size() > kUserPatternsMax) {
      wrong.push_back(std::string(name) + " has more than " + std::to_string(kUserPatternsMax) +
                      " patterns");
      return;
    }
    for (const std::string& pattern : patterns) {
      if (pattern.size() > kUserRulesBytesMax) {
        wrong.push_back(std::string(name) + " has a pattern that is longer than " +
                        std::to_string(kUserRulesBytesMax) + " bytes");
      } else if (const auto parsed = parse(pattern); !parsed) {
        wrong.push_back(std::string(name) + " " + parsed.error());
      }
    }
  };
  check_patterns("keys", user.keys, parse_key_pattern);
  check_patterns("channels", user.channels, parse_channel_pattern);
  return wrong;
}

}  // namespace pikaproxy
