#include "proxy/client/users.h"

#include <algorithm>

#include "common/log.h"

namespace pikaproxy {
namespace {

// Both are hashes of the same length.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return difference == 0;
}

UserConfig everybody() {
  UserConfig user;
  user.name = kDefaultUser;
  user.admin = true;
  return user;
}

}  // namespace

RedisUser::RedisUser(UserConfig wanted)
    : config(std::move(wanted)),
      is_open(config.enabled && config.passwords.empty() && config.name == kDefaultUser) {
  if (is_restricted(config)) rights.emplace(config);
}

std::vector<UserConfig> configured_users(const Config& config) {
  std::vector<UserConfig> users = config.users;
  const auto found = std::find_if(users.begin(), users.end(),
                                  [](const UserConfig& user) { return user.name == kDefaultUser; });
  const bool has_password = !config.auth.password.empty();
  if (found == users.end() && (has_password || !users.empty())) {
    users.push_back(everybody());
    users.back().enabled = has_password;
    if (has_password) users.back().passwords = {hash_password(config.auth.password)};
  } else if (found != users.end() && has_password) {
    found->passwords = {hash_password(config.auth.password)};
  }
  return users;
}

RedisUsers::RedisUsers(const Config& config, const std::vector<UserConfig>& stored) {
  const auto add = [this](const UserConfig& user) {
    return users_.emplace(user.name, std::make_shared<const RedisUser>(user)).second;
  };
  for (const UserConfig& user : configured_users(config)) add(user);
  for (const UserConfig& user : stored) {
    if (!add(user)) {
      log_warn("the configuration has a user of that name, so the one made by the API is not used",
               "user", user.name);
    }
  }
  add(everybody());
  default_user_ = find(kDefaultUser);
}

RedisUserPtr RedisUsers::find(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

RedisUserPtr RedisUsers::log_in(std::string_view name, std::string_view password) const {
  const std::string hash = hash_password(password);
  RedisUserPtr user = find(name);
  if (user == nullptr || !user->config.enabled) return nullptr;
  if (user->is_open) return user;
  bool is_right = false;
  for (const std::string& known : user->config.passwords) {
    is_right = equal_in_constant_time(hash, known) || is_right;
  }
  return is_right ? user : nullptr;
}

std::string describe_commands(const RedisUser& user) {
  std::string rules = user.config.commands;
  const auto written = parse_command_rules(user.config.commands, Scripts::kWithAll);
  if (!written) return "-@all";
  // What is taken away beyond the rules.
  for (size_t index = 0; index < command_count(); ++index) {
    const Command& command = command_at(index);
    const bool can_run = (!user.rights || user.rights->may_run(command)) &&
                         (!command.proxy_admin || user.config.admin);
    if (!written->contains(command) || can_run) continue;
    rules += " -";
    rules += command.name;
  }
  return rules;
}

}  // namespace pikaproxy
