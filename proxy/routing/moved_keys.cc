#include "proxy/routing/moved_keys.h"

namespace pikaproxy {

uint64_t MovedKeys::cost(std::string_view key) noexcept {
  // A node of the table, its place in the array, and the bytes where they do not fit into a string.
  constexpr uint64_t kNode = 64;
  constexpr size_t kInString = 15;
  return kNode + (key.size() > kInString ? key.size() + 1 : 0);
}

void MovedKeys::add(SlotId slot, uint32_t db, std::string_view key) {
  if (cost(key) > bytes_max_) return;
  if (bytes_ + cost(key) > bytes_max_) {
    keys_.clear();
    bytes_ = 0;
  }
  if (keys_[slot_and_db(slot, db)].emplace(key).second) bytes_ += cost(key);
}

void MovedKeys::forget(SlotId slot) {
  std::erase_if(keys_, [&](const auto& entry) {
    if (entry.first >> 32 != slot) return false;
    for (const std::string& key : entry.second) bytes_ -= cost(key);
    return true;
  });
}

}  // namespace pikaproxy
