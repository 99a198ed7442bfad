#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/pubsub/channel_kind.h"
#include "proxy/routing/moved_keys.h"

namespace pikaproxy {

// How many subscribe to what, over all workers: the clients of this proxy, or its connections to
// one server. Any thread; the lock is taken by publish and subscribe commands only.
class SubscriptionCounts {
 public:
  void add(ChannelKind kind, std::string_view name);
  void remove(ChannelKind kind, std::string_view name);

  uint64_t count(ChannelKind kind, std::string_view name) const;
  // What a message for that channel goes to: the channel, and for kChannel patterns that it
  // matches.
  struct Match {
    ChannelKind kind;
    std::string name;
    uint64_t count;
  };
  std::vector<Match> matches(ChannelKind kind, std::string_view channel) const;
  // Different names.
  uint64_t size(ChannelKind kind) const;
  // Those that match `pattern`.
  std::vector<std::string> names(ChannelKind kind, std::string_view pattern) const;

 private:
  using Counts = std::unordered_map<std::string, uint64_t, StringHash, std::equal_to<>>;

  uint64_t find(ChannelKind kind, std::string_view name) const;

  mutable std::mutex mutex_;
  std::array<Counts, kChannelKinds> counts_;  // Guarded by mutex_. By kind.
};

}  // namespace pikaproxy
