#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// The empty line too much that Pika sends behind some errors: "-ERR ...*-1\r\n\r\n" to an XREAD or
// XDEL of a key with another type. It belongs to no reply, and is taken out before a ReplyFramer
// sees it. One is allowed behind each reply, whatever pieces it arrives in, and nothing else is.
//   Source: measured with Pika 4.0.0.
class StrayLine {
 public:
  // Takes what belongs to the empty line from the front of `bytes`, which begin between two
  // replies. False: a part of an empty line stands where none may.
  bool take(std::string_view& bytes) noexcept {
    if (state_ != State::kHalf) {
      if (bytes.empty() || bytes.front() != '\r') return true;
      if (state_ != State::kAllowed) return false;
      state_ = State::kHalf;
      bytes.remove_prefix(1);
    }
    if (bytes.empty()) return true;
    if (bytes.front() != '\n') return false;
    bytes.remove_prefix(1);
    state_ = State::kTaken;
    // Not a second one.
    return bytes.empty() || bytes.front() != '\r';
  }

  // A reply has ended: an empty line may follow.
  void allow() noexcept { state_ = State::kAllowed; }

 private:
  enum class State : uint8_t { kTaken, kAllowed, kHalf };
  State state_ = State::kTaken;
};

}  // namespace pikaproxy
