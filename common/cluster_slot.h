#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// Slots of Redis Cluster, which are others than ours (common/slot.h): clients that speak its
// protocol count them. Nothing is placed by them here.
inline constexpr uint32_t kClusterSlots = 16384;

// CRC-16 (XMODEM: polynomial 0x1021, from 0, not reflected) of the key, or of what stands in its
// first "{}" unless that is empty, modulo 16384.
//   Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
uint32_t cluster_slot_of(std::string_view key) noexcept;

}  // namespace pikaproxy
