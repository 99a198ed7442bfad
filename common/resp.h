#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace pikaproxy::resp {

// RESP2 text, appended to a string.

inline void append_number(std::string& out, int64_t value) {
  char digits[24];
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, result.ptr);
}
inline void append_header(std::string& out, char type, int64_t value) {
  out += type;
  append_number(out, value);
  out += "\r\n";
}
inline void append_array(std::string& out, int64_t elements) {
  append_header(out, '*', elements);
}
inline void append_integer(std::string& out, int64_t value) {
  append_header(out, ':', value);
}
inline void append_bulk(std::string& out, std::string_view text) {
  append_header(out, '$', static_cast<int64_t>(text.size()));
  out += text;
  out += "\r\n";
}
inline void append_null(std::string& out) {
  out += "$-1\r\n";
}
inline void append_status(std::string& out, std::string_view text) {
  out += '+';
  out += text;
  out += "\r\n";
}
// `text` begins with the error's code ("ERR ..."). Line ends in it become spaces.
inline void append_error(std::string& out, std::string_view text) {
  out += '-';
  for (const char c : text) out += c == '\r' || c == '\n' ? ' ' : c;
  out += "\r\n";
}

inline std::string error(std::string_view text) {
  std::string out;
  append_error(out, text);
  return out;
}
inline std::string bulk(std::string_view text) {
  std::string out;
  append_bulk(out, text);
  return out;
}
inline std::string integer(int64_t value) {
  std::string out;
  append_integer(out, value);
  return out;
}

inline constexpr std::string_view kOk = "+OK\r\n";
inline constexpr std::string_view kEmptyArray = "*0\r\n";
inline constexpr std::string_view kNull = "$-1\r\n";
inline constexpr std::string_view kNullArray = "*-1\r\n";

}  // namespace pikaproxy::resp
