#include "dashboard/acl/acl_users.h"

#include <chrono>
#include <future>
#include <memory>

#include "common/log.h"
#include "common/option_table.h"
#include "common/user_rules.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kPushTimeout(3);

nlohmann::json to_document(const UserConfig& user) {
  nlohmann::json document = {{"passwords", user.passwords}, {"admin", user.admin},
                             {"enabled", user.enabled},     {"commands", user.commands},
                             {"keys", user.keys},           {"channels", user.channels},
                             {"read_only", user.read_only}};
  if (user.reads.read_from) {
    document["read_from"] = read_from_names()[static_cast<size_t>(*user.reads.read_from)];
  }
  if (user.reads.replica_max_lag) {
    document["replica_max_lag_ms"] = user.reads.replica_max_lag->count();
  }
  return document;
}

UserConfig from_document(const std::string& name, const nlohmann::json& document) {
  UserConfig user;
  user.name = name;
  user.passwords = document.at("passwords").get<std::vector<std::string>>();
  user.admin = document.at("admin").get<bool>();
  user.enabled = document.at("enabled").get<bool>();
  user.commands = document.at("commands").get<std::string>();
  user.keys = document.at("keys").get<std::vector<std::string>>();
  user.channels = document.at("channels").get<std::vector<std::string>>();
  user.read_only = document.at("read_only").get<bool>();
  if (document.contains("read_from")) {
    const auto names = read_from_names();
    for (size_t i = 0; i < names.size(); ++i) {
      if (document.at("read_from") == names[i]) user.reads.read_from = static_cast<ReadFrom>(i);
    }
  }
  if (document.contains("replica_max_lag_ms")) {
    user.reads.replica_max_lag = Milliseconds(document.at("replica_max_lag_ms").get<int64_t>());
  }
  return user;
}

}  // namespace

AclUsers::AclUsers(Database& database, ProxyUsers& proxy) : database_(database), proxy_(proxy) {
  database_.transact([&](Database::Transaction& transaction) {
    users_.clear();
    Statement select =
        transaction.prepare("SELECT name, document, created_at, updated_at FROM acl_users");
    while (select.step()) {
      const std::string name = select.text(0);
      try {
        AclUser user{from_document(name, nlohmann::json::parse(select.text(1))), select.integer(2),
                     select.integer(3)};
        users_.emplace(name, std::move(user));
      } catch (const nlohmann::json::exception&) {
        throw StoreError{"the user \"" + name +
                         "\" of the Redis port cannot be read from the store: go back to a backup, "
                         "or remove its row from the table acl_users"};
      }
    }
  });
  std::vector<UserConfig> users;
  for (const auto& [name, user] : users_) users.push_back(user.config);
  // Its workers may not run yet; they will have this before the first client.
  proxy_.set_stored_users(std::move(users), [] {});
}

AclUsers::All AclUsers::all() const {
  const std::lock_guard lock(mutex_);
  return users_;
}

std::optional<ApiProblem> AclUsers::change(const std::string& name, bool dry_run,
                                           const Decide& decide) {
  const std::lock_guard write_lock(write_mutex_);
  const All before = all();
  std::optional<AclUser> user;
  if (const auto found = before.find(name); found != before.end()) user = found->second;
  if (auto problem = decide(before, user)) return problem;
  if (dry_run) return std::nullopt;
  write(name, user);
  {
    const std::lock_guard lock(mutex_);
    if (user) {
      users_.insert_or_assign(name, *user);
    } else {
      users_.erase(name);
    }
  }
  push();
  return std::nullopt;
}

void AclUsers::write(const std::string& name, const std::optional<AclUser>& user) {
  database_.transact([&](Database::Transaction& transaction) {
    if (!user) {
      transaction.prepare("DELETE FROM acl_users WHERE name = ?").bind(name).run();
      return;
    }
    transaction
        .prepare(
            "INSERT OR REPLACE INTO acl_users (name, document, created_at, updated_at) "
            "VALUES (?, ?, ?, ?)")
        .bind(name)
        .bind(to_document(user->config).dump())
        .bind(user->created_at_ms)
        .bind(user->updated_at_ms)
        .run();
  });
}

void AclUsers::push() {
  std::vector<UserConfig> users;
  for (const auto& [name, user] : all()) users.push_back(user.config);
  const auto installed = std::make_shared<std::promise<void>>();
  std::future<void> done = installed->get_future();
  proxy_.set_stored_users(std::move(users), [installed] { installed->set_value(); });
  if (done.wait_for(kPushTimeout) != std::future_status::ready) {
    log_warn("the proxy is busy: changed users of the Redis port will be in force later");
  }
}

}  // namespace pikaproxy
