#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// Letters, digits and ". _ - @", 1 to 64 of them, and not "system", which is the audit's name for
// the controller.
bool is_user_name(std::string_view name) noexcept;

struct User {
  std::string name;
  Role role = Role::kNone;
  std::string password_hash;
  bool must_change = false;  // The password was made up for them.
  int64_t created_at_ms = 0;
  std::optional<int64_t> last_login_at_ms = {};
};

// The dashboard's users, in the store. At least one of them is an admin, once there is any. Any
// thread; throws StoreError.
class Users {
 public:
  explicit Users(Database& database) : database_(database) {}

  std::vector<User> list();
  std::optional<User> find(const std::string& name);

  enum class Outcome { kDone, kNotFound, kExists, kLastAdmin, kTooMany };
  static constexpr int64_t kUsersMax = 1000;
  Outcome create(const User& user);
  Outcome set_role(const std::string& name, Role role);
  Outcome set_password(const std::string& name, const std::string& hash, bool must_change);
  Outcome remove(const std::string& name);
  void note_login(const std::string& name, int64_t at_ms);

 private:
  Database& database_;
};

}  // namespace pikaproxy
