#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pikaproxy {

// A line of CLIENT LIST. What a server does not tell is empty or 0.
struct ClientListEntry {
  int64_t id = 0;
  std::string addr;  // "ip:port" of the client's end.
  std::string name;
  std::string cmd;  // The last command, as the server writes it; "NULL" for none.
};

// Reads the answer to CLIENT LIST. Lines it cannot make sense of are left out.
std::vector<ClientListEntry> parse_client_list(std::string_view text);

// The part of "ip:port" or "[v6]:port" before the port, without brackets.
std::string_view ip_of(std::string_view addr) noexcept;

}  // namespace pikaproxy
