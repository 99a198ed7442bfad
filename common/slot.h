#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

using SlotId = uint16_t;

inline constexpr SlotId kSlotCount = 1024;

// The part of a key that decides its slot: what lies between the first "{" and the next "}" after
// it, even when that is empty; the whole key if there is no such pair.
//   Source: codis pkg/proxy/mapper.go (Hash). Redis Cluster differs: there an empty "{}" hashes the
//   whole key.
std::string_view hash_part(std::string_view key) noexcept;

// Slot of a key.
//   Shape:  any bytes, may be empty.
//   Result: [0, kSlotCount): CRC-32 (IEEE, as in zlib) of hash_part(key), mod 1024.
//   Source: codis pkg/proxy/mapper.go; Pika src/pstd/src/pika_codis_slot.cc.
SlotId slot_of(std::string_view key) noexcept;

}  // namespace pikaproxy
