#pragma once

#include <cstddef>
#include <cstdint>

namespace pikaproxy {

// Which of a worker's shared connections to a server a client's requests take: the connections
// differ in the protocol that the server speaks on them. A client keeps its lane while it has
// requests in flight, so its requests for one key run in their order. Control lanes carry what is
// about no key.
enum class Lane : uint8_t {
  kResp2,  // Clients that have not asked for anything else.
  kResp3,  // Clients with HELLO 3.
  // Clients with HELLO 3 and CLIENT TRACKING, see tracking.h: the server tells over the connection
  kTracking,   // of keys that were read over it and have changed,
  kBroadcast,  // of all keys that have changed.
  // What a server must be told while a script keeps it busy: SCRIPT KILL and alike, which would
  // wait behind the script on any connection that carries something else.
  kControl,
  kControlResp3,
};
inline constexpr size_t kLaneCount = 6;

inline constexpr bool is_tracking(Lane lane) noexcept {
  return lane == Lane::kTracking || lane == Lane::kBroadcast;
}
inline constexpr bool is_control(Lane lane) noexcept {
  return lane >= Lane::kControl;
}
// Whether its connections begin with HELLO 3.
inline constexpr bool is_resp3(Lane lane) noexcept {
  return lane != Lane::kResp2 && lane != Lane::kControl;
}
// The lane to control servers by, for a client that uses this one.
inline constexpr Lane control_lane(Lane lane) noexcept {
  return is_resp3(lane) ? Lane::kControlResp3 : Lane::kControl;
}

}  // namespace pikaproxy
