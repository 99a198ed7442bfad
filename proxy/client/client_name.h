#pragma once

#include <algorithm>
#include <string_view>

namespace pikaproxy {

// The version of Redis whose commands and replies we follow, for clients that ask.
inline constexpr std::string_view kRedisVersion = "7.0.15";

inline constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// What CLIENT SETNAME and SETINFO accept: printable ASCII without spaces.
inline bool is_client_name(std::string_view name) noexcept {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace pikaproxy
