#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pikaproxy {

// False where OpenSSL was built or set up without MD5; md5() must not be called then.
bool md5_available() noexcept;

// MD5 by OpenSSL, for placing keys: nothing here is about security.
//   Threads: any; each keeps a context of its own.
//   Cost: 0.3 us. OpenSSL 3.0 allocates and frees a small block in every call.
std::array<uint8_t, 16> md5(std::string_view bytes) noexcept;

// Four bytes of a digest as twemproxy reads them: little-endian word `index`, 0 to 3.
constexpr uint32_t md5_word(const std::array<uint8_t, 16>& digest, unsigned index) noexcept {
  const uint8_t* at = digest.data() + 4 * index;
  return at[0] | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24;
}

}  // namespace pikaproxy
