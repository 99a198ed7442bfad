#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pikaproxy {

// What can be subscribed to. Each kind has names of its own.
enum class ChannelKind : uint8_t {
  kChannel,  // SUBSCRIBE, PUBLISH.
  kPattern,  // PSUBSCRIBE: all channels that match.
  kShard,    // SSUBSCRIBE, SPUBLISH (Redis 7).
};
inline constexpr size_t kChannelKinds = 3;

// As in requests and confirmations: "psubscribe".
constexpr std::string_view subscribe_verb(ChannelKind kind) noexcept {
  constexpr std::string_view kVerbs[kChannelKinds] = {"subscribe", "psubscribe", "ssubscribe"};
  return kVerbs[static_cast<size_t>(kind)];
}
constexpr std::string_view unsubscribe_verb(ChannelKind kind) noexcept {
  constexpr std::string_view kVerbs[kChannelKinds] = {"unsubscribe", "punsubscribe",
                                                      "sunsubscribe"};
  return kVerbs[static_cast<size_t>(kind)];
}

}  // namespace pikaproxy
