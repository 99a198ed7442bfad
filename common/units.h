#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pikaproxy {

// Sizes and durations as operators write them. Both ways are exact: parse(format(x)) == x.

// "1048576", "512kb", "64mb", "4gb", "1tb"; units are powers of 1024 and may be upper case.
//   Errors: no number, an unknown unit (also "m": is it 1000^2 or 1024^2?), 2^63 and more.
Result<uint64_t> parse_size(std::string_view text);
// In the largest unit that leaves a whole number.
std::string format_size(uint64_t bytes);

// "10us", "500ms", "30s", "5m", "1h", "7d", or "0".
//   Errors: a bare number other than 0, an unknown unit, a fraction, a minus, more than 3650 days.
Result<std::chrono::microseconds> parse_duration(std::string_view text);
// In the largest unit that leaves a whole number; zero is "0".
//   Shape: not negative.
std::string format_duration(std::chrono::microseconds duration);

}  // namespace pikaproxy
