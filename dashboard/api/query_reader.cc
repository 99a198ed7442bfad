#include "dashboard/api/query_reader.h"

#include <algorithm>
#include <charconv>

#include "common/text.h"
#include "dashboard/api/time_text.h"

namespace pikaproxy {
namespace {

constexpr int64_t kLimitDefault = 100;
constexpr int64_t kLimitMax = 1000;

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> QueryReader::text(std::string_view name, size_t bytes_max) {
  const std::string* value = request_.query_value(name);
  if (value == nullptr) return std::nullopt;
  if (value->empty() || value->size() > bytes_max) {
    fail(name, "Must have 1 to " + std::to_string(bytes_max) + " bytes.");
    return std::nullopt;
  }
  return *value;
}

std::optional<int64_t> QueryReader::integer(std::string_view name, int64_t min, int64_t max) {
  const std::string* text = request_.query_value(name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_integer(*text);
  if (!value || *value < min || *value > max) {
    fail(name,
         "Must be an integer from " + std::to_string(min) + " to " + std::to_string(max) + ".");
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> QueryReader::choice(std::string_view name,
                                               std::initializer_list<std::string_view> words) {
  const std::string* value = request_.query_value(name);
  if (value == nullptr) return std::nullopt;
  if (std::find(words.begin(), words.end(), *value) != words.end()) return *value;
  const std::vector<std::string_view> list(words);
  fail(name, "Must be one of " + join(list) + "." + did_you_mean(*value, list));
  return std::nullopt;
}

std::optional<int64_t> QueryReader::time_ms(std::string_view name) {
  const std::string* text = request_.query_value(name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_time_ms(*text);
  if (!value) fail(name, "Must be a time in UTC such as 2026-11-23T15:00:00Z.");
  return value;
}

size_t QueryReader::limit() {
  return static_cast<size_t>(integer("limit", 1, kLimitMax).value_or(kLimitDefault));
}

void QueryReader::fail(std::string_view name, std::string detail) {
  errors_.push_back({std::string(name), "invalid", std::move(detail)});
}

std::optional<ApiProblem> QueryReader::finish() {
  if (errors_.empty()) return std::nullopt;
  ApiProblem problem{400, "invalid_parameter",
                     "The query parameter " + quote(errors_[0].pointer) + ": " + errors_[0].detail};
  problem.errors = std::move(errors_);
  return problem;
}

std::optional<int64_t> path_integer(const ApiRequest& request, const char* name, int64_t min,
                                    int64_t max) {
  const auto found = request.path.find(name);
  if (found == request.path.end()) return std::nullopt;
  const auto value = parse_integer(found->second);
  // One spelling per object: "03" and "+3" are nothing.
  if (!value || *value < min || *value > max || std::to_string(*value) != found->second) {
    return std::nullopt;
  }
  return value;
}

}  // namespace pikaproxy
