#include "dashboard/auth/users.h"

#include <algorithm>

namespace pikaproxy {
namespace {

constexpr char kColumns[] = "name, role, password_hash, must_change, created_at, last_login_at";

User read_user(const Statement& row) {
  User user{row.text(0), parse_role(row.text(1)), row.text(2), row.integer(3) != 0, row.integer(4)};
  if (!row.is_null(5)) user.last_login_at_ms = row.integer(5);
  return user;
}

int64_t count(Database::Transaction& transaction, std::string_view sql) {
  Statement statement = transaction.prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

Role role_of(Database::Transaction& transaction, const std::string& name) {
  Statement statement = transaction.prepare("SELECT role FROM users WHERE name = ?");
  statement.bind(name);
  return statement.step() ? parse_role(statement.text(0)) : Role::kNone;
}

bool is_last_admin(Database::Transaction& transaction, const std::string& name) {
  return role_of(transaction, name) == Role::kAdmin &&
         count(transaction, "SELECT count(*) FROM users WHERE role = 'admin'") == 1;
}

}  // namespace

bool is_user_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && name != "system" &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '@';
         });
}

std::vector<User> Users::list() {
  std::vector<User> users;
  database_.transact([&](Database::Transaction& transaction) {
    users.clear();
    Statement select =
        transaction.prepare(std::string("SELECT ") + kColumns + " FROM users ORDER BY name");
    while (select.step()) users.push_back(read_user(select));
  });
  return users;
}

std::optional<User> Users::find(const std::string& name) {
  std::optional<User> user;
  database_.transact([&](Database::Transaction& transaction) {
    Statement select =
        transaction.prepare(std::string("SELECT ") + kColumns + " FROM users WHERE name = ?");
    select.bind(name);
    if (select.step()) user = read_user(select);
  });
  return user;
}

Users::Outcome Users::create(const User& user) {
  Outcome outcome = Outcome::kDone;
  database_.transact([&](Database::Transaction& transaction) {
    if (role_of(transaction, user.name) != Role::kNone) {
      outcome = Outcome::kExists;
      return;
    }
    if (count(transaction, "SELECT count(*) FROM users") >= kUsersMax) {
      outcome = Outcome::kTooMany;
      return;
    }
    transaction
        .prepare(
            "INSERT INTO users (name, role, password_hash, must_change, created_at) "
            "VALUES (?, ?, ?, ?, ?)")
        .bind(user.name)
        .bind(role_name(user.role))
        .bind(user.password_hash)
        .bind(user.must_change ? 1 : 0)
        .bind(user.created_at_ms)
        .run();
  });
  return outcome;
}

Users::Outcome Users::set_role(const std::string& name, Role role) {
  Outcome outcome = Outcome::kDone;
  database_.transact([&](Database::Transaction& transaction) {
    if (role != Role::kAdmin && is_last_admin(transaction, name)) {
      outcome = Outcome::kLastAdmin;
      return;
    }
    transaction.prepare("UPDATE users SET role = ? WHERE name = ?")
        .bind(role_name(role))
        .bind(name)
        .run();
    if (transaction.changes() == 0) outcome = Outcome::kNotFound;
  });
  return outcome;
}

Users::Outcome Users::set_password(const std::string& name, const std::string& hash,
                                   bool must_change) {
  Outcome outcome = Outcome::kDone;
  database_.transact([&](Database::Transaction& transaction) {
    transaction.prepare("UPDATE users SET password_hash = ?, must_change = ? WHERE name = ?")
        .bind(hash)
        .bind(must_change ? 1 : 0)
        .bind(name)
        .run();
    if (transaction.changes() == 0) outcome = Outcome::kNotFound;
  });
  return outcome;
}

Users::Outcome Users::remove(const std::string& name) {
  Outcome outcome = Outcome::kDone;
  database_.transact([&](Database::Transaction& transaction) {
    if (is_last_admin(transaction, name)) {
      outcome = Outcome::kLastAdmin;
      return;
    }
    transaction.prepare("DELETE FROM users WHERE name = ?").bind(name).run();
    if (transaction.changes() == 0) outcome = Outcome::kNotFound;
  });
  return outcome;
}

void Users::note_login(const std::string& name, int64_t at_ms) {
  database_.transact([&](Database::Transaction& transaction) {
    transaction.prepare("UPDATE users SET last_login_at = ? WHERE name = ?")
        .bind(at_ms)
        .bind(name)
        .run();
  });
}

}  // namespace pikaproxy
