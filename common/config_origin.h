#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pikaproxy {

// Where a value came from; a later one outranks an earlier one.
enum class Source : uint8_t { kDefault, kFile, kEnvironment, kFlag };

struct Origin {
  Source source = Source::kDefault;
  std::string where;  // "pikaproxy.toml:12:3", "PIKAPROXY_LOG_LEVEL" or "--log.level".
  bool valid = true;  // False: what stood there was refused, the field holds something else.
};

// By option name; also "user[0]", "group[0]" and "group[0].slots", counted as in Config. What is
// absent is at its default.
using Origins = std::map<std::string, Origin, std::less<>>;

// Something in the configuration that stops the start (or the reload).
struct Problem {
  std::string where;    // As in Origin; empty if it belongs to no place.
  std::string message;  // A sentence that says what to do, without its full stop.

  std::string to_string() const { return where.empty() ? message : where + ": " + message; }
};
using Problems = std::vector<Problem>;

// More than anyone reads; bounds what a broken file can make us hold.
inline constexpr size_t kProblemsMax = 100;

inline void add_problem(Problems& problems, std::string where, std::string message) {
  if (problems.size() < kProblemsMax) problems.push_back({std::move(where), std::move(message)});
}

}  // namespace pikaproxy
