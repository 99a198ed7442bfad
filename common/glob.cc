#include "common/glob.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace pikaproxy {
namespace {

uint8_t folded(char byte, GlobCase letters) noexcept {
  const bool is_upper = byte >= 'A' && byte <= 'Z';
  return static_cast<uint8_t>(letters == GlobCase::kIgnored && is_upper ? byte + ('a' - 'A')
                                                                        : byte);
}

struct Step {
  size_t pattern_used;  // Bytes of the pattern that stand for this one byte of the text.
  bool matches;
};

// A set: `pattern` begins behind its "[".
Step match_set(std::string_view pattern, uint8_t byte, GlobCase letters) noexcept {
  size_t at = 0;
  const bool negated = pattern.starts_with('^');
  if (negated) ++at;
  bool found = false;
  while (at < pattern.size() && pattern[at] != ']') {
    const size_t left = pattern.size() - at;
    if (pattern[at] == '\\' && left >= 2) {
      found = found || folded(pattern[at + 1], letters) == byte;
      at += 2;
    } else if (left >= 3 && pattern[at + 1] == '-') {
      uint8_t low = folded(pattern[at], letters);
      uint8_t high = folded(pattern[at + 2], letters);
      if (low > high) std::swap(low, high);
      found = found || (byte >= low && byte <= high);
      at += 3;
    } else {
      found = found || folded(pattern[at], letters) == byte;
      ++at;
    }
  }
  if (at < pattern.size()) ++at;  // The "]".
  return {at, found != negated};
}

// One step of anything but "*"; `pattern` is not empty.
Step match_one(std::string_view pattern, char text, GlobCase letters) noexcept {
  const uint8_t byte = folded(text, letters);
  switch (pattern[0]) {
    case '?':
      return {1, true};
    case '[': {
      const Step set = match_set(pattern.substr(1), byte, letters);
      return {set.pattern_used + 1, set.matches};
    }
    case '\\':
      if (pattern.size() >= 2) return {2, folded(pattern[1], letters) == byte};
      [[fallthrough]];
    default:
      return {1, folded(pattern[0], letters) == byte};
  }
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text, GlobCase letters) noexcept {
  // To Redis "*" is no pattern for it: a message on the channel "" goes to no PSUBSCRIBE *.
  if (text.empty()) return pattern.empty();
  size_t p = 0;
  size_t t = 0;
  // Where to go on when the rest does not match: the last "*" takes one byte more. Earlier ones
  // need not be tried again, since they matched as early as they could.
  size_t after_star = std::string_view::npos;
  size_t star_end = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_star = ++p;
      star_end = t;
      continue;
    }
    if (p < pattern.size()) {
      const Step step = match_one(pattern.substr(p), text[t], letters);
      if (step.matches) {
        p += step.pattern_used;
        ++t;
        continue;
      }
    }
    if (after_star == std::string_view::npos) return false;
    p = after_star;
    t = ++star_end;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace pikaproxy
