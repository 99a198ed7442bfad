#include "common/reply_framer.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace pikaproxy {
namespace {

constexpr uint32_t kTextMax = 1 << 20;  // A status, error or integer line.
constexpr uint32_t kLengthDigitsMax = 18;
constexpr uint64_t kBulkMax = 1ull << 33;  // Redis' own maximum of proto-max-bulk-len is far below.
constexpr uint64_t kElementsMax = 1ull << 32;

// The end of a bulk string all of whose bytes are at hand, its type byte excluded: nearly every
// value on the way. Null otherwise, which says nothing; the state machine looks again.
const char* skip_bulk(const char* at, const char* end) noexcept {
  constexpr std::ptrdiff_t kDigitsMax = 9;
  const char* const first = at;
  size_t length = 0;
  for (; at != end && *at >= '0' && *at <= '9'; ++at) {
    length = length * 10 + static_cast<size_t>(*at - '0');
    if (at - first >= kDigitsMax) return nullptr;
  }
  if (at == first || end - at < 4) return nullptr;
  if (static_cast<size_t>(end - at) < length + 4 || at[0] != '\r' || at[1] != '\n') return nullptr;
  at += 2 + length;
  return at[0] == '\r' && at[1] == '\n' ? at + 2 : nullptr;
}

}  // namespace

ReplyFramer::Status ReplyFramer::feed(std::string_view bytes, uint64_t& consumed) noexcept {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* at = begin;
  if (at == end) {
    consumed = 0;
    return Status::kNeedMore;
  }
  const bool is_new = elements_left_ == 0;
  if (is_new) elements_left_ = 1;
  while (at != end) {
    switch (state_) {
      case State::kType:
        type_ = *at++;
        if (type_ == '$') {
          if (const char* next = skip_bulk(at, end)) {
            at = next;
            --elements_left_;
            break;
          }
        }
        line_bytes_ = 0;
        switch (type_) {
          case '+':
          case '-':
          case ':':
            state_ = State::kText;
            break;
          case '$':
          case '*':
            length_ = 0;
            negative_ = false;
            state_ = State::kLength;
            break;
          default:
            if (!begin_resp3(is_new && at == begin + 1)) return Status::kError;
        }
        break;

      case State::kText: {
        const size_t left = static_cast<size_t>(end - at);
        const auto* cr = static_cast<const char*>(std::memchr(at, '\r', left));
        const auto text_end = cr == nullptr ? end : cr;
        line_bytes_ +=
            static_cast<uint32_t>(std::min<size_t>(left, static_cast<size_t>(text_end - at)));
        if (line_bytes_ > kTextMax) return Status::kError;
        if (dialect_ == Dialect::kResp3 && !is_text({at, static_cast<size_t>(text_end - at)})) {
          return Status::kError;
        }
        at = text_end;
        if (cr != nullptr) {
          if (type_ == '#' && line_bytes_ != 1) return Status::kError;
          ++at;
          state_ = State::kTextLf;
        }
        break;
      }

      case State::kTextLf:
        if (*at++ != '\n') return Status::kError;
        end_of_element();
        break;

      case State::kLength: {
        const char c = *at++;
        if (c >= '0' && c <= '9') {
          if (++line_bytes_ > kLengthDigitsMax) return Status::kError;
          length_ = length_ * 10 + static_cast<uint64_t>(c - '0');
        } else if (c == '-' && line_bytes_ == 0 && !negative_) {
          negative_ = true;
        } else if (c == '\r' && line_bytes_ > 0) {
          state_ = State::kLengthLf;
        } else {
          return Status::kError;
        }
        break;
      }

      case State::kLengthLf:
        if (*at++ != '\n' || !end_of_length()) return Status::kError;
        break;

      case State::kBody: {
        const uint64_t part = std::min<uint64_t>(body_left_, static_cast<uint64_t>(end - at));
        at += part;
        pass(part);
        break;
      }

      case State::kBodyCr:
        if (*at++ != '\r') return Status::kError;
        state_ = State::kBodyLf;
        break;

      case State::kBodyLf:
        if (*at++ != '\n') return Status::kError;
        end_of_element();
        break;
    }
    if (elements_left_ == 0) {
      consumed = static_cast<uint64_t>(at - begin);
      return Status::kComplete;
    }
  }
  consumed = bytes.size();
  return Status::kNeedMore;
}

void ReplyFramer::pass(uint64_t bytes) noexcept {
  assert(bytes <= body_left());
  body_left_ -= bytes;
  if (body_left_ == 0) state_ = State::kBodyCr;
}

bool ReplyFramer::begin_resp3(bool is_first) noexcept {
  if (dialect_ != Dialect::kResp3) return false;
  switch (type_) {
    case '_':
    case '#':
    case ',':
    case '(':
      state_ = State::kText;
      return true;
    case '>':
      // Only between replies: else nothing behind it would belong where it seems to.
      if (!is_first) return false;
      [[fallthrough]];
    case '!':
    case '=':
    case '%':
    case '~':
    case '|':
      length_ = 0;
      negative_ = false;
      state_ = State::kLength;
      return true;
    default:
      return false;
  }
}

bool ReplyFramer::is_text(std::string_view text) const noexcept {
  if (type_ == '_') return text.empty();
  if (type_ != '#') return true;
  return text.find_first_not_of("tf") == std::string_view::npos;
}

bool ReplyFramer::end_of_length() noexcept {
  const bool is_string = type_ == '$' || type_ == '!' || type_ == '=';
  if (negative_) {
    // Only -1 is a length: the null bulk string and the null array.
    if (length_ != 1 || (type_ != '$' && type_ != '*')) return false;
    end_of_element();
    return true;
  }
  if (is_string) {
    if (length_ > kBulkMax) return false;
    if (type_ == '=' && length_ < 4) return false;  // Its format: "txt:".
    body_left_ = length_;
    state_ = length_ == 0 ? State::kBodyCr : State::kBody;
    return true;
  }
  if (length_ > kElementsMax) return false;
  // An attribute does not count itself: what it describes is still to come.
  uint64_t elements = length_;
  if (type_ == '%' || type_ == '|') elements *= 2;
  if (type_ == '|') ++elements;
  if (elements_left_ + elements > kElementsMax) return false;
  elements_left_ += elements - 1;
  state_ = State::kType;
  return true;
}

std::string_view ReplyCursor::next() noexcept {
  ReplyFramer framer(ReplyFramer::Dialect::kResp3);
  uint64_t size = 0;
  if (framer.feed(rest_, size) != ReplyFramer::Status::kComplete) {
    rest_ = {};
    return {};
  }
  const std::string_view element = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return element;
}

int64_t ReplyCursor::enter() noexcept {
  const char kind = type();
  if (kind != '*' && kind != '~' && kind != '%' && kind != '>') return -1;
  const size_t line_end = rest_.find("\r\n");
  if (line_end == std::string_view::npos) return -1;
  int64_t length = -1;
  std::from_chars(rest_.data() + 1, rest_.data() + line_end, length);
  rest_.remove_prefix(line_end + 2);
  return kind == '%' && length > 0 ? 2 * length : length;
}

std::string_view reply_text(std::string_view element) noexcept {
  const size_t line_end = element.find("\r\n");
  if (line_end == std::string_view::npos) return {};
  switch (element[0]) {
    case '+':
    case '-':
    case ':':
    case ',':
    case '(':
      return element.substr(1, line_end - 1);
    case '$':
    case '!':
      if (element.size() < line_end + 4) return {};
      return element.substr(line_end + 2, element.size() - line_end - 4);
    case '=':
      if (element.size() < line_end + 8) return {};
      return element.substr(line_end + 6, element.size() - line_end - 8);
    default:
      return {};
  }
}

bool reply_integer(std::string_view element, int64_t& value) noexcept {
  if (element.empty() || element[0] != ':') return false;
  const std::string_view text = reply_text(element);
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size();
}

}  // namespace pikaproxy
