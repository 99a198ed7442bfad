#include "common/slot_ranges.h"

#include <bitset>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "common/slot.h"

using namespace pikaproxy;

TEST_SUITE("common/slot_ranges") {
  TEST_CASE("ranges, single slots and lists of both are read in order") {
    const auto ranges = parse_slot_ranges("683-1023, 7 ,0-5");
    REQUIRE(ranges.ok());
    CHECK(format_slot_ranges(*ranges) == "683-1023,7,0-5");
    CHECK(format_slot_ranges(merge_slot_ranges(*ranges)) == "0-5,7,683-1023");
  }

  TEST_CASE("what is no range is refused") {
    for (const char* text : {"", " ", "-", "1-", "-1", "a", "1-2-3", "5-4", "1024", "0-1024", "1,",
                             ",1", "1,,2", "0x1", "99999999999"}) {
      CAPTURE(text);
      CHECK_FALSE(parse_slot_ranges(text).ok());
    }
  }

  TEST_CASE("merged ranges and missing ones hold every slot exactly once") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 200; ++round) {
      std::bitset<kSlotCount> expected;
      std::vector<SlotRange> ranges;
      for (size_t count = random() % 20; count > 0; --count) {
        const auto first = static_cast<uint16_t>(random() % kSlotCount);
        const auto last = static_cast<uint16_t>(
            std::min<unsigned>(kSlotCount - 1, first + static_cast<unsigned>(random() % 200)));
        ranges.push_back({first, last});
        for (unsigned slot = first; slot <= last; ++slot) expected.set(slot);
      }
      const auto merged = merge_slot_ranges(ranges);
      std::bitset<kSlotCount> actual;
      for (const SlotRange& range : merged) {
        for (unsigned slot = range.first; slot <= range.last; ++slot) {
          REQUIRE_FALSE(actual.test(slot));
          actual.set(slot);
        }
      }
      REQUIRE(actual == expected);
      for (const SlotRange& range : missing_slots(merged)) {
        for (unsigned slot = range.first; slot <= range.last; ++slot) {
          REQUIRE_FALSE(actual.test(slot));
          actual.set(slot);
        }
      }
      REQUIRE(actual.all());
      if (!merged.empty()) {
        REQUIRE(parse_slot_ranges(format_slot_ranges(merged)).value() == merged);
      }
    }
  }
}
