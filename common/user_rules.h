#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/command_table.h"
#include "common/config.h"
#include "common/result.h"

namespace pikaproxy {

// What a user of the Redis port may do, as operators write it: the rules of ACL SETUSER.
//   Source: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/

// How passwords are kept: SHA-256 in 64 hexadecimal digits, as Redis has them in its ACL files.
std::string hash_password(std::string_view password);

// "keyspace", "read", ... "scripting": Redis' categories of commands, in its order.
std::span<const std::string_view> command_categories() noexcept;
bool is_in_category(const Command& command, std::string_view category) noexcept;

// Some of the commands, subcommands counted by themselves.
class CommandSet {
 public:
  CommandSet() : words_((command_count() + 63) / 64) {}

  bool contains(const Command& command) const noexcept {
    return (words_[command.index / 64] >> command.index % 64 & 1) != 0;
  }
  void set(const Command& command, bool is_in) noexcept {
    const uint64_t bit = uint64_t{1} << command.index % 64;
    uint64_t& word = words_[command.index / 64];
    word = is_in ? word | bit : word & ~bit;
  }

  bool operator==(const CommandSet&) const = default;

 private:
  std::vector<uint64_t> words_;
};

// Whether scripts come with "+@all" and the like, or only where they are named: "+@scripting",
// "+eval". A script does as it likes at the server, so it is not for who is restricted otherwise.
enum class Scripts : bool { kOnlyNamed, kWithAll };

// Rules with blanks between them, each on top of those before, beginning with nothing: "+get",
// "+config|get", "-keys", "+@read", "-@dangerous", "+@all" or "allcommands", "-@all" or
// "nocommands".
//   Errors: an unknown command or category, a rule without its sign. A sentence's end: "has ...".
Result<CommandSet> parse_command_rules(std::string_view rules, Scripts scripts);

// Which keys, and what for.
struct KeyPattern {
  std::string glob;
  bool may_read = true;
  bool may_write = true;
};

// "app:*" or "~app:*": read and write; "%R~app:*", "%W~app:*", "%RW~app:*".
//   Errors: no pattern, another flag. A sentence's end, as above.
Result<KeyPattern> parse_key_pattern(std::string_view text);
// "news:*" or "&news:*".
Result<std::string> parse_channel_pattern(std::string_view text);

// One in use and its successor.
inline constexpr size_t kUserPasswordsMax = 2;
inline constexpr size_t kUserPatternsMax = 256;
inline constexpr size_t kUserRulesBytesMax = 4096;

// 1 to 64 bytes without spaces or control characters.
bool is_redis_user_name(std::string_view name) noexcept;

// Whether something is kept from this user beside administration.
bool is_restricted(const UserConfig& user);
// Whether a pattern covers every key, or every channel.
bool covers_all_keys(const UserConfig& user) noexcept;
bool covers_all_channels(const UserConfig& user) noexcept;

// What the user's rules allow; read_only and Scripts applied.
Result<CommandSet> commands_of(const UserConfig& user);

// What is wrong with the rules of one: sentences that begin with the option's name.
std::vector<std::string> check_user_rules(const UserConfig& user);

}  // namespace pikaproxy
