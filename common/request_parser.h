#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/command_table.h"

namespace pikaproxy {

// What a request may be. Source of the unauthenticated bounds and of all error texts: Redis'
// networking.c (processMultibulkBuffer, processInlineBuffer).
struct RequestLimits {
  uint64_t bulk_max = 512ull << 20;   // One argument.
  uint64_t request_max = 1ull << 30;  // All bytes of one request.
  bool authenticated = true;          // Strangers may send 10 arguments of 16 KiB.
};

// How far an incomplete request has been checked, so that the next bytes need no second look at
// the first ones. Kept by the client between calls; a new request starts with an empty one.
struct RequestProgress {
  uint64_t scanned = 0;    // These bytes from the request's start are well-formed.
  uint32_t args_left = 0;  // Arguments that follow them.
};

// Splits a client's bytes into requests: RESP arrays of bulk strings, or inline commands with
// Redis' quoting. One per worker; what args() returns lives until the next parse() or until the
// bytes are gone.
//
// Stricter than Redis in one point: the CRLF behind an argument is checked, because the bytes are
// passed on to servers as they are.
class RequestParser {
 public:
  enum class Status : uint8_t {
    kRequest,   // args() and size() describe one complete request.
    kNothing,   // size() bytes that ask for nothing: an empty line, "*0", "*-1".
    kNeedMore,  // Call again with the same bytes and more behind them; size_hint() says how many.
    kError,     // error() is the text behind "-ERR Protocol error: "; close the connection.
  };

  // Looks at the request at the start of `bytes`.
  Status parse(std::string_view bytes, RequestProgress& progress, const RequestLimits& limits);

  Arguments args() const noexcept { return args_; }
  uint64_t size() const noexcept { return size_; }
  bool is_inline() const noexcept { return is_inline_; }
  // kNeedMore: the request has at least so many bytes in all.
  uint64_t size_hint() const noexcept { return size_; }
  std::string_view error() const noexcept { return error_; }

  // Gives back what an unusually large request made the parser keep.
  void shrink();

 private:
  enum class Line : uint8_t { kOk, kNeedMore, kBad };

  Status parse_array(std::string_view bytes, RequestProgress& progress, const RequestLimits& limits,
                     bool collect);
  Status parse_inline(std::string_view bytes);
  Status fail(std::string_view text);
  static Line read_length(std::string_view bytes, uint64_t& at, int64_t& value) noexcept;

  std::vector<std::string_view> args_;
  std::vector<std::string> inline_args_;  // Unquoted copies that args_ points into.
  std::string error_;
  uint64_t size_ = 0;
  bool is_inline_ = false;
};

}  // namespace pikaproxy
