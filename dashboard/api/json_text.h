#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "common/result.h"

namespace pikaproxy {

// Nesting of a request's body: arrays and objects within each other.
inline constexpr int kJsonDepthMax = 16;

// Reads a request's body strictly: one object, in UTF-8, without duplicate keys, at most
// kJsonDepthMax deep, nothing behind it. Errors: a sentence for the client.
Result<nlohmann::json> parse_json_object(std::string_view text);

// As it is sent, with a line end for terminals. Bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const nlohmann::json& value);

// Whether it can be sent as a JSON string.
bool is_utf8(std::string_view text) noexcept;
// RFC 4648, with "=" at the end.
std::string base64(std::string_view bytes);

}  // namespace pikaproxy
