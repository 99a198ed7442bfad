#include "common/units.h"

#include <array>
#include <charconv>
#include <limits>

#include "common/ascii.h"
#include "common/text.h"

namespace pikaproxy {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

// Smallest first.
constexpr std::array kSizeUnits = {Unit{"kb", 1LL << 10}, Unit{"mb", 1LL << 20},
                                   Unit{"gb", 1LL << 30}, Unit{"tb", 1LL << 40}};
constexpr std::array kTimeUnits = {
    Unit{"us", 1},         Unit{"ms", 1'000},        Unit{"s", 1'000'000},
    Unit{"m", 60'000'000}, Unit{"h", 3'600'000'000}, Unit{"d", 86'400'000'000}};
constexpr int64_t kDurationMaxUs = 3650 * 86'400'000'000;

// Splits "64mb" into 64 and "mb"; false if there is no number in front or it passes 2^63.
bool split(std::string_view text, int64_t& number, std::string_view& unit) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  unit = text.substr(static_cast<size_t>(end - text.data()));
  return ec == std::errc();
}

template <size_t N>
std::string format(int64_t value, const std::array<Unit, N>& units) {
  for (size_t i = N; i-- > 0;) {
    if (value % units[i].factor == 0) {
      return std::to_string(value / units[i].factor) + std::string(units[i].name);
    }
  }
  return std::to_string(value);
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  int64_t number = 0;
  std::string_view unit;
  if (split(text, number, unit)) {
    if (unit.empty()) return static_cast<uint64_t>(number);
    for (const Unit& known : kSizeUnits) {
      if (!equals_ignoring_case(unit, known.name)) continue;
      if (number > std::numeric_limits<int64_t>::max() / known.factor) {
        return Error{quote(text) + " is more bytes than 64 bits can count"};
      }
      return static_cast<uint64_t>(number * known.factor);
    }
  }
  return Error{quote(text) +
               " is not a size: write a whole number of bytes, or one with kb, mb, gb or tb, such "
               "as \"64mb\""};
}

std::string format_size(uint64_t bytes) {
  if (bytes == 0) return "0";
  return format(static_cast<int64_t>(bytes), kSizeUnits);
}

Result<std::chrono::microseconds> parse_duration(std::string_view text) {
  int64_t number = 0;
  std::string_view unit;
  if (split(text, number, unit)) {
    if (unit.empty() && number == 0) return std::chrono::microseconds(0);
    if (unit.empty()) {
      return Error{quote(text) + " has no unit: write \"" + std::string(text) + "s\" or \"" +
                   std::string(text) + "ms\""};
    }
    for (const Unit& known : kTimeUnits) {
      if (!equals_ignoring_case(unit, known.name)) continue;
      if (number > kDurationMaxUs / known.factor) {
        return Error{quote(text) + " is longer than 3650 days"};
      }
      return std::chrono::microseconds(number * known.factor);
    }
  }
  return Error{quote(text) +
               " is not a duration: write a whole number with us, ms, s, m, h or d, such as "
               "\"500ms\" or \"30s\""};
}

std::string format_duration(std::chrono::microseconds duration) {
  if (duration.count() == 0) return "0";
  return format(duration.count(), kTimeUnits);
}

}  // namespace pikaproxy
