#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dashboard/auth/authenticator.h"
#include "dashboard/auth/login_limiter.h"
#include "dashboard/auth/password_hasher.h"
#include "dashboard/auth/sessions.h"
#include "dashboard/auth/tokens.h"
#include "dashboard/auth/users.h"
#include "dashboard/events/audit_log.h"

namespace pikaproxy {

inline constexpr size_t kPasswordMin = 8;
inline constexpr size_t kPasswordMax = 256;

// Who may use the dashboard. Any thread; throws StoreError.
class Auth : public Authenticator {
 public:
  struct Options {
    Sessions::Limits sessions;
    std::string cookie_name;        // Browsers tell apart no ports of a host, so it names the port.
    bool is_cookie_secure = false;  // With TLS.
    std::string admin_password_out;  // Where the first password is written; removed when changed.
    std::string admin_password_in;   // If not empty, the file that has the first password instead.
  };

  // `database` and `audit` outlive it.
  Auth(Database& database, AuditLog& audit, Options options);

  // With an empty store: makes the user "admin", with the password from the file, or with a random
  // one, which is written to a file only its owner can read, and shown if standard error is a
  // terminal. Errors: the files, with what to do.
  Result<bool> make_first_user();

  std::variant<CallerIdentity, ApiProblem> authenticate(const HttpRequest& request) override;
  // For open streams: whether the request's credential is valid still. Does not wait for the store.
  std::function<bool()> watch(const HttpRequest& request);
  // Called when sessions or tokens have ended, so that open streams notice. Before any request.
  void set_on_ended(std::function<void()> on_ended) { on_ended_ = std::move(on_ended); }
  // What a role may do, for GET /auth/me: operation ids. Before any request.
  void set_permissions(std::function<std::vector<std::string>(Role)> permissions) {
    permissions_ = std::move(permissions);
  }

  // /auth/*, /users and /tokens.
  std::vector<ApiRoute> routes();

 private:
  ApiResult log_in(const ApiRequest& request);
  ApiResult log_out(const ApiRequest& request);
  ApiResult change_own_password(const ApiRequest& request);
  ApiResult show_me(const ApiRequest& request);
  ApiResult list_users(const ApiRequest& request);
  ApiResult create_user(const ApiRequest& request);
  ApiResult change_user(const ApiRequest& request);
  ApiResult remove_user(const ApiRequest& request);
  ApiResult list_tokens(const ApiRequest& request);
  ApiResult create_token(const ApiRequest& request);
  ApiResult remove_token(const ApiRequest& request);

  std::string session_secret(const HttpRequest& request) const;
  std::string cookie(std::string_view secret, int64_t seconds) const;
  nlohmann::json describe_caller(const Caller& caller, const std::string& csrf_token);
  std::optional<ApiProblem> check_password(const User* user, const std::string& name,
                                           const std::string& peer, const std::string& password);
  void forget_first_password(const std::string& name);
  void notify_ended();

  const Options options_;
  AuditLog& audit_;
  Users users_;
  Tokens tokens_;
  Sessions sessions_;
  LoginLimiter limiter_;
  PasswordHasher hasher_;
  std::function<void()> on_ended_;
  std::function<std::vector<std::string>(Role)> permissions_;
};

}  // namespace pikaproxy
