#include "dashboard/http/host_check.h"

#include <algorithm>
#include <arpa/inet.h>

#include "dashboard/http/http_message.h"

namespace pikaproxy {
namespace {

// In lower case, without the dot that may end a full name.
std::string normalise(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return to_lower(name);
}

std::vector<std::string> normalise_all(const std::vector<std::string>& names) {
  std::vector<std::string> out{"localhost"};
  for (const std::string& name : names) out.push_back(normalise(name));
  return out;
}

bool is_port(std::string_view text) noexcept {
  return text.size() <= 5 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

HostCheck::HostCheck(const std::vector<std::string>& names) : names_(normalise_all(names)) {}

bool HostCheck::allows(std::string_view host) const {
  unsigned char address[sizeof(in6_addr)];
  if (host.starts_with('[')) {
    const size_t close = host.find(']');
    if (close == std::string_view::npos) return false;
    const std::string_view rest = host.substr(close + 1);
    if (!rest.empty() && (rest[0] != ':' || !is_port(rest.substr(1)))) return false;
    return ::inet_pton(AF_INET6, std::string(host.substr(1, close - 1)).c_str(), address) == 1;
  }
  const size_t colon = std::min(host.find(':'), host.size());
  if (colon < host.size() && !is_port(host.substr(colon + 1))) return false;
  const std::string name = normalise(host.substr(0, colon));
  if (name.empty()) return false;
  return ::inet_pton(AF_INET, name.c_str(), address) == 1 ||
         std::find(names_.begin(), names_.end(), name) != names_.end();
}

}  // namespace pikaproxy
