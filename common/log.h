#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/config.h"

namespace pikaproxy {

// One line per event: a constant text, then key=value pairs. Any thread; a line is one write(2).
//   log_warn("backend lost", "addr", addr, "inflight", n, "error", reason);
// Never values of keys, never passwords. Nothing per request above debug.

// Opens the destination and sets level and format; false with errno set if the file cannot be
// opened.
bool log_configure(const LogConfig& config);
void log_set_level(LogLevel level) noexcept;
LogLevel log_level() noexcept;
// Opens the file again (after rotation); keeps the old one if that fails.
void log_reopen();

namespace log_detail {

// A value of a pair, as text; holds numbers in place. Lives for one statement.
class Value {
 public:
  Value(std::string_view text) noexcept : text_(text) {}
  Value(const std::string& text) noexcept : text_(text) {}
  Value(const char* text) noexcept : text_(text) {}
  Value(bool value) noexcept : text_(value ? "true" : "false"), quoted_(false) {}
  Value(double value) noexcept;
  template <typename T>
  requires std::is_integral_v<T> Value(T value)
  noexcept {
    if constexpr (std::is_signed_v<T>) {
      set_signed(value);
    } else {
      set_unsigned(value);
    }
  }
  Value(const Value&) = delete;

  std::string_view text() const noexcept { return text_; }
  // False for numbers and booleans, which JSON writes bare.
  bool is_string() const noexcept { return quoted_; }

 private:
  void set_signed(int64_t value) noexcept;
  void set_unsigned(uint64_t value) noexcept;

  char digits_[32];
  std::string_view text_;
  bool quoted_ = true;
};

struct Pair {
  std::string_view key;
  const Value& value;
};

void write_line(LogLevel level, std::string_view event, std::initializer_list<Pair> pairs);

inline void log(LogLevel level, std::string_view event) {
  write_line(level, event, {});
}
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1);
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1,
         std::string_view k2, const Value& v2);
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1,
         std::string_view k2, const Value& v2, std::string_view k3, const Value& v3);
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1,
         std::string_view k2, const Value& v2, std::string_view k3, const Value& v3,
         std::string_view k4, const Value& v4);

}  // namespace log_detail

template <typename... Args>
void log_debug(std::string_view event, const Args&... args) {
  if (log_level() <= LogLevel::kDebug) log_detail::log(LogLevel::kDebug, event, args...);
}
template <typename... Args>
void log_info(std::string_view event, const Args&... args) {
  if (log_level() <= LogLevel::kInfo) log_detail::log(LogLevel::kInfo, event, args...);
}
template <typename... Args>
void log_warn(std::string_view event, const Args&... args) {
  if (log_level() <= LogLevel::kWarn) log_detail::log(LogLevel::kWarn, event, args...);
}
template <typename... Args>
void log_error(std::string_view event, const Args&... args) {
  log_detail::log(LogLevel::kError, event, args...);
}

}  // namespace pikaproxy
