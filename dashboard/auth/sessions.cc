#include "dashboard/auth/sessions.h"

#include "dashboard/auth/secrets.h"

namespace pikaproxy {
namespace {

constexpr size_t kSecretBytes = 32;

}  // namespace

bool Sessions::has_ended(const Session& session, Clock::time_point now) const noexcept {
  return now - session.used >= limits_.idle || now - session.began >= limits_.absolute;
}

void Sessions::make_room(const std::string& user, Clock::time_point now) {
  std::erase_if(sessions_, [&](const auto& item) { return has_ended(item.second, now); });
  const auto end_oldest = [&](bool of_user) {
    auto oldest = sessions_.end();
    for (auto next = sessions_.begin(); next != sessions_.end(); ++next) {
      if (of_user && next->second.user != user) continue;
      if (oldest == sessions_.end() || next->second.used < oldest->second.used) oldest = next;
    }
    if (oldest != sessions_.end()) sessions_.erase(oldest);
  };
  size_t of_user = 0;
  for (const auto& [hash, session] : sessions_) of_user += session.user == user ? 1 : 0;
  if (of_user >= kSessionsPerUserMax) end_oldest(true);
  if (sessions_.size() >= kSessionsMax) end_oldest(false);
}

std::string Sessions::begin(const std::string& user, Role role, Clock::time_point now) {
  std::string secret = random_text(kSecretBytes);
  const std::lock_guard lock(mutex_);
  make_room(user, now);
  sessions_[sha256_hex(secret)] = Session{user, role, random_text(kSecretBytes), now, now};
  return secret;
}

std::optional<Sessions::Session> Sessions::find(const std::string& secret, Clock::time_point now,
                                                bool touch) {
  const std::string hash = sha256_hex(secret);
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(hash);
  if (found == sessions_.end()) return std::nullopt;
  if (has_ended(found->second, now)) {
    sessions_.erase(found);
    return std::nullopt;
  }
  if (touch) found->second.used = now;
  return found->second;
}

void Sessions::end(const std::string& secret) {
  const std::string hash = sha256_hex(secret);
  const std::lock_guard lock(mutex_);
  sessions_.erase(hash);
}

void Sessions::end_all_of(const std::string& user, const std::string& except_secret) {
  const std::string kept = except_secret.empty() ? "" : sha256_hex(except_secret);
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_,
                [&](const auto& item) { return item.second.user == user && item.first != kept; });
}

void Sessions::change_role(const std::string& user, Role role) {
  const std::lock_guard lock(mutex_);
  for (auto& [hash, session] : sessions_) {
    if (session.user == user) session.role = role;
  }
}

}  // namespace pikaproxy
