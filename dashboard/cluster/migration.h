#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/slot.h"
#include "dashboard/cluster/topology.h"
#include "dashboard/mover/move_engine.h"

namespace pikaproxy {

// Migrations as values. What may happen to them is in cluster_state.h, who makes it happen in
// migration_runner.h, why it is right in docs/slot-migration.md.

// How far a slot has got. The document's table has the meaning of each.
enum class SlotStep : uint8_t {
  kPending,
  kPreparing,
  kMigrating,
  kFinishing,
  kDone,
  kCancelling,
  kReturning,  // kMigrating on the way back.
  kDropped,    // Cancelled before anything was done to it.
  // Locked while a group of its way gets another master, and the engine does not know it. The
  // latter two: a master was lost, and of keys that both groups have one copy goes before it moves
  // on.
  kHeld,
  kTargetStands,  // The source's goes: it is a replica that missed that they had moved.
  kSourceStands,  // The target's goes: the move was not answered.
};
std::string_view slot_step_name(SlotStep step) noexcept;
std::optional<SlotStep> slot_step_named(std::string_view name) noexcept;

struct MigrationSlot {
  SlotId slot = 0;
  uint32_t source = 0;  // Group that had it when the migration was made.
  uint32_t target = 0;
  SlotStep step = SlotStep::kPending;
  bool back = false;  // It goes from target to source: the migration was cancelled.

  // Its way at present.
  SlotMove move() const noexcept {
    return back ? SlotMove{slot, target, source} : SlotMove{slot, source, target};
  }
  bool is_held() const noexcept {
    return step == SlotStep::kHeld || step == SlotStep::kTargetStands ||
           step == SlotStep::kSourceStands;
  }
  // Something has been begun and not ended.
  bool in_work() const noexcept {
    return step != SlotStep::kPending && step != SlotStep::kDone && step != SlotStep::kDropped;
  }

  bool operator==(const MigrationSlot&) const = default;
};

enum class MigrationState : uint8_t {
  kPending,
  kRunning,
  kPaused,
  kCancelling,
  kCancelled,
  kFailed,
  kSucceeded,
};
std::string_view migration_state_name(MigrationState state) noexcept;
std::optional<MigrationState> migration_state_named(std::string_view name) noexcept;

// From group, to group.
using GroupPair = std::pair<uint32_t, uint32_t>;

struct Migration {
  // The engine goes through all keys of the source twice for each lot of so many slots, so few
  // large lots are much quicker than many small ones. A slot is locked once in either case.
  static constexpr uint32_t kParallelSlotsDefault = 512;
  static constexpr uint32_t kParallelSlotsMax = kSlotCount;
  static constexpr size_t kWarningsMax = 100;

  uint64_t id = 0;
  MigrationState state = MigrationState::kPending;
  std::vector<MigrationSlot> slots;       // In the order of their numbers.
  std::map<GroupPair, MoverKind> movers;  // Found by the check; kept for the migration's life.
  MoveLimits limits;                      // Of the whole migration.
  uint32_t parallel_slots = kParallelSlotsDefault;  // Slots in work at a time.
  bool rollback = true;                             // When cancelling: what has moved goes back.
  uint64_t plan_id = 0;                             // 0: none.
  std::string created_by;
  int64_t created_at = 0;             // Milliseconds since 1970 UTC, as all times here.
  int64_t started_at = 0;             // 0: not yet.
  int64_t ended_at = 0;               // 0: not yet.
  std::string error;                  // Why it failed.
  std::vector<std::string> warnings;  // The first kWarningsMax.
  uint64_t keys_moved = 0;            // Until the engine's jobs of now were opened.
  uint64_t bytes_moved = 0;

  // Nothing happens to it by itself any more.
  bool ended() const noexcept {
    return state == MigrationState::kCancelled || state == MigrationState::kFailed ||
           state == MigrationState::kSucceeded;
  }
  size_t count(SlotStep step) const;
  size_t in_work() const;
  // A slot is this migration's business as long as that has not ended.
  bool involves_group(uint32_t id) const;
  const MigrationSlot* find(SlotId slot) const;
  MigrationSlot* find(SlotId slot);

  bool operator==(const Migration&) const = default;
};

}  // namespace pikaproxy
