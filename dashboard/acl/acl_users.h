#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/proxy_users.h"
#include "dashboard/api/api_route.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// A user of the Redis port that was made by the API.
struct AclUser {
  UserConfig config;
  int64_t created_at_ms = 0;
  int64_t updated_at_ms = 0;

  bool operator==(const AclUser&) const = default;
};

// Users of the Redis port that are kept in the store, beside those of the configuration. Each
// change is written first and then in force in the proxy, before the call returns. Passwords are
// kept as the SHA-256 of each, as Redis does. Any thread; throws StoreError.
class AclUsers {
 public:
  static constexpr size_t kUsersMax = 1000;

  // Gives the proxy what the store has. `database` and `proxy` outlive it.
  AclUsers(Database& database, ProxyUsers& proxy);

  using All = std::map<std::string, AclUser, std::less<>>;
  All all() const;
  std::vector<UserConfig> configured() const { return proxy_.configured_users(); }

  // Has `decide` change one user: what it gets is the present one, nothing where there is none, and
  // what it leaves there is what will be. A problem that it returns is passed on, and then nothing
  // has changed. Nothing is written for a dry run.
  using Decide =
      std::function<std::optional<ApiProblem>(const All& all, std::optional<AclUser>& user)>;
  std::optional<ApiProblem> change(const std::string& name, bool dry_run, const Decide& decide);

 private:
  void write(const std::string& name, const std::optional<AclUser>& user);
  // Returns when the proxy has them; or after some seconds, if it is that busy.
  void push();

  Database& database_;
  ProxyUsers& proxy_;
  std::mutex write_mutex_;  // Held over changes, so that store, memory and proxy follow in order.
  mutable std::mutex mutex_;
  All users_;  // Guarded by mutex_.
};

// /acl/users. `users` outlives the server.
std::vector<ApiRoute> acl_user_routes(AclUsers& users);

}  // namespace pikaproxy
