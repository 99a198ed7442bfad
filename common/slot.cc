#include "common/slot.h"

#include "common/crc32.h"

namespace pikaproxy {

std::string_view hash_part(std::string_view key) noexcept {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos) return key;
  return key.substr(open + 1, close - open - 1);
}

SlotId slot_of(std::string_view key) noexcept {
  return static_cast<SlotId>(crc32(hash_part(key)) % kSlotCount);
}

}  // namespace pikaproxy
