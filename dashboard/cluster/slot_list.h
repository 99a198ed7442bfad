#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "common/slot.h"
#include "dashboard/api/body_reader.h"

namespace pikaproxy {

// Slots of a request's body, as "slots": [1, 2] or "ranges": [{"from": 0, "to": 7}] or both;
// sorted, each once. Nothing if neither was sent.
inline std::optional<std::vector<SlotId>> read_slots(BodyReader& body) {
  std::vector<SlotId> slots;
  const auto list =
      body.optional_integer_list("slots", {.min = 1, .max = kSlotCount}, 0, kSlotCount - 1);
  for (const int64_t slot : list.value_or(std::vector<int64_t>())) {
    slots.push_back(static_cast<SlotId>(slot));
  }
  const bool has_ranges =
      body.optional_objects("ranges", {.min = 1, .max = kSlotCount}, [&](BodyReader& range) {
        const int64_t from = range.integer("from", 0, kSlotCount - 1);
        const int64_t to = range.integer("to", 0, kSlotCount - 1);
        if (from > to) range.fail("to", "invalid", "Must not be less than from.");
        for (int64_t slot = from; slot <= to; ++slot) slots.push_back(static_cast<SlotId>(slot));
      });
  if (!list && !has_ranges) return std::nullopt;
  std::sort(slots.begin(), slots.end());
  slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
  return slots;
}

}  // namespace pikaproxy
