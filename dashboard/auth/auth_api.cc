// The operations of Auth: logging in and out, users, tokens.

#include "common/log.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/auth.h"

namespace pikaproxy {
namespace {

constexpr BodyReader::Length kName{1, 64};
constexpr BodyReader::Length kPassword{kPasswordMin, kPasswordMax};
constexpr int64_t kTokenLifeMax = 10LL * 366 * 86'400;

nlohmann::json optional_time(const std::optional<int64_t>& ms) {
  return ms ? nlohmann::json(time_text(*ms)) : nlohmann::json();
}

nlohmann::json describe(const User& user) {
  return {{"name", user.name},
          {"role", role_name(user.role)},
          {"must_change_password", user.must_change},
          {"created_at", time_text(user.created_at_ms)},
          {"last_login_at", optional_time(user.last_login_at_ms)}};
}

nlohmann::json describe(const Token& token) {
  return {{"id", token.id},
          {"name", token.name},
          {"role", role_name(token.role)},
          {"created_by", token.created_by},
          {"created_at", time_text(token.created_at_ms)},
          {"expires_at", optional_time(token.expires_at_ms)},
          {"last_used_at", optional_time(token.last_used_at_ms)}};
}

ApiProblem busy() {
  ApiProblem problem{
      429, "login_busy",
      "Other passwords are being checked, which is made slow on purpose: try again."};
  problem.retry_after_seconds = 1;
  return problem;
}

ApiProblem last_admin() {
  return conflict("last_admin", "This is the only admin: make another user an admin first.");
}

ApiProblem no_such_user(const std::string& name) {
  return not_found("user \"" + name + "\"");
}

void read_user_name(BodyReader& body, std::string_view field, const std::string& name) {
  if (!name.empty() && !is_user_name(name)) {
    body.fail(field, "invalid",
              "Must have 1 to 64 letters, digits or . _ - @, and not be \"system\".");
  }
}

std::string path_name(const ApiRequest& request) {
  return request.path.at("name");
}

}  // namespace

std::string Auth::cookie(std::string_view secret, int64_t seconds) const {
  std::string text = options_.cookie_name + "=" + std::string(secret) +
                     "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(seconds);
  if (options_.is_cookie_secure) text += "; Secure";
  return text;
}

nlohmann::json Auth::describe_caller(const Caller& caller, const std::string& csrf_token) {
  nlohmann::json body = {{"name", caller.name},           {"role", role_name(caller.role)},
                         {"must_change_password", false}, {"permissions", nlohmann::json::array()},
                         {"csrf_token", nullptr},         {"session_timeout_seconds", nullptr}};
  if (permissions_) body["permissions"] = permissions_(caller.role);
  if (!csrf_token.empty()) {
    body["csrf_token"] = csrf_token;
    body["session_timeout_seconds"] = options_.sessions.idle.count() / 1000;
    if (const auto user = users_.find(caller.name)) {
      body["must_change_password"] = user->must_change;
    }
  }
  return body;
}

// 401 and 429 for a wrong password; whether the user exists is neither told nor can it be timed.
std::optional<ApiProblem> Auth::check_password(const User* user, const std::string& name,
                                               const std::string& peer,
                                               const std::string& password) {
  const auto wait = limiter_.begin(name, peer, LoginLimiter::Clock::now());
  if (wait.count() > 0) {
    ApiProblem problem{429, "too_many_attempts",
                       "There were too many failed attempts from your address: wait."};
    problem.retry_after_seconds = static_cast<uint32_t>(wait.count());
    return problem;
  }
  std::optional<bool> is_right;
  if (user != nullptr) {
    is_right = hasher_.verify(user->password_hash, password);
  } else if (hasher_.pretend(password)) {
    is_right = false;
  }
  if (!is_right) {
    limiter_.withdraw(name, peer);
    return busy();
  }
  if (!*is_right) return ApiProblem{401, "login_failed", "The user name or password is wrong."};
  limiter_.succeed(name, peer);
  return std::nullopt;
}

ApiResult Auth::log_in(const ApiRequest& request) {
  BodyReader body(request.body);
  const std::string name = body.text("username", {1, 256});
  const std::string password = body.secret("password", {1, kPasswordMax});
  if (auto problem = body.finish()) return *problem;
  const auto user = users_.find(name);
  AuditEntry entry;
  entry.actor = is_user_name(name) ? name : "(no user name)";
  entry.peer = request.http.peer;
  entry.action = "login";
  entry.request_id = request.request_id;
  if (auto problem = check_password(user ? &*user : nullptr, name, request.http.peer, password)) {
    entry.status = problem->status;
    entry.after = {{"code", problem->code}};
    // Those that are not even looked at must not fill the log.
    if (problem->status == 401) audit_.record(entry);
    return *problem;
  }
  users_.note_login(name, now_ms());
  const std::string secret = sessions_.begin(name, user->role, Sessions::Clock::now());
  const auto session = sessions_.find(secret, Sessions::Clock::now(), true);
  entry.status = 200;
  audit_.record(entry);
  ApiReply reply;
  reply.body =
      describe_caller({name, user->role, request.http.peer}, session ? session->csrf_token : "");
  reply.headers.emplace_back("Set-Cookie",
                             cookie(secret, options_.sessions.absolute.count() / 1000));
  return reply;
}

ApiResult Auth::log_out(const ApiRequest& request) {
  sessions_.end(session_secret(request.http));
  notify_ended();
  ApiReply reply;
  reply.status = 204;
  reply.headers.emplace_back("Set-Cookie", cookie("", 0));
  return reply;
}

ApiResult Auth::change_own_password(const ApiRequest& request) {
  BodyReader body(request.body);
  const std::string old_password = body.secret("old_password", {1, kPasswordMax});
  const std::string new_password = body.secret("new_password", kPassword);
  if (auto problem = body.finish()) return *problem;
  const std::string& name = request.caller.name;
  const auto user = users_.find(name);
  if (!user) {
    return conflict("no_password", "A token has no password: this is for users that log in.");
  }
  if (auto problem = check_password(&*user, name, request.http.peer, old_password)) {
    if (problem->status == 401) {
      // 401 would say that the session is not valid.
      return ApiProblem{403, "wrong_password", "The old password is wrong."};
    }
    return *problem;
  }
  ApiReply reply;
  reply.status = 204;
  reply.object = "users/" + name;
  if (request.dry_run) return reply;
  const auto hash = hasher_.hash(new_password);
  if (!hash) return busy();
  if (users_.set_password(name, *hash, false) != Users::Outcome::kDone) return no_such_user(name);
  forget_first_password(name);
  sessions_.end_all_of(name, session_secret(request.http));
  notify_ended();
  return reply;
}

ApiResult Auth::show_me(const ApiRequest& request) {
  std::string csrf_token;
  if (request.http.header("authorization") == nullptr) {
    const auto session = sessions_.find(session_secret(request.http), Sessions::Clock::now(), true);
    if (session) csrf_token = session->csrf_token;
  }
  ApiReply reply;
  reply.body = describe_caller(request.caller, csrf_token);
  return reply;
}

ApiResult Auth::list_users(const ApiRequest&) {
  ApiReply reply;
  reply.body = {{"users", nlohmann::json::array()}};
  for (const User& user : users_.list()) reply.body["users"].push_back(describe(user));
  return reply;
}

ApiResult Auth::create_user(const ApiRequest& request) {
  BodyReader body(request.body);
  User user;
  user.name = body.text("name", kName);
  read_user_name(body, "name", user.name);
  user.role = parse_role(body.choice("role", {"viewer", "operator", "admin"}));
  const std::string password = body.secret("password", kPassword);
  user.must_change = body.optional_boolean("must_change_password").value_or(false);
  if (auto problem = body.finish()) return *problem;
  user.created_at_ms = now_ms();
  const auto exists = [&] {
    return conflict("user_exists", "There is a user \"" + user.name + "\" already.");
  };
  ApiReply reply;
  reply.status = request.dry_run ? 200 : 201;
  reply.object = "users/" + user.name;
  reply.body = reply.after = describe(user);
  if (users_.find(user.name)) return exists();
  if (request.dry_run) return reply;
  const auto hash = hasher_.hash(password);
  if (!hash) return busy();
  user.password_hash = *hash;
  switch (users_.create(user)) {
    case Users::Outcome::kExists:
      return exists();
    case Users::Outcome::kTooMany:
      return conflict("too_many_users", "There are " + std::to_string(Users::kUsersMax) +
                                            " users, which is the most.");
    default:
      break;
  }
  reply.headers.emplace_back("Location", "/api/v1/users/" + user.name);
  return reply;
}

ApiResult Auth::change_user(const ApiRequest& request) {
  const std::string name = path_name(request);
  BodyReader body(request.body);
  const auto role_text = body.optional_choice("role", {"viewer", "operator", "admin"});
  const auto password = body.optional_secret("password", kPassword);
  const auto must_change = body.optional_boolean("must_change_password");
  if (must_change && !password) {
    body.fail("must_change_password", "invalid", "Goes with a new password only.");
  }
  if (!role_text && !password)
    body.fail("", "missing", "Nothing to change: send role or password.");
  if (auto problem = body.finish()) return *problem;
  auto user = users_.find(name);
  if (!user) return no_such_user(name);
  ApiReply reply;
  reply.object = "users/" + name;
  reply.before = describe(*user);
  const bool is_demoted = role_text && user->role == Role::kAdmin && *role_text != "admin";
  if (request.dry_run && is_demoted) {
    size_t admins = 0;
    for (const User& each : users_.list()) admins += each.role == Role::kAdmin ? 1 : 0;
    if (admins == 1) return last_admin();
  }
  // Before anything is changed, since it may be refused.
  std::optional<std::string> hash;
  if (password && !request.dry_run) {
    hash = hasher_.hash(*password);
    if (!hash) return busy();
  }
  if (role_text) {
    user->role = parse_role(*role_text);
    if (!request.dry_run) {
      const auto outcome = users_.set_role(name, user->role);
      if (outcome == Users::Outcome::kLastAdmin) return last_admin();
      if (outcome == Users::Outcome::kNotFound) return no_such_user(name);
      sessions_.change_role(name, user->role);
    }
  }
  if (password) {
    user->must_change = must_change.value_or(false);
    if (hash) {
      if (users_.set_password(name, *hash, user->must_change) == Users::Outcome::kNotFound) {
        return no_such_user(name);
      }
      forget_first_password(name);
      sessions_.end_all_of(name, name == request.caller.name ? session_secret(request.http) : "");
      notify_ended();
    }
  }
  reply.body = reply.after = describe(*user);
  if (password) reply.after["password"] = "changed";
  return reply;
}

ApiResult Auth::remove_user(const ApiRequest& request) {
  const std::string name = path_name(request);
  const auto user = users_.find(name);
  if (!user) return no_such_user(name);
  ApiReply reply;
  reply.status = 204;
  reply.object = "users/" + name;
  reply.before = describe(*user);
  if (request.dry_run) {
    size_t admins = 0;
    for (const User& each : users_.list()) admins += each.role == Role::kAdmin ? 1 : 0;
    if (user->role == Role::kAdmin && admins == 1) return last_admin();
    return reply;
  }
  const auto outcome = users_.remove(name);
  if (outcome == Users::Outcome::kLastAdmin) return last_admin();
  if (outcome == Users::Outcome::kNotFound) return no_such_user(name);
  forget_first_password(name);
  sessions_.end_all_of(name, "");
  notify_ended();
  return reply;
}

ApiResult Auth::list_tokens(const ApiRequest&) {
  ApiReply reply;
  reply.body = {{"tokens", nlohmann::json::array()}};
  for (const Token& token : tokens_.list()) reply.body["tokens"].push_back(describe(token));
  return reply;
}

ApiResult Auth::create_token(const ApiRequest& request) {
  BodyReader body(request.body);
  Token token;
  token.name = body.text("name", kName);
  read_user_name(body, "name", token.name);
  token.role = parse_role(body.choice("role", {"viewer", "operator", "admin"}));
  const auto life = body.optional_integer("expires_in_seconds", 1, kTokenLifeMax);
  if (auto problem = body.finish()) return *problem;
  token.created_by = request.caller.name;
  token.created_at_ms = now_ms();
  if (life) token.expires_at_ms = token.created_at_ms + *life * 1000;
  const auto exists = [&] {
    return conflict("token_exists", "There is a token \"" + token.name + "\" already.");
  };
  ApiReply reply;
  if (request.dry_run) {
    for (const Token& each : tokens_.list()) {
      if (each.name == token.name) return exists();
    }
    reply.body = describe(token);
    reply.body["id"] = nullptr;
    return reply;
  }
  auto created = tokens_.create(token.name, token.role, token.created_by, token.expires_at_ms);
  if (const auto* refusal = std::get_if<Tokens::Refusal>(&created)) {
    if (*refusal == Tokens::Refusal::kExists) return exists();
    return conflict("too_many_tokens", "There are " + std::to_string(Tokens::kTokensMax) +
                                           " tokens, which is the most: remove some.");
  }
  const auto& made = std::get<Tokens::Created>(created);
  reply.status = 201;
  reply.object = "tokens/" + std::to_string(made.token.id);
  reply.body = reply.after = describe(made.token);
  reply.body["token"] = made.secret;
  return reply;
}

ApiResult Auth::remove_token(const ApiRequest& request) {
  const auto id = path_integer(request, "id", 1, INT64_MAX);
  const auto no_such_token = [&] { return not_found("token " + request.path.at("id")); };
  if (!id) return no_such_token();
  ApiReply reply;
  reply.status = 204;
  reply.object = "tokens/" + std::to_string(*id);
  std::optional<Token> token;
  if (request.dry_run) {
    for (const Token& each : tokens_.list()) {
      if (each.id == *id) token = each;
    }
  } else {
    token = tokens_.remove(*id);
  }
  if (!token) return no_such_token();
  reply.before = describe(*token);
  notify_ended();
  return reply;
}

std::vector<ApiRoute> Auth::routes() {
  const auto bind = [this](ApiResult (Auth::*member)(const ApiRequest&)) {
    return [this, member](const ApiRequest& request) { return (this->*member)(request); };
  };
  return {
      {.method = "POST",
       .path = "/auth/login",
       .operation_id = "login",
       .role = Role::kNone,
       .handler = bind(&Auth::log_in),
       .takes_dry_run = false},
      {.method = "POST",
       .path = "/auth/logout",
       .operation_id = "logout",
       .handler = bind(&Auth::log_out),
       .takes_body = false,
       .takes_dry_run = false},
      {.method = "POST",
       .path = "/auth/password",
       .operation_id = "changePassword",
       .handler = bind(&Auth::change_own_password)},
      {.method = "GET",
       .path = "/auth/me",
       .operation_id = "getMe",
       .handler = bind(&Auth::show_me)},
      {.method = "GET",
       .path = "/users",
       .operation_id = "listUsers",
       .role = Role::kAdmin,
       .handler = bind(&Auth::list_users)},
      {.method = "POST",
       .path = "/users",
       .operation_id = "createUser",
       .role = Role::kAdmin,
       .handler = bind(&Auth::create_user)},
      {.method = "PATCH",
       .path = "/users/{name}",
       .operation_id = "updateUser",
       .role = Role::kAdmin,
       .handler = bind(&Auth::change_user)},
      {.method = "DELETE",
       .path = "/users/{name}",
       .operation_id = "deleteUser",
       .role = Role::kAdmin,
       .handler = bind(&Auth::remove_user),
       .takes_body = false},
      {.method = "GET",
       .path = "/tokens",
       .operation_id = "listTokens",
       .role = Role::kAdmin,
       .handler = bind(&Auth::list_tokens)},
      {.method = "POST",
       .path = "/tokens",
       .operation_id = "createToken",
       .role = Role::kAdmin,
       .handler = bind(&Auth::create_token)},
      {.method = "DELETE",
       .path = "/tokens/{id}",
       .operation_id = "deleteToken",
       .role = Role::kAdmin,
       .handler = bind(&Auth::remove_token),
       .takes_body = false},
  };
}

}  // namespace pikaproxy
