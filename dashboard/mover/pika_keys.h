#pragma once

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "common/result.h"
#include "dashboard/mover/server_link.h"

namespace pikaproxy {

// Whether Pika has a key has to be read between the lines:
// - TYPE of a key that was deleted or has expired is what it was, not "none";
// - EXISTS, TYPE and the reads of values are answered from a cache, which UNLINK, expiry and
// SLOTSMGRT
//   leave as it is: keys that are gone come back, with values of long ago;
// - a stream without entries answers for ever, though SCAN does not name it and DEL says 0;
// - an error about a key's type names the key as it is: line breaks in it break the protocol. So a
//   key is asked nothing that is not for its type.
// So the cache forgets the key first, and it is there if it has a remaining time to live (PTTL is
// never cached), or is a stream with entries.
//   Source: measured with Pika 4.0.0.

// What to ask, in one exchange; pika_type() wants the answers in this order.
inline constexpr size_t kPikaQuestions = 3;
std::array<Args, kPikaQuestions> pika_questions(const std::string& key);
// The places of the answers to TYPE and PTTL.
inline constexpr size_t kPikaType = 1;
inline constexpr size_t kPikaTtl = 2;

// The type by Redis' names, "none" if the key is not there; of a "stream" that has to be seen from
// XLEN. Empty: the server refused to tell.
std::string pika_type(const Reply* answers);

// With such keys, some requests take one of Pika's threads for ever, others work on other keys.
inline bool is_unfit_for_pika(const std::string& key) noexcept {
  return key.find('\0') != std::string::npos;
}

// Those of `keys` that a server has in the selected database; the error is a sentence. For Pika as
// above, and without those unfit for it; others are asked EXISTS.
Result<std::vector<std::string>> present_keys(ServerLink& link, bool is_pika,
                                              std::vector<std::string> keys,
                                              std::chrono::milliseconds timeout);

}  // namespace pikaproxy
