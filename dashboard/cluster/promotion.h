#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/address.h"

namespace pikaproxy {

// A promotion as a value: one server of a group becomes its master. What may happen to it is in
// promotion_state.h, who makes it happen in promoter.h.
//
//   checking ──> pausing ──> locking ──> promoting ──> repointing ──> succeeded
//       │           │           │            │  the group's slots are locked from locking to
//       │           │           │            │  promoting, those on their way from pausing on
//       └───────────┴───────────┴────────────┴──> failed, with the old master and unlocked
enum class PromotionStep : uint8_t {
  kChecking,    // Nothing has been done; the replica may be catching up.
  kPausing,     // Migrations that have to do with the group let go of their keys.
  kLocking,     // The group's slots are locked; proxies come to an end with it, the replica too.
  kPromoting,   // The replica has everything: it may be told at any moment.
  kRepointing,  // It is the master, slots are unlocked; the others are being made its replicas.
  kSucceeded,
  kFailed,
};
std::string_view promotion_step_name(PromotionStep step) noexcept;
std::optional<PromotionStep> promotion_step_named(std::string_view name) noexcept;

struct Promotion {
  static constexpr size_t kWarningsMax = 50;

  // A server that was taken out of the group because it could not be made a replica.
  struct Excluded {
    Address server;
    std::string reason;
    bool operator==(const Excluded&) const = default;
  };

  uint64_t id = 0;
  uint32_t group = 0;
  Address server;      // To be the master.
  Address old_master;  // When it was asked for; may be `server` when forced.
  bool force = false;  // The old master need not answer, nor the replica have everything.
  bool pause_migrations = false;  // Those of the group are held meanwhile; with force always.
  PromotionStep step = PromotionStep::kChecking;
  std::string created_by;
  int64_t created_at = 0;  // Milliseconds since 1970 UTC.
  int64_t ended_at = 0;    // 0: not yet.
  std::string error;       // Why it failed.
  std::vector<std::string> warnings;
  std::vector<Excluded> excluded;

  bool ended() const noexcept {
    return step == PromotionStep::kSucceeded || step == PromotionStep::kFailed;
  }
  bool holds_locks() const noexcept {
    return step == PromotionStep::kLocking || step == PromotionStep::kPromoting;
  }

  bool holds_migrations() const noexcept {
    return step == PromotionStep::kPausing || holds_locks();
  }

  bool operator==(const Promotion&) const = default;
};

}  // namespace pikaproxy
