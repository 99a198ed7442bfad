#pragma once

#include <span>

namespace pikaproxy {

// The store's schema, as the upgrades that lead to it: schema_upgrades()[n] takes version n to
// n + 1. Published ones are never edited.
std::span<const char* const> schema_upgrades() noexcept;

}  // namespace pikaproxy
