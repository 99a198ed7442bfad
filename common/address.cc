#include "common/address.h"

#include <arpa/inet.h>
#include <charconv>

#include "common/text.h"

namespace pikaproxy {
namespace {

// sun_path holds 108 bytes with its terminating zero.
constexpr size_t kUnixPathMax = 107;
// The longest name that DNS can hold.
constexpr size_t kHostMax = 253;

Error bad(std::string_view text, std::string_view why) {
  return Error{quote(text) + " is not an address: " + std::string(why) +
               " (write host:port, [ipv6]:port or unix:/path)"};
}

bool is_ipv6(std::string_view host) {
  // "%eth0" names the interface of a link-local address.
  const std::string number(host.substr(0, host.find('%')));
  in6_addr unused;
  return inet_pton(AF_INET6, number.c_str(), &unused) == 1;
}

}  // namespace

std::string Address::to_string() const {
  if (is_unix()) return "unix:" + path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  Address address;
  if (has_control_character(text)) return bad(text, "it holds a control character");
  if (text.starts_with("unix:")) {
    address.path = text.substr(5);
    if (address.path.empty()) return bad(text, "the socket's path is missing");
    if (address.path.size() > kUnixPathMax) return bad(text, "the path is longer than 107 bytes");
    return address;
  }
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad(text, "\"]\" is missing");
    address.host = text.substr(1, close - 1);
    if (!text.substr(close + 1).starts_with(':')) return bad(text, "the port is missing");
    port = text.substr(close + 2);
    if (!is_ipv6(address.host)) return bad(text, "what the brackets hold is no IPv6 address");
  } else {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return bad(text, "the port is missing");
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return bad(text, "an IPv6 address needs brackets");
    }
    address.host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (address.host.find(' ') != std::string::npos) return bad(text, "the host holds a space");
  if (address.host.size() > kHostMax) return bad(text, "the host is longer than 253 bytes");
  if (address.host.empty()) address.host = "127.0.0.1";
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (ec != std::errc() || end != port.data() + port.size() || value > 65535) {
    return bad(text, "the port is not a number from 0 to 65535");
  }
  address.port = static_cast<uint16_t>(value);
  return address;
}

}  // namespace pikaproxy
