#include "dashboard/auth/login_limiter.h"

#include <algorithm>

namespace pikaproxy {
namespace {

// A peer's address holds no line break, so the two kinds of keys differ.
std::string user_key(const std::string& user, const std::string& peer) {
  return peer + "\n" + user;
}

}  // namespace

LoginLimiter::Entry& LoginLimiter::entry(const std::string& key, Clock::time_point now) {
  if (entries_.size() >= kEntriesMax && !entries_.contains(key)) {
    std::erase_if(entries_, [&](const auto& item) { return now - item.second.first >= kWindow; });
    if (entries_.size() >= kEntriesMax) {
      entries_.erase(std::min_element(
          entries_.begin(), entries_.end(),
          [](const auto& a, const auto& b) { return a.second.first < b.second.first; }));
    }
  }
  Entry& entry = entries_[key];
  if (entry.failures == 0 || now - entry.first >= kWindow) entry = Entry{now, 0};
  return entry;
}

std::chrono::seconds LoginLimiter::begin(const std::string& user, const std::string& peer,
                                         Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto wait_of = [&](const Entry& entry, int max) {
    if (entry.failures < max) return std::chrono::seconds(0);
    return std::chrono::ceil<std::chrono::seconds>(entry.first + kWindow - now);
  };
  // Looked at one after the other: making room for the second may end the first.
  const auto of_peer = wait_of(entry(peer, now), kFailuresPerPeer);
  const auto of_user = wait_of(entry(user_key(user, peer), now), kFailuresPerUser);
  const auto wait = std::max(of_peer, of_user);
  if (wait.count() > 0) return wait;
  ++entry(user_key(user, peer), now).failures;
  ++entry(peer, now).failures;
  return wait;
}

void LoginLimiter::withdraw(const std::string& user, const std::string& peer) {
  const std::lock_guard lock(mutex_);
  for (const std::string& key : {peer, user_key(user, peer)}) {
    const auto found = entries_.find(key);
    if (found != entries_.end() && found->second.failures > 0) --found->second.failures;
  }
}

void LoginLimiter::succeed(const std::string& user, const std::string& peer) {
  const std::lock_guard lock(mutex_);
  entries_.erase(user_key(user, peer));
  const auto found = entries_.find(peer);
  if (found != entries_.end() && --found->second.failures <= 0) entries_.erase(found);
}

}  // namespace pikaproxy
