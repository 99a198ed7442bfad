#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "common/result.h"

namespace pikaproxy {

// Reads "0-341", "7" or several of those between commas.
//   Result: in the order written. Errors: not a number, beyond 1023, first > last, empty.
Result<std::vector<SlotRange>> parse_slot_ranges(std::string_view text);

// Sorted, overlapping and adjacent ranges made one: equal sets of slots give equal vectors.
std::vector<SlotRange> merge_slot_ranges(std::vector<SlotRange> ranges);

// The slots of 0..1023 in none of them; `ranges` must come from merge_slot_ranges().
std::vector<SlotRange> missing_slots(const std::vector<SlotRange>& ranges);

// "0-341,700"; empty for no slots.
std::string format_slot_ranges(const std::vector<SlotRange>& ranges);

}  // namespace pikaproxy
