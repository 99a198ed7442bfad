#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pikaproxy {

// Random bytes and hashes, by libsodium. Any thread.

// `bytes` random bytes in base64url: letters, digits, "-" and "_".
std::string random_text(size_t bytes);
// 64 hexadecimal digits. For secrets that are random, and for comparing bodies.
std::string sha256_hex(std::string_view text);
// In a time that does not depend on where they differ.
bool is_same_secret(std::string_view a, std::string_view b) noexcept;

}  // namespace pikaproxy
