#pragma once

#include <span>
#include <string>
#include <string_view>

namespace pikaproxy {

// Helpers for sentences shown to operators.

// `text` in double quotes, fit for one line of a terminal: quotes, backslashes and control bytes
// are escaped, and what is longer than 80 bytes is cut and ends in "...".
std::string quote(std::string_view text);

// `text` with control bytes escaped, complete and without quotes: for sentences that others made.
std::string printable(std::string_view text);

// `text` in double quotes as a TOML basic string, complete.
std::string toml_string(std::string_view text);

// Whether there is a byte below 0x20, or 0x7F.
bool has_control_character(std::string_view text) noexcept;

// Edits (insert, delete, replace, swap neighbours) that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate that `word` was probably meant to be; empty if none is near enough to suggest.
//   Result: a view of the candidate, alive as long as the candidates are.
std::string_view closest(std::string_view word, std::span<const std::string_view> candidates);

// " Did you mean "x"?" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

// "a, b, c".
std::string join(std::span<const std::string_view> words, std::string_view separator = ", ");

}  // namespace pikaproxy
