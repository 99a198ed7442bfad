#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "dashboard/api/api_route.h"

namespace pikaproxy {

// Browsers' logins, in memory: they end with the process. Any thread.
class Sessions {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t kSessionsMax = 1000;        // Then the one unused for longest ends.
  static constexpr size_t kSessionsPerUserMax = 100;  // The same among those of a user.

  struct Limits {
    std::chrono::milliseconds idle;      // A session that sends nothing for so long ends.
    std::chrono::milliseconds absolute;  // And any session after so long.
  };
  explicit Sessions(Limits limits) : limits_(limits) {}

  struct Session {
    std::string user;
    Role role = Role::kNone;
    std::string csrf_token;
    Clock::time_point began;
    Clock::time_point used;
  };

  // The secret for the cookie; kept as a hash.
  std::string begin(const std::string& user, Role role, Clock::time_point now);
  // Nothing if there is no such session or it has ended. `touch`: the user did something.
  std::optional<Session> find(const std::string& secret, Clock::time_point now, bool touch);
  void end(const std::string& secret);
  // All of a user but, where not empty, the one with that secret.
  void end_all_of(const std::string& user, const std::string& except_secret);
  void change_role(const std::string& user, Role role);

  Limits limits() const noexcept { return limits_; }

 private:
  bool has_ended(const Session& session, Clock::time_point now) const noexcept;
  void make_room(const std::string& user, Clock::time_point now);

  const Limits limits_;
  std::mutex mutex_;
  std::map<std::string, Session> sessions_;  // Guarded by mutex_. By the secret's hash.
};

}  // namespace pikaproxy
