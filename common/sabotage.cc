#include "common/sabotage.h"

#ifdef PIKAPROXY_TEST_HOOKS

#include <cstdlib>

namespace pikaproxy {
namespace {

// As a bit set.
uint32_t wanted() noexcept {
  const char* value = std::getenv("PIKAPROXY_SABOTAGE");
  if (value == nullptr) return 0;
  for (const SabotageName& each : kSabotages) {
    if (each.name == value) return 1u << static_cast<unsigned>(each.sabotage);
  }
  return 0;
}

}  // namespace

bool is_sabotaged(Sabotage sabotage) noexcept {
  static const uint32_t all = wanted();
  return (all >> static_cast<unsigned>(sabotage) & 1) != 0;
}

}  // namespace pikaproxy

#endif
