#include "proxy/pubsub/subscription_counts.h"

#include "common/glob.h"

namespace pikaproxy {

void SubscriptionCounts::add(ChannelKind kind, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Counts& counts = counts_[static_cast<size_t>(kind)];
  const auto found = counts.find(name);
  if (found != counts.end()) {
    ++found->second;
  } else {
    counts.emplace(name, 1);
  }
}

void SubscriptionCounts::remove(ChannelKind kind, std::string_view name) {
  const std::lock_guard lock(mutex_);
  Counts& counts = counts_[static_cast<size_t>(kind)];
  const auto found = counts.find(name);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

uint64_t SubscriptionCounts::find(ChannelKind kind, std::string_view name) const {
  const Counts& counts = counts_[static_cast<size_t>(kind)];
  const auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

uint64_t SubscriptionCounts::count(ChannelKind kind, std::string_view name) const {
  const std::lock_guard lock(mutex_);
  return find(kind, name);
}

std::vector<SubscriptionCounts::Match> SubscriptionCounts::matches(ChannelKind kind,
                                                                   std::string_view channel) const {
  const std::lock_guard lock(mutex_);
  std::vector<Match> matches;
  if (const uint64_t count = find(kind, channel)) {
    matches.push_back({kind, std::string(channel), count});
  }
  if (kind != ChannelKind::kChannel) return matches;
  for (const auto& [pattern, count] : counts_[static_cast<size_t>(ChannelKind::kPattern)]) {
    if (glob_matches(pattern, channel)) matches.push_back({ChannelKind::kPattern, pattern, count});
  }
  return matches;
}

uint64_t SubscriptionCounts::size(ChannelKind kind) const {
  const std::lock_guard lock(mutex_);
  return counts_[static_cast<size_t>(kind)].size();
}

std::vector<std::string> SubscriptionCounts::names(ChannelKind kind,
                                                   std::string_view pattern) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, count] : counts_[static_cast<size_t>(kind)]) {
    if (glob_matches(pattern, name)) names.push_back(name);
  }
  return names;
}

}  // namespace pikaproxy
