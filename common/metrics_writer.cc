#include "common/metrics_writer.h"

#include <cassert>
#include <charconv>
#include <cmath>
#include <utility>

namespace pikaproxy {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

[[maybe_unused]] bool is_name(std::string_view text) noexcept {
  if (text.empty()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_letter(c) && c != '_' && !(is_digit && i > 0)) return false;
  }
  return true;
}

// The length of the UTF-8 character at the front, 0 if it is malformed. Overlong forms, surrogates
// and values above U+10FFFF are malformed (Unicode table 3-7).
size_t utf8_size(std::string_view text) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  size_t size = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  if (size == 0 || text.size() < size || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < size; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return size;
}

void append_escaped(std::string& out, std::string_view text, bool escape_quotes) {
  while (!text.empty()) {
    const size_t size = utf8_size(text);
    if (size == 0) {
      out += kReplacement;
    } else if (text[0] == '\n') {
      out += "\\n";
    } else {
      if (text[0] == '\\' || (text[0] == '"' && escape_quotes)) out += '\\';
      out += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
}

// As Go's client library writes numbers, so that the bounds of our buckets look like everybody's.
std::string to_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  const double size = std::fabs(value);
  const bool is_fixed = size == 0 || (size >= 1e-4 && size < 1e21);
  char digits[64];
  const auto result =
      std::to_chars(digits, digits + sizeof digits, value,
                    is_fixed ? std::chars_format::fixed : std::chars_format::scientific);
  return std::string(digits, result.ptr);
}

}  // namespace

void MetricsWriter::family(std::string_view name, std::string_view type, std::string_view help) {
  assert(is_name(name));
  assert(type == "counter" || type == "gauge" || type == "histogram");
  assert((type == "counter") == name.ends_with("_total"));
  assert(!seen_.contains(name));
  seen_.emplace(name);
  name_ = name;
  page_ += "# HELP " + name_ + ' ';
  append_escaped(page_, help, false);
  page_ += "\n# TYPE " + name_ + ' ';
  page_ += type;
  page_ += '\n';
}

void MetricsWriter::sample(Labels labels, double value) {
  begin_sample({}, labels, {});
  end_double(value);
}

void MetricsWriter::histogram_sample(Labels labels, std::span<const double> bounds,
                                     std::span<const uint64_t> cumulative, double sum,
                                     uint64_t count) {
  assert(bounds.size() == cumulative.size());
  for (size_t i = 0; i < bounds.size(); ++i) {
    assert(i == 0 || (bounds[i - 1] < bounds[i] && cumulative[i - 1] <= cumulative[i]));
    assert(cumulative[i] <= count);
    begin_sample("_bucket", labels, to_text(bounds[i]));
    end_unsigned(cumulative[i]);
  }
  begin_sample("_bucket", labels, "+Inf");
  end_unsigned(count);
  begin_sample("_sum", labels, {});
  end_double(sum);
  begin_sample("_count", labels, {});
  end_unsigned(count);
}

std::string MetricsWriter::take() {
  seen_.clear();
  name_.clear();
  return std::exchange(page_, {});
}

// `bound` is the value of the label "le"; empty = none.
void MetricsWriter::begin_sample(std::string_view suffix, Labels labels, std::string_view bound) {
  assert(!name_.empty());
  page_ += name_;
  page_ += suffix;
  char separator = '{';
  const auto append_label = [&](std::string_view name, std::string_view value) {
    page_ += separator;
    separator = ',';
    page_ += name;
    page_ += "=\"";
    append_escaped(page_, value, true);
    page_ += '"';
  };
  for (const MetricLabel& label : labels) {
    assert(is_name(label.name));
    append_label(label.name, label.value);
  }
  if (!bound.empty()) append_label("le", bound);
  if (separator == ',') page_ += '}';
  page_ += ' ';
}

void MetricsWriter::end_signed(int64_t value) {
  page_ += std::to_string(value);
  page_ += '\n';
}

void MetricsWriter::end_unsigned(uint64_t value) {
  page_ += std::to_string(value);
  page_ += '\n';
}

void MetricsWriter::end_double(double value) {
  page_ += to_text(value);
  page_ += '\n';
}

}  // namespace pikaproxy
