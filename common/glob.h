#pragma once

#include <string_view>

namespace pikaproxy {

enum class GlobCase : bool { kExact, kIgnored };

// Whether all of `text` matches a pattern of KEYS, CONFIG GET and alike: "*" any bytes, "?" one
// byte, "[abx-z]" or "[^...]" one byte of a set, "\" takes the next byte literally. A set that is
// not closed ends with the pattern. kIgnored folds ASCII letters.
//   Cost: at most text.size() * pattern.size() steps, whatever the pattern.
//   Source: https://redis.io/docs/latest/commands/keys/; corner cases as redis-server 7.0 has them,
//   except that "*" matches an empty text too.
bool glob_matches(std::string_view pattern, std::string_view text,
                  GlobCase letters = GlobCase::kExact) noexcept;

}  // namespace pikaproxy
