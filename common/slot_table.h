#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/address.h"
#include "common/slot.h"

namespace pikaproxy {

// A group as a proxy needs it: whom to ask.
struct TableGroup {
  uint32_t id = 0;   // 1..9999, stable for the life of the group.
  std::string name;  // Unique; in errors, logs and metrics.
  Address master;
  std::string user;               // Empty = AUTH as "default" where a password is set.
  std::string password;           // Empty = no AUTH.
  std::vector<Address> replicas;  // May be read from.

  bool operator==(const TableGroup&) const = default;
};

enum class SlotState : uint8_t {
  kUnassigned,  // Nobody serves it.
  kNormal,      // Served by `group`.
  kLocked,      // Belongs to `group`; requests are held, none is sent.
  kMigrating,   // Keys leave `group` for `target`; requests go to `target` once their keys left.
};

// What holds for one slot. `group` and `target` index SlotTable::groups.
struct SlotEntry {
  static constexpr uint16_t kNone = 0xFFFF;

  SlotState state = SlotState::kUnassigned;
  uint16_t group = kNone;   // kNone only when unassigned.
  uint16_t target = kNone;  // Set when migrating, and then another group than `group`.

  bool operator==(const SlotEntry&) const = default;
};

// Who serves which slot: made by the dashboard's controller, followed by proxies. Immutable once
// published (shared_ptr<const SlotTable>).
struct SlotTable {
  // Grows with each table; a proxy refuses one that is older than its own.
  uint64_t epoch = 0;
  std::vector<TableGroup> groups;
  std::array<SlotEntry, kSlotCount> slots;

  bool operator==(const SlotTable&) const = default;
};

}  // namespace pikaproxy
