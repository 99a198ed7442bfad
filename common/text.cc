#include "common/text.h"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace pikaproxy {
namespace {

constexpr size_t kQuotedMax = 80;

void append_printable(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (byte < 0x20 || byte == 0x7F) {
    char escape[8];
    std::snprintf(escape, sizeof escape, "\\u%04X", byte);
    out += escape;
  } else {
    out += c;
  }
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    append_printable(out, c);
  }
}

size_t common_prefix(std::string_view a, std::string_view b) {
  const auto [end, unused] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end - a.begin());
}

}  // namespace

std::string quote(std::string_view text) {
  size_t size = std::min(text.size(), kQuotedMax);
  if (size < text.size()) {
    // Not inside a UTF-8 sequence: step back over continuation bytes.
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  }
  std::string out = "\"";
  append_escaped(out, text.substr(0, size));
  if (size < text.size()) out += "...";
  out += '"';
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) append_printable(out, c);
  return out;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  append_escaped(out, text);
  out += '"';
  return out;
}

bool has_control_character(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows of the usual table: before_previous and previous are those of a[..i-2] and a[..i-1].
  std::vector<size_t> before_previous(b.size() + 1), previous(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({previous[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_previous[j - 2] + 1);
      }
    }
    std::swap(before_previous, previous);
    std::swap(previous, row);
  }
  return previous[b.size()];
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
  // The table of edit_distance() grows with the word, and nothing that long is a typing mistake.
  constexpr size_t kWordMax = 64;
  if (word.size() > kWordMax) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  size_t best_prefix = 0;
  for (const std::string_view candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    // A distance of the whole word shares nothing with it.
    if (distance > best_distance || distance >= candidate.size()) continue;
    // People mistype the end of a word rather than its beginning.
    const size_t prefix = common_prefix(word, candidate);
    if (distance < best_distance || (!best.empty() && prefix > best_prefix)) {
      best = candidate;
      best_distance = distance;
      best_prefix = prefix;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  const std::string_view best = closest(word, candidates);
  if (best.empty()) return {};
  return " Did you mean " + quote(best) + "?";
}

std::string join(std::span<const std::string_view> words, std::string_view separator) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

}  // namespace pikaproxy
