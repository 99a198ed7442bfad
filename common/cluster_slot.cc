#include "common/cluster_slot.h"

namespace pikaproxy {
namespace {

uint16_t crc16(std::string_view bytes) noexcept {
  uint32_t crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<uint32_t>(static_cast<unsigned char>(byte)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ ((crc & 0x8000) != 0 ? 0x1021 : 0);
    crc &= 0xFFFF;
  }
  return static_cast<uint16_t>(crc);
}

}  // namespace

uint32_t cluster_slot_of(std::string_view key) noexcept {
  if (const size_t open = key.find('{'); open != std::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return crc16(key) % kClusterSlots;
}

}  // namespace pikaproxy
