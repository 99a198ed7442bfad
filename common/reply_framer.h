#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// Finds where a server's RESP2 reply ends, whatever pieces it arrives in, without keeping any of
// it. Anything that is not well-formed RESP2 is an error: the connection can no longer be trusted.
class ReplyFramer {
 public:
  enum class Status : uint8_t {
    kNeedMore,  // All of `bytes` belongs to the reply, and it goes on.
    kComplete,  // The reply ends within `bytes`; the framer is ready for the next one.
    kError,     // Not RESP2, or a length beyond any that a server sends.
  };

  // Takes the next bytes. `consumed` becomes how many of them belong to the reply.
  Status feed(std::string_view bytes, uint64_t& consumed) noexcept;

  // Between replies: no byte of the next one has been seen.
  bool at_start() const noexcept { return elements_left_ == 0; }

  // How many of the next bytes are certain to belong to the bulk string under way: feed() would
  // look at none of them. pass() does its work for `bytes` of these.
  uint64_t body_left() const noexcept { return state_ == State::kBody ? body_left_ : 0; }
  void pass(uint64_t bytes) noexcept;

  void reset() noexcept { *this = ReplyFramer(); }

 private:
  enum class State : uint8_t { kType, kText, kLength, kLineFeed, kBody, kBodyCr, kBodyLf };

  bool end_of_length() noexcept;

  uint64_t elements_left_ = 0;  // Of the reply; an array adds its elements. 0 = between replies.
  uint64_t body_left_ = 0;      // kBody: bytes of the bulk string that follow.
  uint64_t length_ = 0;         // kLength: digits so far.
  uint32_t line_bytes_ = 0;     // kText, kLength: bytes so far, for the bound.
  State state_ = State::kType;
  char type_ = 0;
  bool negative_ = false;
};

// Walks the elements of a complete, well-formed reply.
//   ReplyCursor cursor(reply); if array: cursor.enter(); then next() per element.
// Views point into the reply.
class ReplyCursor {
 public:
  explicit ReplyCursor(std::string_view reply) noexcept : rest_(reply) {}

  bool at_end() const noexcept { return rest_.empty(); }
  char type() const noexcept { return rest_.empty() ? '\0' : rest_[0]; }
  // The next element whole, as RESP bytes; empty if there is none or it is malformed.
  std::string_view next() noexcept;
  // Steps into an array: returns its length (-1 for a null array or anything that is no array).
  int64_t enter() noexcept;

 private:
  std::string_view rest_;
};

// The text of a whole simple string, error, integer or bulk string element; empty for others.
std::string_view reply_text(std::string_view element) noexcept;
// The number of an integer reply; false if it is none.
bool reply_integer(std::string_view element, int64_t& value) noexcept;

}  // namespace pikaproxy
