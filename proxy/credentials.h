#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/config.h"

namespace pikaproxy {

// Who a client proved to be.
struct Identity {
  std::string name;  // Empty = the default user.
  bool admin = false;
};

// Whether clients have to say who they are: as soon as anybody has a password.
bool needs_credentials(const Config& config) noexcept;

bool is_user(const Config& config, std::string_view name) noexcept;

// Nothing if user and password do not go together. Takes the same time wherever they differ.
std::optional<Identity> check_credentials(const Config& config, std::string_view user,
                                          std::string_view password);

}  // namespace pikaproxy
