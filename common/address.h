#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pikaproxy {

// Where a socket listens or connects: "host:port", "[v6]:port" or "unix:/path".
struct Address {
  std::string host;   // Name or literal without brackets; empty for a unix socket.
  uint16_t port = 0;  // 0 for a unix socket, or "any free port" when listening.
  std::string path;   // Unix socket path; empty for TCP.

  bool is_unix() const noexcept { return !path.empty(); }
  // The form parse_address() reads.
  std::string to_string() const;

  auto operator<=>(const Address&) const = default;
};

// Reads "host:port", "[v6]:port", ":port" (all interfaces are never assumed: means 127.0.0.1) or
// "unix:/path". Errors say which part is wrong.
Result<Address> parse_address(std::string_view text);

}  // namespace pikaproxy
