#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// Finds where a server's reply ends, whatever pieces it arrives in, without keeping any of it.
// Anything that is not well-formed is an error: the connection can no longer be trusted.
//
//   RESP2   + - : $ *
//   RESP3   the same and _ # , ( ! = % ~ > |   An attribute (|) belongs to the reply that follows
//           it; a push (>) is a message of its own and never part of a reply.
//
// Streamed types ($? and *?) are an error: no server sends them.
//   Source: https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md
class ReplyFramer {
 public:
  enum class Dialect : uint8_t { kResp2, kResp3 };
  enum class Status : uint8_t {
    kNeedMore,  // All of `bytes` belongs to the reply, and it goes on.
    kComplete,  // The reply ends within `bytes`; the framer is ready for the next one.
    kError,     // Not of the dialect, or a length beyond any that a server sends.
  };

  explicit ReplyFramer(Dialect dialect = Dialect::kResp2) noexcept : dialect_(dialect) {}

  // Takes the next bytes. `consumed` becomes how many of them belong to the reply.
  Status feed(std::string_view bytes, uint64_t& consumed) noexcept;

  // Between replies: no byte of the next one has been seen.
  bool at_start() const noexcept { return elements_left_ == 0; }

  // How many of the next bytes are certain to belong to the bulk string under way: feed() would
  // look at none of them. pass() does its work for `bytes` of these.
  uint64_t body_left() const noexcept { return state_ == State::kBody ? body_left_ : 0; }
  void pass(uint64_t bytes) noexcept;

  void reset(Dialect dialect) noexcept { *this = ReplyFramer(dialect); }
  Dialect dialect() const noexcept { return dialect_; }

 private:
  enum class State : uint8_t { kType, kText, kTextLf, kLength, kLengthLf, kBody, kBodyCr, kBodyLf };

  bool begin_resp3(bool is_first) noexcept;
  bool is_text(std::string_view text) const noexcept;
  bool end_of_length() noexcept;
  void end_of_element() noexcept {
    --elements_left_;
    state_ = State::kType;
  }

  uint64_t elements_left_ = 0;  // Of the reply; an array adds its elements. 0 = between replies.
  uint64_t body_left_ = 0;      // kBody: bytes of the bulk string that follow.
  uint64_t length_ = 0;         // kLength: digits so far.
  uint32_t line_bytes_ = 0;     // kText, kLength: bytes so far, for the bound.
  State state_ = State::kType;
  Dialect dialect_ = Dialect::kResp2;
  char type_ = 0;
  bool negative_ = false;
};

// Walks the elements of a complete, well-formed reply of either dialect.
//   ReplyCursor cursor(reply); if array: cursor.enter(); then next() per element.
// Views point into the reply.
class ReplyCursor {
 public:
  explicit ReplyCursor(std::string_view reply) noexcept : rest_(reply) {}

  bool at_end() const noexcept { return rest_.empty(); }
  char type() const noexcept { return rest_.empty() ? '\0' : rest_[0]; }
  // The next element whole, as RESP bytes; empty if there is none or it is malformed.
  std::string_view next() noexcept;
  // Steps into an array, set, map or push: returns how many elements follow, of a map its keys and
  // its values (-1 for a null array or anything else).
  int64_t enter() noexcept;

 private:
  std::string_view rest_;
};

// The text of a whole string, error or number, of a verbatim string without its format; empty for
// others.
std::string_view reply_text(std::string_view element) noexcept;
// The number of an integer reply; false if it is none.
bool reply_integer(std::string_view element, int64_t& value) noexcept;

}  // namespace pikaproxy
