#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace pikaproxy {

// The words of twemproxy's configuration that decide where a key lives; [ketama] uses the same.
//   Source: twemproxy 0.5.0, src/hashkit/nc_hashkit.h (HASH_CODEC, DIST_CODEC).

inline constexpr std::array<std::string_view, 12> kTwemproxyHashes = {
    "one_at_a_time", "md5",     "crc16",    "crc32", "crc32a", "fnv1_64",
    "fnv1a_64",      "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins"};

inline constexpr std::array<std::string_view, 3> kTwemproxyDistributions = {"ketama", "modula",
                                                                            "random"};

constexpr bool is_twemproxy_hash(std::string_view name) noexcept {
  return std::ranges::find(kTwemproxyHashes, name) != kTwemproxyHashes.end();
}

constexpr bool is_twemproxy_distribution(std::string_view name) noexcept {
  return std::ranges::find(kTwemproxyDistributions, name) != kTwemproxyDistributions.end();
}

}  // namespace pikaproxy
