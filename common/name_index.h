#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace pikaproxy {

// Finds a lower-case name of at most 24 bytes by a name in any case, without allocation or strcmp:
// a name is packed into three words, and a hash of them looks it up by open addressing. Built at
// compile time. Only A-Z are folded; other bytes, zero included, must be equal.
template <size_t kSlots>
class NameIndex {
  static_assert(std::has_single_bit(kSlots));
  static_assert(std::endian::native == std::endian::little, "names are read as whole words");

 public:
  static constexpr size_t kNameSizeMax = 24;
  static constexpr uint16_t kNone = 0xFFFF;

  // `value` must not be kNone. False if the name is empty, too long or known, or the index full.
  constexpr bool insert(std::string_view name, uint16_t value) noexcept {
    if (name.empty() || name.size() > kNameSizeMax || used_ + 1 == kSlots) return false;
    const Packed packed = pack(name);
    size_t at = slot_of_hash(packed);
    while (entries_[at].value != kNone) {
      if (entries_[at].holds(packed)) return false;
      at = (at + 1) % kSlots;
    }
    entries_[at] = {packed.first, packed.middle, packed.last, packed.size, value};
    ++used_;
    return true;
  }

  // kNone if there is no such name.
  constexpr uint16_t find(std::string_view name) const noexcept {
    if (name.empty() || name.size() > kNameSizeMax) return kNone;
    const Packed packed = pack(name);
    for (size_t at = slot_of_hash(packed);; at = (at + 1) % kSlots) {
      const Entry& entry = entries_[at];
      if (entry.holds(packed) || entry.value == kNone) return entry.value;
    }
  }

 private:
  // The first eight bytes, the eight after those, the last eight; they overlap as the size
  // requires.
  struct Packed {
    uint64_t first = 0, middle = 0, last = 0;
    uint16_t size = 0;
  };
  // Two to a cache line.
  struct alignas(32) Entry {
    uint64_t first = 0, middle = 0, last = 0;
    uint16_t size = 0;
    uint16_t value = kNone;

    constexpr bool holds(const Packed& packed) const noexcept {
      // Without branches: mostly all are equal.
      return ((first ^ packed.first) | (middle ^ packed.middle) | (last ^ packed.last) |
              static_cast<uint64_t>(size ^ packed.size)) == 0;
    }
  };

  template <typename Word>
  static constexpr uint64_t load(const char* at) noexcept {
    if (std::is_constant_evaluated()) {
      uint64_t word = 0;
      for (size_t k = 0; k < sizeof(Word); ++k) {
        word |= static_cast<uint64_t>(static_cast<uint8_t>(at[k])) << (8 * k);
      }
      return word;
    }
    Word word;
    std::memcpy(&word, at, sizeof(Word));
    return word;
  }

  // A-Z to a-z in all eight bytes at once. The sums carry into a byte's high bit exactly when its
  // low seven bits are at least 'A', or above 'Z'; bytes above 0x7F are left alone.
  static constexpr uint64_t lower(uint64_t word) noexcept {
    constexpr uint64_t kEach = 0x0101010101010101;
    const uint64_t low = word & (0x7F * kEach);
    const uint64_t from_a = low + (0x80 - 'A') * kEach;
    const uint64_t past_z = low + (0x80 - 'Z' - 1) * kEach;
    const uint64_t is_upper = (from_a ^ past_z) & ~word & (0x80 * kEach);
    return word | (is_upper >> 2);
  }

  static constexpr Packed pack(std::string_view name) noexcept {
    const char* at = name.data();
    const size_t size = name.size();
    Packed packed;
    packed.size = static_cast<uint16_t>(size);
    if (size >= 8) {
      packed.first = lower(load<uint64_t>(at));
      packed.last = lower(load<uint64_t>(at + size - 8));
      if (size > 16) packed.middle = lower(load<uint64_t>(at + 8));
    } else if (size >= 4) {
      packed.first = lower(load<uint32_t>(at) | load<uint32_t>(at + size - 4) << 32);
    } else {
      packed.first = lower(load<uint8_t>(at) | load<uint8_t>(at + size / 2) << 8 |
                           load<uint8_t>(at + size - 1) << 16);
    }
    return packed;
  }

  static constexpr size_t slot_of_hash(const Packed& packed) noexcept {
    constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio.
    const uint64_t mixed =
        (packed.first ^ std::rotl(packed.last, 29) ^ std::rotl(packed.middle, 47)) + packed.size;
    return static_cast<size_t>((mixed * kOdd) >> (64 - std::countr_zero(kSlots)));
  }

  std::array<Entry, kSlots> entries_{};
  size_t used_ = 0;
};

}  // namespace pikaproxy
