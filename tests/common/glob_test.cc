#include "common/glob.h"

#include <random>
#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

// The definition, without sets and escapes: slow, but plainly right.
bool matches_plainly(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return matches_plainly(pattern.substr(1), text) ||
           (!text.empty() && matches_plainly(pattern, text.substr(1)));
  }
  if (text.empty()) return false;
  return (pattern[0] == '?' || pattern[0] == text[0]) &&
         matches_plainly(pattern.substr(1), text.substr(1));
}

}  // namespace

TEST_SUITE("common/glob") {
  TEST_CASE("patterns match as they do in Redis") {
    struct Case {
      std::string_view pattern, text;
      bool matches;
    };
    const Case cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", false},
        {"**", "a", true},
        {"a*", "a", true},
        {"a*c", "abcbc", true},
        {"a*c", "abcb", false},
        {"*a*b*", "xxaxxbxx", true},
        {"*a*b*", "xxbxxaxx", false},
        {"h?llo", "hello", true},
        {"h?llo", "hllo", false},
        {"?", "", false},
        {"h[ae]llo", "hallo", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true},
        {"h[b-a]llo", "hallo", true},
        {"h[a-b]llo", "hcllo", false},
        {"[a-]", "]", true},  // The "]" ends the range, and the pattern ends the set.
        {"[\\]]", "]", true},
        {"[\\-a]", "-", true},
        {"[abc", "b", true},
        {"[abc", "d", false},
        {"[", "[", false},
        {"[^", "x", true},
        {"[]", "x", false},
        {"[^]x", "ax", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"\\\\", "\\", true},
        {"*[0-9]", "key7", true},
        {"*[0-9]", "7key", false},
        {"get*", "GET", false},
        {"*\\?", "why?", true},
        {std::string_view("a\0*", 3), std::string_view("a\0b", 3), true},
        {"[\x80-\xff]", "\xe9", true},
    };
    for (const Case& each : cases) {
      CAPTURE(each.pattern);
      CAPTURE(each.text);
      CHECK(glob_matches(each.pattern, each.text) == each.matches);
    }
  }

  TEST_CASE("letters' case can be ignored, in sets too") {
    CHECK(glob_matches("MAX*", "maxmemory", GlobCase::kIgnored));
    CHECK(glob_matches("[A-C]x", "bX", GlobCase::kIgnored));
    CHECK(glob_matches("[^A]", "b", GlobCase::kIgnored));
    CHECK_FALSE(glob_matches("[^A]", "a", GlobCase::kIgnored));
    CHECK_FALSE(glob_matches("@", "`", GlobCase::kIgnored));
  }

  TEST_CASE("random patterns match what the definition says") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 20'000; ++round) {
      std::string pattern;
      std::string text;
      for (auto n = random() % 8; n > 0; --n) pattern += "ab*?"[random() % 4];
      for (auto n = random() % 8; n > 0; --n) text += "ab"[random() % 2];
      CAPTURE(pattern);
      CAPTURE(text);
      const bool expected = text.empty() ? pattern.empty() : matches_plainly(pattern, text);
      CHECK(glob_matches(pattern, text) == expected);
    }
  }

  TEST_CASE("many stars do not take exponential time") {
    std::string pattern;
    for (int k = 0; k < 100; ++k) pattern += "*a";
    CHECK_FALSE(glob_matches(pattern + "b", std::string(10'000, 'a')));
  }
}
