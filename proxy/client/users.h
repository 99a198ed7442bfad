#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "proxy/client/rights.h"

namespace pikaproxy {

inline constexpr std::string_view kDefaultUser = "default";

// Somebody who may use the Redis port. Immutable, any thread.
struct RedisUser {
  explicit RedisUser(UserConfig config);

  UserConfig config;
  // Whoever connects is this user without having said AUTH; any password will do. Of the default
  // user only.
  bool is_open;
  // What this user is allowed beside administration; nothing: everything.
  std::optional<Rights> rights;

  const std::string& name() const noexcept { return config.name; }
  // Whether connections of `before` need to be looked at when that one becomes this one.
  bool is_same(const RedisUser& before) const noexcept {
    return config == before.config && is_open == before.is_open;
  }
};
using RedisUserPtr = std::shared_ptr<const RedisUser>;

// All users of the Redis port: an immutable snapshot, shared by all workers.
class RedisUsers {
 public:
  // Those of the configuration, and those that the dashboard's store has, as long as they are not
  // called like one of the former. Somebody called "default" is always there:
  //   - [[user]] name = "default", or [auth] with a password: as it says
  //   - else, with any [[user]]: nobody can be the default user
  //   - else the one of the store, if there is one
  //   - else whoever connects, who may do everything.
  RedisUsers(const Config& config, const std::vector<UserConfig>& stored);

  // Null if there is none.
  RedisUserPtr find(std::string_view name) const;
  // Null if name and password do not go together, or nobody can log in as this user. What it
  // compares takes the same time wherever passwords differ.
  RedisUserPtr log_in(std::string_view name, std::string_view password) const;
  const RedisUserPtr& default_user() const noexcept { return default_user_; }
  // By name.
  const std::map<std::string, RedisUserPtr, std::less<>>& all() const noexcept { return users_; }

 private:
  std::map<std::string, RedisUserPtr, std::less<>> users_;
  RedisUserPtr default_user_;
};

// The users that the configuration itself has, the default one included if it says something of
// that one: those that the dashboard cannot change.
std::vector<UserConfig> configured_users(const Config& config);

// Which commands the user can run, as rules of ACL SETUSER.
std::string describe_commands(const RedisUser& user);

}  // namespace pikaproxy
