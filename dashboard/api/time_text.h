#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pikaproxy {

// Times of the API: RFC 3339 in UTC with milliseconds, "2026-11-23T15:04:05.678Z". As numbers they
// are milliseconds since 1970.
int64_t now_ms() noexcept;
std::string time_text(int64_t ms);
// Also without the fraction, or with 1 to 9 digits of it. Nothing for anything else, such as a time
// that is not UTC or a day that does not exist.
std::optional<int64_t> parse_time_ms(std::string_view text);

}  // namespace pikaproxy
