#pragma once

#include <functional>
#include <vector>

#include "common/config.h"

namespace pikaproxy {

// What the dashboard, which keeps users of the Redis port in its store, may ask of the proxy that
// serves them. Any thread.
class ProxyUsers {
 public:
  virtual ~ProxyUsers() = default;

  // Those that the configuration has, now: only a reload changes them.
  virtual std::vector<UserConfig> configured_users() const = 0;

  // Puts all users of the store in force, in place of those given before. Connections of a user
  // who is gone are closed; the others may do from then on what theirs may. `installed` runs when
  // all workers have them, on any thread, or never if the proxy ends.
  //   Shape: valid (check_user_rules()), names differ.
  virtual void set_stored_users(std::vector<UserConfig> users, std::function<void()> installed) = 0;
};

}  // namespace pikaproxy
