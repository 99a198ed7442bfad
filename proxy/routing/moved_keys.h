#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "common/slot.h"

namespace pikaproxy {

// A key of one database, as a hash table's key that can be looked for without being built.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>()(text);
  }
};

// Keys known to have left the source of a migrating slot. Bounded: when it is full everything is
// forgotten, which costs another question for a key. One thread.
class MovedKeys {
 public:
  // About so much memory.
  explicit MovedKeys(uint64_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  bool contains(SlotId slot, uint32_t db, std::string_view key) const noexcept {
    const auto keys = keys_.find(slot_and_db(slot, db));
    return keys != keys_.end() && keys->second.contains(key);
  }
  void add(SlotId slot, uint32_t db, std::string_view key);
  // The slot's entry has changed.
  void forget(SlotId slot);

  uint64_t bytes() const noexcept { return bytes_; }

 private:
  using Keys = std::unordered_set<std::string, StringHash, std::equal_to<>>;

  static uint64_t slot_and_db(SlotId slot, uint32_t db) noexcept {
    return uint64_t{slot} << 32 | db;
  }
  static uint64_t cost(std::string_view key) noexcept;

  const uint64_t bytes_max_;
  uint64_t bytes_ = 0;
  std::unordered_map<uint64_t, Keys> keys_;
};

}  // namespace pikaproxy
