#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/build_options.h"

namespace pikaproxy {

// Safeguards of slot migration that a test can leave out, to see that it notices
// (tests/consistency/sabotage_test.py). Only in builds with PIKAPROXY_TEST_HOOKS; otherwise a
// question costs nothing and the answer is no.
enum class Sabotage : uint8_t {
  kNoLock,           // A slot is switched without waiting for proxies to be drained.
  kGateIgnored,      // Requests go to the target whether their keys have moved or not.
  kMovedKeysKept,    // Keys known to have moved stay known when the slot changes.
  kBusyKeyIgnored,   // A key that the target has already stays at the source too.
  kCopyUnverified,   // COPY deletes the source's key though writing the copy has failed.
  kCopyKeepsSource,  // COPY does not delete the source's key.
  kUnsettled,        // A mover goes on while an attempt that it gave up may still come late.
  kWatchKept,        // EXEC goes to the server where its keys were watched, wherever their slot is.
  kPopForgotten,     // A wait that ends with an element as its slot moves goes on as if without.
};

struct SabotageName {
  Sabotage sabotage;
  std::string_view name;
};

inline constexpr std::array kSabotages = {
    SabotageName{Sabotage::kNoLock, "no-lock"},
    SabotageName{Sabotage::kGateIgnored, "gate-ignored"},
    SabotageName{Sabotage::kMovedKeysKept, "moved-keys-kept"},
    SabotageName{Sabotage::kBusyKeyIgnored, "busy-key-ignored"},
    SabotageName{Sabotage::kCopyUnverified, "copy-unverified"},
    SabotageName{Sabotage::kCopyKeepsSource, "copy-keeps-source"},
    SabotageName{Sabotage::kUnsettled, "unsettled"},
    SabotageName{Sabotage::kWatchKept, "watch-kept"},
    SabotageName{Sabotage::kPopForgotten, "pop-forgotten"},
};

#ifdef PIKAPROXY_TEST_HOOKS
// Whether the environment variable PIKAPROXY_SABOTAGE names it. Any thread.
bool is_sabotaged(Sabotage sabotage) noexcept;
#else
constexpr bool is_sabotaged(Sabotage) noexcept {
  return false;
}
#endif

}  // namespace pikaproxy
