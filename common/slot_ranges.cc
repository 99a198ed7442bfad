#include "common/slot_ranges.h"

#include <algorithm>

#include "common/ascii.h"
#include "common/slot.h"
#include "common/text.h"

namespace pikaproxy {
namespace {

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Error bad(std::string_view text, std::string_view why) {
  return Error{quote(text) + " is not a slot range: " + std::string(why) +
               " (write \"0-341\", \"7\" or \"0-99,200\"; slots are 0 to 1023)"};
}

}  // namespace

Result<std::vector<SlotRange>> parse_slot_ranges(std::string_view text) {
  std::vector<SlotRange> ranges;
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view part = trim(rest.substr(0, comma));
    const size_t dash = part.find('-');
    const std::string_view from = trim(part.substr(0, dash));
    const std::string_view to = dash == std::string_view::npos ? from : trim(part.substr(dash + 1));
    unsigned first = 0;
    unsigned last = 0;
    if (part.empty()) return bad(text, "a range is empty");
    if (!parse_integer(from, first) || !parse_integer(to, last)) {
      return bad(text, quote(part) + " is neither a number nor two with \"-\" between");
    }
    if (first >= kSlotCount || last >= kSlotCount) {
      return bad(text, std::to_string(std::max(first, last)) + " is beyond the last slot");
    }
    if (first > last) return bad(text, quote(part) + " ends before it begins");
    ranges.push_back({static_cast<uint16_t>(first), static_cast<uint16_t>(last)});
    if (comma == std::string_view::npos) return ranges;
    rest.remove_prefix(comma + 1);
  }
}

std::vector<SlotRange> merge_slot_ranges(std::vector<SlotRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const SlotRange& a, const SlotRange& b) { return a.first < b.first; });
  std::vector<SlotRange> merged;
  for (const SlotRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

std::vector<SlotRange> missing_slots(const std::vector<SlotRange>& ranges) {
  std::vector<SlotRange> missing;
  unsigned next = 0;
  for (const SlotRange& range : ranges) {
    if (next < range.first) {
      missing.push_back({static_cast<uint16_t>(next), static_cast<uint16_t>(range.first - 1)});
    }
    next = range.last + 1u;
  }
  if (next < kSlotCount) {
    missing.push_back({static_cast<uint16_t>(next), static_cast<uint16_t>(kSlotCount - 1)});
  }
  return missing;
}

std::string format_slot_ranges(const std::vector<SlotRange>& ranges) {
  std::string out;
  for (const SlotRange& range : ranges) {
    if (!out.empty()) out += ',';
    out += std::to_string(range.first);
    if (range.last != range.first) out += "-" + std::to_string(range.last);
  }
  return out;
}

}  // namespace pikaproxy
