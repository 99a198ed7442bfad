#pragma once

#include <cstddef>
#include <cstdint>

namespace pikaproxy {

// Which of a worker's shared connections to a server a client's requests take: the connections
// differ in the protocol that the server speaks on them. A client keeps its lane while it has
// requests in flight, so its requests for one key run in their order.
enum class Lane : uint8_t {
  kResp2,  // Clients that have not asked for anything else.
  kResp3,  // Clients with HELLO 3.
  // Clients with HELLO 3 and CLIENT TRACKING, see tracking.h: the server tells over the connection
  kTracking,   // of keys that were read over it and have changed,
  kBroadcast,  // of all keys that have changed.
};
inline constexpr size_t kLaneCount = 4;

inline constexpr bool is_tracking(Lane lane) noexcept {
  return lane >= Lane::kTracking;
}

}  // namespace pikaproxy
