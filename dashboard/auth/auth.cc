#include "dashboard/auth/auth.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

#include "common/log.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"

namespace pikaproxy {
namespace {

constexpr char kFirstUser[] = "admin";
constexpr size_t kFirstPasswordBytes = 15;

// The first line, without its end. Errors: the file.
Result<std::string> read_first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) {
    return Error{"cannot read a password from " + path +
                 ": dashboard.admin_password_file must be a file whose first line is the first "
                 "admin's password"};
  }
  if (line.ends_with('\r')) line.pop_back();
  if (line.size() < kPasswordMin || line.size() > kPasswordMax) {
    return Error{"the password in " + path + " must have " + std::to_string(kPasswordMin) + " to " +
                 std::to_string(kPasswordMax) + " bytes"};
  }
  return line;
}

std::optional<Error> write_private_file(const std::string& path, const std::string& text) {
  // Made anew: an old file might be open to others.
  ::unlink(path.c_str());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error{"cannot create " + path + ": " + std::strerror(errno)};
  const bool is_written =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::close(fd);
  if (!is_written) return Error{"cannot write " + path + ": " + std::strerror(error)};
  return std::nullopt;
}

std::string bearer_of(const HttpRequest& request) {
  const std::string* header = request.header("authorization");
  if (header == nullptr || header->size() < 8 || to_lower(header->substr(0, 7)) != "bearer ") {
    return {};
  }
  return header->substr(7);
}

}  // namespace

Auth::Auth(Database& database, AuditLog& audit, Options options)
    : options_(std::move(options)),
      audit_(audit),
      users_(database),
      tokens_(database),
      sessions_(options_.sessions) {}

Result<bool> Auth::make_first_user() {
  if (!users_.list().empty()) return false;
  std::string password;
  const bool is_given = !options_.admin_password_in.empty();
  if (is_given) {
    auto given = read_first_line(options_.admin_password_in);
    if (!given) return Error{given.error()};
    password = std::move(*given);
  } else {
    password = random_text(kFirstPasswordBytes);
    if (auto error = write_private_file(options_.admin_password_out, password + "\n")) {
      return *error;
    }
  }
  User user;
  user.name = kFirstUser;
  user.role = Role::kAdmin;
  // Nobody else hashes yet, so that it cannot be busy.
  user.password_hash = hasher_.hash(password).value();
  user.must_change = !is_given;
  user.created_at_ms = now_ms();
  users_.create(user);
  if (is_given) {
    log_info("first start: user admin has the password in dashboard.admin_password_file");
    return true;
  }
  log_info("first start: the password of user admin is in a file", "file",
           options_.admin_password_out);
  // A log that is collected by others is no place for it; a terminal is.
  if (::isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "pikaproxy: user admin, password %s\n", password.c_str());
  }
  return true;
}

std::string Auth::session_secret(const HttpRequest& request) const {
  for (const auto& [name, value] : request.headers) {
    if (name != "cookie") continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      std::string_view pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
      pair.remove_prefix(std::min(pair.find_first_not_of(' '), pair.size()));
      const size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == options_.cookie_name) {
        return std::string(pair.substr(equals + 1));
      }
    }
  }
  return {};
}

std::variant<CallerIdentity, ApiProblem> Auth::authenticate(const HttpRequest& request) {
  if (const std::string* header = request.header("authorization")) {
    const std::string secret = bearer_of(request);
    const int64_t now = now_ms();
    const auto token = secret.empty() ? std::nullopt : tokens_.find(secret, now);
    if (!token) {
      return ApiProblem{
          401, "bad_credential",
          header->starts_with("Basic ")
              ? "Passwords are not taken here: send Authorization: Bearer <token>, or "
                "log in."
              : "The bearer token is not known, or has expired: create a new one."};
    }
    try {
      tokens_.note_use(token->id, now);
    } catch (const StoreError& error) {
      // Reading must go on while the disk is full.
      log_warn("use of a token could not be noted", "token", token->name, "error", error.message);
    }
    return CallerIdentity{{"token:" + token->name, token->role, request.peer}, {}};
  }
  const std::string secret = session_secret(request);
  if (secret.empty()) {
    return ApiProblem{401, "credential_required",
                      "Send Authorization: Bearer <token>, or log in with POST "
                      "/api/v1/auth/login."};
  }
  // Watching is not using: a page that is only open lets its session end.
  const bool is_use = !request.path.ends_with("/events") && !request.path.ends_with("/events/poll");
  const auto session = sessions_.find(secret, Sessions::Clock::now(), is_use);
  if (!session) {
    return ApiProblem{401, "session_ended", "The session has ended: log in again."};
  }
  return CallerIdentity{{session->user, session->role, request.peer}, session->csrf_token};
}

std::function<bool()> Auth::watch(const HttpRequest& request) {
  if (request.header("authorization") != nullptr) {
    return
        [this, secret = bearer_of(request)] { return tokens_.find(secret, now_ms()).has_value(); };
  }
  return [this, secret = session_secret(request)] {
    return sessions_.find(secret, Sessions::Clock::now(), false).has_value();
  };
}

void Auth::forget_first_password(const std::string& name) {
  if (name == kFirstUser) ::unlink(options_.admin_password_out.c_str());
}

void Auth::notify_ended() {
  if (on_ended_) on_ended_();
}

}  // namespace pikaproxy
