#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/command_table.h"
#include "common/config.h"
#include "common/user_rules.h"
#include "proxy/pubsub/channel_kind.h"

namespace pikaproxy {

// What a user may do, ready to be asked; only for those from whom something is kept. Immutable, any
// thread.
class Rights {
 public:
  // `user` has passed check_user_rules().
  explicit Rights(const UserConfig& user);

  enum class Denied : uint8_t {
    kNothing,
    kCommand,
    kKey,
    kChannel,
    kBadKeys,  // The request does not say which arguments are its keys: `error` says why.
    kSort,     // Keys that SORT names by a pattern: `error` says which.
  };
  struct Verdict {
    Denied denied = Denied::kNothing;
    std::string_view error = {};
    uint32_t position = 0;  // kKey, kChannel: the argument.
  };
  // Whether the user may send that request, whose arity has been checked. `keys` is scratch memory.
  //   Source: ACLCheckAllPerm() of Redis 7.0, as redis-server answers.
  Verdict check(const Command& command, Arguments args, std::vector<KeyUse>& keys) const;

  bool may_run(const Command& command) const noexcept {
    // As in Redis: logging in must always be possible.
    return commands_.contains(command) || (command.flags & kFlagNoAuth) != 0;
  }
  bool may_use_key(std::string_view key, uint16_t key_spec_flags) const noexcept;
  // A pattern is allowed if it stands among the rules as it is.
  bool may_use_channel(ChannelKind kind, std::string_view name) const noexcept;

 private:
  Verdict check_keys(const Command& command, Arguments args, std::vector<KeyUse>& keys) const;
  Verdict check_channels(const Command& command, Arguments args) const noexcept;

  CommandSet commands_;
  bool all_keys_;
  bool all_channels_;
  std::vector<KeyPattern> keys_;
  std::vector<std::string> channels_;
};

// What the client is told; empty if it is allowed.
std::string denial(const Rights::Verdict& verdict, const Command& command);

}  // namespace pikaproxy
