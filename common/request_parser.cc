#include "common/request_parser.h"

#include <algorithm>
#include <cstring>

namespace pikaproxy {
namespace {

constexpr uint64_t kLineMax = 64 * 1024;  // PROTO_INLINE_MAX_SIZE
constexpr int64_t kArgumentsMax = 1024 * 1024;
constexpr int64_t kStrangerArgumentsMax = 10;
constexpr int64_t kStrangerBulkMax = 16 * 1024;
constexpr size_t kKeptArguments = 4096;

// isspace(): what may stand before a word and behind a closing quote.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// What ends a word without quotes: fewer characters than may stand before it. As in Redis'
// sdssplitargs().
bool ends_word(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Splits a line as redis-cli users know it: "double quotes" with \n \r \t \b \a \xHH and \",
// 'single quotes' with \'. False: a quote is not closed, or something sticks to a closing one.
bool split_quoted(std::string_view line, std::vector<std::string>& out) {
  size_t at = 0;
  for (;;) {
    while (at < line.size() && is_space(line[at])) ++at;
    if (at == line.size()) return true;
    std::string& word = out.emplace_back();
    char quote = 0;
    for (;; ++at) {
      if (at == line.size()) {
        if (quote != 0) return false;
        return true;
      }
      const char c = line[at];
      if (quote == '"' && c == '\\' && at + 1 < line.size()) {
        const char escaped = line[at + 1];
        if (escaped == 'x' && at + 3 < line.size() && hex_value(line[at + 2]) >= 0 &&
            hex_value(line[at + 3]) >= 0) {
          word += static_cast<char>(hex_value(line[at + 2]) * 16 + hex_value(line[at + 3]));
          at += 3;
          continue;
        }
        switch (escaped) {
          case 'n':
            word += '\n';
            break;
          case 'r':
            word += '\r';
            break;
          case 't':
            word += '\t';
            break;
          case 'b':
            word += '\b';
            break;
          case 'a':
            word += '\a';
            break;
          default:
            word += escaped;
        }
        ++at;
      } else if (quote == '\'' && c == '\\' && at + 1 < line.size() && line[at + 1] == '\'') {
        word += '\'';
        ++at;
      } else if (quote != 0) {
        if (c != quote) {
          word += c;
          continue;
        }
        if (at + 1 < line.size() && !is_space(line[at + 1])) return false;
        ++at;
        break;
      } else if (ends_word(c)) {
        break;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else {
        word += c;
      }
    }
  }
}

}  // namespace

RequestParser::Status RequestParser::parse(std::string_view bytes, RequestProgress& progress,
                                           const RequestLimits& limits) {
  size_ = 0;
  if (bytes.empty()) {
    size_ = 1;
    return Status::kNeedMore;
  }
  if (bytes[0] != '*') return parse_inline(bytes);
  is_inline_ = false;
  if (progress.scanned == 0) return parse_array(bytes, progress, limits, true);
  // Most of it was seen before: first find its end, then collect the arguments once.
  const Status status = parse_array(bytes, progress, limits, false);
  if (status != Status::kRequest) return status;
  progress = {};
  return parse_array(bytes, progress, limits, true);
}

RequestParser::Line RequestParser::read_length(std::string_view bytes, uint64_t& at,
                                               int64_t& value) noexcept {
  // Reads "<integer>\r\n" behind the type byte. An integer is what Redis' string2ll takes: no "+",
  // no spaces, no leading zeros.
  const char* const data = bytes.data();
  const uint64_t end = bytes.size();
  uint64_t i = at;
  if (i == end) return Line::kNeedMore;
  const bool negative = data[i] == '-';
  if (negative) ++i;
  const uint64_t first_digit = i;
  uint64_t magnitude = 0;
  for (;; ++i) {
    if (i == end) return Line::kNeedMore;
    const auto digit = static_cast<unsigned char>(data[i] - '0');
    if (digit > 9) break;
    if (i - first_digit >= 18) return Line::kBad;
    magnitude = magnitude * 10 + digit;
  }
  const uint64_t digits = i - first_digit;
  if (digits == 0) return Line::kBad;
  if (data[first_digit] == '0' && (digits > 1 || negative)) return Line::kBad;
  if (data[i] != '\r') return Line::kBad;
  if (i + 1 == end) return Line::kNeedMore;
  if (data[i + 1] != '\n') return Line::kBad;
  value = negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  at = i + 2;
  return Line::kOk;
}

RequestParser::Status RequestParser::parse_array(std::string_view bytes, RequestProgress& progress,
                                                 const RequestLimits& limits, bool collect) {
  uint64_t at = progress.scanned;
  int64_t value = 0;
  if (collect) args_.clear();
  if (at == 0) {
    at = 1;
    switch (read_length(bytes, at, value)) {
      case Line::kNeedMore:
        size_ = bytes.size() + 1;
        return Status::kNeedMore;
      case Line::kOk:
        break;
      case Line::kBad:
        return fail("invalid multibulk length");
    }
    if (value > kArgumentsMax) return fail("invalid multibulk length");
    if (!limits.authenticated && value > kStrangerArgumentsMax) {
      return fail("unauthenticated multibulk length");
    }
    if (value <= 0) {
      size_ = at;
      return Status::kNothing;
    }
    progress.scanned = at;
    progress.args_left = static_cast<uint32_t>(value);
  }
  while (progress.args_left > 0) {
    if (at == bytes.size()) {
      size_ = at + 1;
      return Status::kNeedMore;
    }
    if (bytes[at] != '$') {
      error_ = "expected '$', got '";
      // What a terminal cannot show would only confuse the one who reads the error.
      error_ += bytes[at] >= ' ' && bytes[at] <= '~' ? bytes[at] : '?';
      error_ += '\'';
      return Status::kError;
    }
    ++at;
    switch (read_length(bytes, at, value)) {
      case Line::kNeedMore:
        size_ = bytes.size() + 1;
        return Status::kNeedMore;
      case Line::kOk:
        break;
      case Line::kBad:
        return fail("invalid bulk length");
    }
    if (value < 0 || static_cast<uint64_t>(value) > limits.bulk_max) {
      return fail("invalid bulk length");
    }
    if (!limits.authenticated && value > kStrangerBulkMax) {
      return fail("unauthenticated bulk length");
    }
    const auto length = static_cast<uint64_t>(value);
    if (at + length + 2 > limits.request_max) {
      error_ = "request is larger than the limit of " + std::to_string(limits.request_max) +
               " bytes (proxy.request_max)";
      return Status::kError;
    }
    // What has arrived of the CRLF is checked at once: an error should not wait for more bytes.
    if (at + length < bytes.size() && bytes[at + length] != '\r') {
      return fail("expected CRLF after bulk string");
    }
    if (at + length + 2 > bytes.size()) {
      size_ = at + length + 2;
      return Status::kNeedMore;
    }
    if (bytes[at + length + 1] != '\n') return fail("expected CRLF after bulk string");
    if (collect) args_.emplace_back(bytes.data() + at, length);
    at += length + 2;
    progress.scanned = at;
    --progress.args_left;
  }
  size_ = at;
  if (collect) progress = {};
  return Status::kRequest;
}

RequestParser::Status RequestParser::parse_inline(std::string_view bytes) {
  is_inline_ = true;
  const size_t newline = bytes.substr(0, kLineMax).find('\n');
  if (newline == std::string_view::npos) {
    if (bytes.size() >= kLineMax) return fail("too big inline request");
    size_ = bytes.size() + 1;
    return Status::kNeedMore;
  }
  size_ = newline + 1;
  std::string_view line = bytes.substr(0, newline);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find('\0') != std::string_view::npos) return fail("NUL byte in inline request");
  inline_args_.clear();
  args_.clear();
  if (!split_quoted(line, inline_args_)) return fail("unbalanced quotes in request");
  if (inline_args_.empty()) return Status::kNothing;
  args_.assign(inline_args_.begin(), inline_args_.end());
  return Status::kRequest;
}

RequestParser::Status RequestParser::fail(std::string_view text) {
  error_ = text;
  return Status::kError;
}

void RequestParser::shrink() {
  if (args_.capacity() > kKeptArguments) std::vector<std::string_view>().swap(args_);
  if (inline_args_.capacity() > kKeptArguments) std::vector<std::string>().swap(inline_args_);
}

}  // namespace pikaproxy
