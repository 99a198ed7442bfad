#include "dashboard/api/json_text.h"

#include <set>
#include <vector>

namespace pikaproxy {
namespace {

// What the parser's callback throws; never leaves this file.
struct Refusal {
  std::string detail;
};

}  // namespace

Result<nlohmann::json> parse_json_object(std::string_view text) {
  using Json = nlohmann::json;
  // The parser takes a zero byte for the end and would not look at what follows.
  if (text.find('\0') != std::string_view::npos) return Error{"The body holds a zero byte."};
  std::vector<std::set<std::string>> keys;  // Of the objects that are open.
  const auto look = [&keys](int depth, Json::parse_event_t event, Json& value) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= kJsonDepthMax) {
          throw Refusal{"The body is nested more than " + std::to_string(kJsonDepthMax) +
                        " levels deep."};
        }
        if (event == Json::parse_event_t::object_start) keys.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!keys.back().insert(value.get<std::string>()).second) {
          throw Refusal{"The body has a field twice in one object."};
        }
        break;
      default:
        break;
    }
    return true;
  };
  try {
    Json value = Json::parse(text.begin(), text.end(), look);
    if (!value.is_object()) return Error{"The body is not a JSON object: write {...}."};
    return value;
  } catch (const Refusal& refusal) {
    return Error{refusal.detail};
  } catch (const Json::parse_error& error) {
    // Its text may quote the body, which may hold a password.
    return Error{"The body is not valid JSON in UTF-8: the mistake is at byte " +
                 std::to_string(error.byte) + "."};
  } catch (const Json::exception&) {
    return Error{"The body holds a number that is out of range."};
  }
}

std::string dump_json(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

bool is_utf8(std::string_view text) noexcept {
  size_t i = 0;
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  while (i < text.size()) {
    const unsigned char first = byte(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() - i < length) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return false;
    }
    // Overlong forms, surrogates, beyond U+10FFFF.
    const unsigned char second = byte(i + 1);
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
      return false;
    }
    i += length;
  }
  return true;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t j = 0; j < 3; ++j) {
      three = three << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += i + j > bytes.size() ? '=' : kDigits[three >> (18 - 6 * j) & 63];
    }
  }
  return text;
}

}  // namespace pikaproxy
