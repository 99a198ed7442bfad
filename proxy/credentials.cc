#include "proxy/credentials.h"

#include <algorithm>

namespace pikaproxy {
namespace {

bool equal_in_constant_time(std::string_view given, std::string_view expected) noexcept {
  unsigned difference = given.size() == expected.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = expected.empty() ? '\0' : expected[i % expected.size()];
    difference |= static_cast<unsigned char>(given[i] ^ other);
  }
  return difference == 0;
}

}  // namespace

bool needs_credentials(const Config& config) noexcept {
  return !config.auth.password.empty() || !config.users.empty();
}

bool is_user(const Config& config, std::string_view name) noexcept {
  return name == "default" ||
         std::any_of(config.users.begin(), config.users.end(),
                     [&](const UserConfig& user) { return user.name == name; });
}

std::optional<Identity> check_credentials(const Config& config, std::string_view user,
                                          std::string_view password) {
  if (user == "default") {
    // As in Redis: while nobody has a password, any will do.
    if (!needs_credentials(config)) return Identity{"", true};
    if (config.auth.password.empty()) return std::nullopt;
    if (equal_in_constant_time(password, config.auth.password)) return Identity{"", true};
    return std::nullopt;
  }
  for (const UserConfig& known : config.users) {
    if (known.name != user) continue;
    if (equal_in_constant_time(password, known.password)) return Identity{known.name, known.admin};
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace pikaproxy
