#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/resp.h"

namespace pikaproxy {

// The version of Redis' protocol that a client has chosen by HELLO.
enum class RespVersion : uint8_t { k2 = 2, k3 = 3 };

namespace resp {

// What the two versions write differently, appended to a string. The elements follow.

// `pairs` keys with their values; RESP2 has a flat array for it.
inline void append_map(std::string& out, RespVersion version, int64_t pairs) {
  append_header(out, version == RespVersion::k3 ? '%' : '*',
                version == RespVersion::k3 ? pairs : 2 * pairs);
}
inline void append_set(std::string& out, RespVersion version, int64_t elements) {
  append_header(out, version == RespVersion::k3 ? '~' : '*', elements);
}
// A message that answers no request; RESP2 has an array for it.
inline void append_push(std::string& out, RespVersion version, int64_t elements) {
  append_header(out, version == RespVersion::k3 ? '>' : '*', elements);
}
// Text for people, such as INFO.
inline void append_verbatim(std::string& out, RespVersion version, std::string_view text) {
  if (version == RespVersion::k2) {
    append_bulk(out, text);
    return;
  }
  append_header(out, '=', static_cast<int64_t>(text.size() + 4));
  out += "txt:";
  out += text;
  out += "\r\n";
}

inline std::string verbatim(RespVersion version, std::string_view text) {
  std::string out;
  append_verbatim(out, version, text);
  return out;
}
// A value that does not exist.
inline std::string_view null(RespVersion version) noexcept {
  return version == RespVersion::k3 ? std::string_view("_\r\n") : kNull;
}
// An array that does not exist: of an EXEC whose keys have changed, a BLPOP whose time is up.
inline std::string_view null_array(RespVersion version) noexcept {
  return version == RespVersion::k3 ? std::string_view("_\r\n") : kNullArray;
}

}  // namespace resp
}  // namespace pikaproxy
