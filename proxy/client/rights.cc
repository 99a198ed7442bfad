#include "proxy/client/rights.h"

#include <algorithm>

#include "common/ascii.h"
#include "common/glob.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kSortBy = "BY option of SORT denied due to insufficient ACL permissions";
constexpr std::string_view kSortGet =
    "GET option of SORT denied due to insufficient ACL permissions";

// What of SORT reads keys that it does not name; empty if nothing does.
std::string_view foreign_keys_of_sort(Arguments args) noexcept {
  for (size_t at = 2; at < args.size(); ++at) {
    if (equals_ignoring_case(args[at], "limit")) {
      at += 2;
    } else if (equals_ignoring_case(args[at], "store")) {
      at += 1;
    } else if (equals_ignoring_case(args[at], "by") && at + 1 < args.size()) {
      // Without a star it is no pattern but says "do not sort".
      if (args[++at].find('*') != std::string_view::npos) return kSortBy;
    } else if (equals_ignoring_case(args[at], "get") && at + 1 < args.size()) {
      if (args[++at] != "#") return kSortGet;
    }
  }
  return {};
}

}  // namespace

Rights::Rights(const UserConfig& user)
    : all_keys_(covers_all_keys(user)), all_channels_(covers_all_channels(user)) {
  // Rules that cannot be read allow nothing.
  if (auto commands = commands_of(user)) commands_ = std::move(*commands);
  for (const std::string& text : user.keys) {
    if (auto pattern = parse_key_pattern(text)) keys_.push_back(std::move(*pattern));
  }
  for (const std::string& text : user.channels) {
    if (auto pattern = parse_channel_pattern(text)) channels_.push_back(std::move(*pattern));
  }
}

bool Rights::may_use_key(std::string_view key, uint16_t flags) const noexcept {
  if (all_keys_) return true;
  const bool reads = (flags & kKeyAccess) != 0;
  const bool writes = (flags & (kKeyInsert | kKeyDelete | kKeyUpdate)) != 0;
  return std::any_of(keys_.begin(), keys_.end(), [&](const KeyPattern& pattern) {
    return (pattern.may_read || !reads) && (pattern.may_write || !writes) &&
           glob_matches(pattern.glob, key);
  });
}

bool Rights::may_use_channel(ChannelKind kind, std::string_view name) const noexcept {
  if (all_channels_) return true;
  return std::any_of(channels_.begin(), channels_.end(), [&](const std::string& pattern) {
    return kind == ChannelKind::kPattern ? pattern == name : glob_matches(pattern, name);
  });
}

Rights::Verdict Rights::check(const Command& command, Arguments args,
                              std::vector<KeyUse>& keys) const {
  if (!may_run(command)) return {Denied::kCommand};
  if (!all_keys_) {
    if (const Verdict verdict = check_keys(command, args, keys);
        verdict.denied != Denied::kNothing) {
      return verdict;
    }
  }
  return all_channels_ ? Verdict{} : check_channels(command, args);
}

Rights::Verdict Rights::check_keys(const Command& command, Arguments args,
                                   std::vector<KeyUse>& keys) const {
  if (command.key_specs.empty()) return {};
  std::string_view error;
  if (!find_keys_and_flags(command, args, keys, error)) return {Denied::kBadKeys, error};
  for (const KeyUse& key : keys) {
    if (!may_use_key(args[key.position], key.flags)) return {Denied::kKey, {}, key.position};
  }
  if (command.name.starts_with("sort")) {
    if (const auto denied = foreign_keys_of_sort(args); !denied.empty()) {
      return {Denied::kSort, denied};
    }
  }
  return {};
}

Rights::Verdict Rights::check_channels(const Command& command, Arguments args) const noexcept {
  const bool subscribes = command.action == CommandAction::kSubscribe;
  if (!subscribes && command.action != CommandAction::kPublish) return {};
  const ChannelKind kind =
      command.name == "psubscribe" ? ChannelKind::kPattern : ChannelKind::kChannel;
  const size_t end = subscribes ? args.size() : 2;
  for (size_t at = 1; at < end; ++at) {
    if (!may_use_channel(kind, args[at])) {
      return {Denied::kChannel, {}, static_cast<uint32_t>(at)};
    }
  }
  return {};
}

}  // namespace pikaproxy
