// The operations of AclUsers.

#include <algorithm>

#include "common/option_table.h"
#include "common/user_rules.h"
#include "dashboard/acl/acl_users.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/auth.h"

namespace pikaproxy {
namespace {

constexpr char kDefault[] = "default";
constexpr BodyReader::Length kName{1, 64};
constexpr BodyReader::Length kPassword{kPasswordMin, kPasswordMax};
constexpr BodyReader::Length kRules{0, kUserRulesBytesMax};
constexpr BodyReader::Length kPatterns{0, kUserPatternsMax};
constexpr BodyReader::Length kPattern{1, 256};
constexpr int64_t kLagMinMs = 100;
constexpr int64_t kLagMaxMs = 3'600'000;

// Where a user comes from.
enum class From { kApi, kFile, kBuiltIn };

std::string_view name_of(From from) {
  return from == From::kApi ? "api" : from == From::kFile ? "file" : "built_in";
}

UserConfig everybody() {
  UserConfig user;
  user.name = kDefault;
  user.admin = true;
  return user;
}

bool contains(const std::vector<UserConfig>& users, std::string_view name) {
  return std::any_of(users.begin(), users.end(),
                     [name](const UserConfig& user) { return user.name == name; });
}

// Nothing about passwords but how many there are.
nlohmann::json describe(const UserConfig& user, From from, bool in_force,
                        const AclUser* stored = nullptr) {
  nlohmann::json body = {{"name", user.name},         {"source", name_of(from)},
                         {"in_force", in_force},      {"enabled", user.enabled},
                         {"admin", user.admin},       {"password_count", user.passwords.size()},
                         {"commands", user.commands}, {"keys", user.keys},
                         {"channels", user.channels}, {"read_only", user.read_only},
                         {"read_from", nullptr},      {"replica_max_lag_ms", nullptr},
                         {"created_at", nullptr},     {"updated_at", nullptr}};
  if (stored != nullptr) {
    body["created_at"] = time_text(stored->created_at_ms);
    body["updated_at"] = time_text(stored->updated_at_ms);
  }
  if (user.reads.read_from) {
    body["read_from"] = read_from_names()[static_cast<size_t>(*user.reads.read_from)];
  }
  if (user.reads.replica_max_lag) {
    body["replica_max_lag_ms"] = user.reads.replica_max_lag->count();
  }
  return body;
}

nlohmann::json describe(const AclUser& user) {
  return describe(user.config, From::kApi, true, &user);
}

// What a request says about a user beside name and password; nothing: not said.
struct Wanted {
  std::optional<bool> admin, enabled, read_only;
  std::optional<std::string> commands;
  std::optional<std::vector<std::string>> keys, channels;
  std::optional<std::string> read_from;
  std::optional<int64_t> lag_ms;
  bool no_read_from = false, no_lag = false;  // Back to the listener's, or [proxy]'s.

  explicit Wanted(BodyReader& body) {
    admin = body.optional_boolean("admin");
    enabled = body.optional_boolean("enabled");
    read_only = body.optional_boolean("read_only");
    commands = body.optional_text("commands", kRules);
    keys = body.optional_text_list("keys", kPatterns, kPattern);
    channels = body.optional_text_list("channels", kPatterns, kPattern);
    no_read_from = body.is_null("read_from");
    if (!no_read_from) {
      read_from =
          body.optional_choice("read_from", {"master", "prefer_replica", "replica", "nearest"});
    }
    no_lag = body.is_null("replica_max_lag_ms");
    if (!no_lag) lag_ms = body.optional_integer("replica_max_lag_ms", kLagMinMs, kLagMaxMs);
    if (commands) {
      if (const auto parsed = parse_command_rules(*commands, Scripts::kWithAll); !parsed) {
        body.fail("commands", "invalid", "It " + parsed.error() + ".");
      }
    }
    for (const std::string& pattern : keys.value_or(std::vector<std::string>())) {
      if (const auto parsed = parse_key_pattern(pattern); !parsed) {
        body.fail("keys", "invalid", "It " + parsed.error() + ".");
      }
    }
    for (const std::string& pattern : channels.value_or(std::vector<std::string>())) {
      if (const auto parsed = parse_channel_pattern(pattern); !parsed) {
        body.fail("channels", "invalid", "It " + parsed.error() + ".");
      }
    }
  }

  bool says_nothing() const {
    return !admin && !enabled && !read_only && !commands && !keys && !channels && !read_from &&
           !lag_ms && !no_read_from && !no_lag;
  }

  void apply(UserConfig& user) const {
    user.admin = admin.value_or(user.admin);
    user.enabled = enabled.value_or(user.enabled);
    user.read_only = read_only.value_or(user.read_only);
    user.commands = commands.value_or(user.commands);
    user.keys = keys.value_or(user.keys);
    user.channels = channels.value_or(user.channels);
    if (read_from) {
      const auto names = read_from_names();
      user.reads.read_from =
          static_cast<ReadFrom>(std::find(names.begin(), names.end(), *read_from) - names.begin());
    }
    if (lag_ms) user.reads.replica_max_lag = Milliseconds(*lag_ms);
    if (no_read_from) user.reads.read_from.reset();
    if (no_lag) user.reads.replica_max_lag.reset();
  }
};

ApiProblem in_file(const std::string& name) {
  return conflict("user_in_file", "The user \"" + name +
                                      "\" is set in the configuration file of the proxy: change it "
                                      "there, and send the process SIGHUP.");
}

ApiProblem no_such_user(const std::string& name) {
  return not_found("user \"" + name + "\" of the Redis port");
}

std::string object_of(const std::string& name) {
  return "acl/users/" + name;
}

ApiResult list_users(AclUsers& users) {
  const std::vector<UserConfig> configured = users.configured();
  const AclUsers::All stored = users.all();
  std::vector<nlohmann::json> all;
  for (const UserConfig& user : configured) all.push_back(describe(user, From::kFile, true));
  for (const auto& [name, user] : stored) {
    all.push_back(describe(user.config, From::kApi, !contains(configured, name), &user));
  }
  if (!contains(configured, kDefault) && !stored.contains(kDefault)) {
    all.push_back(describe(everybody(), From::kBuiltIn, true));
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a["name"].template get<std::string>() < b["name"].template get<std::string>();
  });
  ApiReply reply;
  reply.body = {{"users", std::move(all)}};
  return reply;
}

ApiResult create_user(AclUsers& users, const ApiRequest& request) {
  BodyReader body(request.body);
  const std::string name = body.text("name", kName);
  if (!name.empty() && !is_user_name(name)) {
    body.fail("name", "invalid",
              "Must have 1 to 64 letters, digits or . _ - @, and not be \"system\".");
  }
  const auto password = body.optional_secret("password", kPassword);
  if (!password && name != kDefault && !body.has("password")) {
    body.fail("password", "missing", "Is required: nobody but \"default\" can be without.");
  }
  const Wanted wanted(body);
  if (auto problem = body.finish()) return *problem;
  ApiReply reply;
  reply.object = object_of(name);
  const auto decide = [&](const AclUsers::All& all,
                          std::optional<AclUser>& user) -> std::optional<ApiProblem> {
    if (contains(users.configured(), name)) return in_file(name);
    if (user) {
      return conflict("user_exists", "There is a user \"" + name + "\" of the Redis port already.");
    }
    if (all.size() >= AclUsers::kUsersMax) {
      return conflict("too_many_users", "There are " + std::to_string(AclUsers::kUsersMax) +
                                            " users, which is the most.");
    }
    user.emplace();
    user->config.name = name;
    if (password) user->config.passwords = {hash_password(*password)};
    wanted.apply(user->config);
    user->created_at_ms = user->updated_at_ms = now_ms();
    reply.body = reply.after = describe(*user);
    return std::nullopt;
  };
  if (auto problem = users.change(name, request.dry_run, decide)) {
    problem->object = reply.object;
    return *problem;
  }
  reply.status = request.dry_run ? 200 : 201;
  if (!request.dry_run) reply.headers.emplace_back("Location", "/api/v1/acl/users/" + name);
  return reply;
}

// The passwords of a user, as a PATCH wants them.
struct NewPasswords {
  std::optional<std::string> only, second;
  bool none = false, drop_old = false;

  explicit NewPasswords(BodyReader& body, bool is_default) {
    none = body.is_null("password");
    if (!none) only = body.optional_secret("password", kPassword);
    second = body.optional_secret("add_password", kPassword);
    drop_old = body.optional_boolean("drop_old_password").value_or(false);
    if (none && !is_default) {
      body.fail("password", "invalid", "Nobody but \"default\" can be without a password.");
    }
    if ((none || only) && (second || drop_old)) {
      body.fail("", "invalid",
                "password replaces all of them: it does not go with add_password or "
                "drop_old_password.");
    }
    if (second && drop_old) {
      body.fail("", "invalid",
                "add_password and drop_old_password are two steps: clients need the time between "
                "them.");
    }
  }

  bool says_nothing() const { return !only && !second && !none && !drop_old; }

  std::optional<ApiProblem> apply(std::vector<std::string>& passwords) const {
    if (none) passwords.clear();
    if (only) passwords = {hash_password(*only)};
    if (second) {
      if (passwords.size() >= kUserPasswordsMax) {
        return conflict("two_passwords",
                        "The user has two passwords already: drop the old one first.");
      }
      passwords.push_back(hash_password(*second));
    }
    if (drop_old) {
      if (passwords.size() < kUserPasswordsMax) {
        return conflict("one_password", "The user has no second password that could stay.");
      }
      passwords.erase(passwords.begin());
    }
    return std::nullopt;
  }
};

ApiResult change_user(AclUsers& users, const ApiRequest& request) {
  const std::string name = request.path.at("name");
  BodyReader body(request.body);
  const NewPasswords passwords(body, name == kDefault);
  const Wanted wanted(body);
  if (wanted.says_nothing() && passwords.says_nothing()) {
    body.fail("", "missing", "Nothing to change: send what should be different.");
  }
  if (auto problem = body.finish()) return *problem;
  ApiReply reply;
  reply.object = object_of(name);
  const auto decide = [&](const AclUsers::All&,
                          std::optional<AclUser>& user) -> std::optional<ApiProblem> {
    if (contains(users.configured(), name)) return in_file(name);
    if (user) {
      reply.before = describe(*user);
    } else if (name == kDefault) {
      user.emplace();
      user->config = everybody();
      user->created_at_ms = now_ms();
      reply.before = describe(user->config, From::kBuiltIn, true);
    } else {
      return no_such_user(name);
    }
    if (auto problem = passwords.apply(user->config.passwords)) return problem;
    wanted.apply(user->config);
    user->updated_at_ms = now_ms();
    reply.body = reply.after = describe(*user);
    if (!passwords.says_nothing()) reply.after["password"] = "changed";
    return std::nullopt;
  };
  if (auto problem = users.change(name, request.dry_run, decide)) {
    problem->object = reply.object;
    return *problem;
  }
  return reply;
}

ApiResult remove_user(AclUsers& users, const ApiRequest& request) {
  const std::string name = request.path.at("name");
  ApiReply reply;
  reply.status = 204;
  reply.object = object_of(name);
  const auto decide = [&](const AclUsers::All&,
                          std::optional<AclUser>& user) -> std::optional<ApiProblem> {
    if (!user) {
      if (contains(users.configured(), name)) return in_file(name);
      if (name == kDefault) {
        return conflict("built_in_user",
                        "This user is always there: PATCH it, to ask for a password or with "
                        "\"enabled\": false.");
      }
      return no_such_user(name);
    }
    reply.before = describe(*user);
    user.reset();
    return std::nullopt;
  };
  if (auto problem = users.change(name, request.dry_run, decide)) {
    problem->object = reply.object;
    return *problem;
  }
  return reply;
}

}  // namespace

std::vector<ApiRoute> acl_user_routes(AclUsers& users) {
  const auto bind = [&users](ApiResult (*handler)(AclUsers&, const ApiRequest&)) {
    return [&users, handler](const ApiRequest& request) { return handler(users, request); };
  };
  return {
      {.method = "GET",
       .path = "/acl/users",
       .operation_id = "listAclUsers",
       .role = Role::kAdmin,
       .handler = [&users](const ApiRequest&) { return list_users(users); }},
      {.method = "POST",
       .path = "/acl/users",
       .operation_id = "createAclUser",
       .role = Role::kAdmin,
       .creates_work = true,
       .handler = bind(create_user)},
      {.method = "PATCH",
       .path = "/acl/users/{name}",
       .operation_id = "updateAclUser",
       .role = Role::kAdmin,
       .handler = bind(change_user)},
      {.method = "DELETE",
       .path = "/acl/users/{name}",
       .operation_id = "deleteAclUser",
       .role = Role::kAdmin,
       .handler = bind(remove_user),
       .takes_body = false},
  };
}

}  // namespace pikaproxy
