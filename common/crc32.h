#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// CRC-32 (IEEE 802.3, reflected, as zlib's crc32(0, ...)). Eight bytes a step.
uint32_t crc32(std::string_view bytes) noexcept;

}  // namespace pikaproxy
