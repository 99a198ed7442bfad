#include "dashboard/api/body_reader.h"

#include <algorithm>

#include "common/text.h"

namespace pikaproxy {
namespace {

// Further errors say nothing new.
constexpr size_t kErrorsMax = 50;

// "~" and "/" have a meaning in JSON pointers.
std::string escape(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string range_text(BodyReader::Length length, std::string_view unit) {
  if (length.min == 0) return "at most " + std::to_string(length.max) + " " + std::string(unit);
  return std::to_string(length.min) + " to " + std::to_string(length.max) + " " + std::string(unit);
}

bool fits(size_t size, BodyReader::Length length) {
  return size >= length.min && size <= length.max;
}

}  // namespace

std::string BodyReader::pointer_to(std::string_view name) const {
  return name.empty() ? pointer_ : pointer_ + "/" + escape(name);
}

const nlohmann::json* BodyReader::find(std::string_view name) {
  if (std::find(known_.begin(), known_.end(), name) == known_.end()) known_.emplace_back(name);
  const auto found = object_.find(name);
  return found == object_.end() ? nullptr : &*found;
}

const nlohmann::json* BodyReader::require(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) fail(name, "missing", "This field is required.");
  return value;
}

void BodyReader::wrong(const std::string& pointer, std::string detail) {
  if (errors().size() < kErrorsMax) errors().push_back({pointer, "invalid", std::move(detail)});
}

void BodyReader::fail(std::string_view name, std::string_view code, std::string detail) {
  if (errors().size() < kErrorsMax) {
    errors().push_back({pointer_to(name), std::string(code), std::move(detail)});
  }
}

bool BodyReader::has(std::string_view name) {
  return find(name) != nullptr;
}

bool BodyReader::is_null(std::string_view name) {
  const nlohmann::json* value = find(name);
  return value != nullptr && value->is_null();
}

std::optional<std::string> BodyReader::read_text(const nlohmann::json& value,
                                                 const std::string& pointer, Length length,
                                                 bool may_have_controls) {
  if (!value.is_string()) {
    wrong(pointer, "Must be a string.");
    return std::nullopt;
  }
  const auto& text = value.get_ref<const std::string&>();
  if (!fits(text.size(), length)) {
    wrong(pointer, "Must have " + range_text(length, "bytes") + ".");
    return std::nullopt;
  }
  if (!may_have_controls && has_control_character(text)) {
    wrong(pointer, "Must not hold control characters.");
    return std::nullopt;
  }
  return text;
}

std::optional<int64_t> BodyReader::read_integer(const nlohmann::json& value,
                                                const std::string& pointer, int64_t min,
                                                int64_t max) {
  const bool is_integer =
      value.is_number_integer() &&
      (!value.is_number_unsigned() || value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!is_integer || value.get<int64_t>() < min || value.get<int64_t>() > max) {
    wrong(pointer,
          "Must be an integer from " + std::to_string(min) + " to " + std::to_string(max) + ".");
    return std::nullopt;
  }
  return value.get<int64_t>();
}

std::optional<std::string> BodyReader::read_choice(const nlohmann::json& value,
                                                   const std::string& pointer,
                                                   std::initializer_list<std::string_view> words) {
  const std::vector<std::string_view> list(words);
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (std::find(words.begin(), words.end(), text) != words.end()) return text;
    wrong(pointer, "Must be one of " + join(list) + "." + did_you_mean(text, list));
  } else {
    wrong(pointer, "Must be one of " + join(list) + ".");
  }
  return std::nullopt;
}

bool BodyReader::is_list(const nlohmann::json& value, const std::string& pointer, Length size) {
  if (value.is_array() && fits(value.size(), size)) return true;
  wrong(pointer, "Must be a list of " + range_text(size, "elements") + ".");
  return false;
}

std::string BodyReader::text(std::string_view name, Length length) {
  const nlohmann::json* value = require(name);
  if (value == nullptr) return {};
  return read_text(*value, pointer_to(name), length, false).value_or("");
}

std::optional<std::string> BodyReader::optional_text(std::string_view name, Length length) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return read_text(*value, pointer_to(name), length, false);
}

std::string BodyReader::secret(std::string_view name, Length length) {
  const nlohmann::json* value = require(name);
  if (value == nullptr) return {};
  return read_text(*value, pointer_to(name), length, true).value_or("");
}

std::optional<std::string> BodyReader::optional_secret(std::string_view name, Length length) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return read_text(*value, pointer_to(name), length, true);
}

int64_t BodyReader::integer(std::string_view name, int64_t min, int64_t max) {
  const nlohmann::json* value = require(name);
  if (value == nullptr) return min;
  return read_integer(*value, pointer_to(name), min, max).value_or(min);
}

std::optional<int64_t> BodyReader::optional_integer(std::string_view name, int64_t min,
                                                    int64_t max) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return read_integer(*value, pointer_to(name), min, max);
}

std::optional<bool> BodyReader::optional_boolean(std::string_view name) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  wrong(pointer_to(name), "Must be true or false.");
  return std::nullopt;
}

std::string BodyReader::choice(std::string_view name,
                               std::initializer_list<std::string_view> words) {
  const nlohmann::json* value = require(name);
  if (value == nullptr) return {};
  return read_choice(*value, pointer_to(name), words).value_or("");
}

std::optional<std::string> BodyReader::optional_choice(
    std::string_view name, std::initializer_list<std::string_view> words) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return read_choice(*value, pointer_to(name), words);
}

std::vector<std::string> BodyReader::text_list(std::string_view name, Length size, Length each) {
  if (require(name) == nullptr) return {};
  return optional_text_list(name, size, each).value_or(std::vector<std::string>());
}

std::optional<std::vector<std::string>> BodyReader::optional_text_list(std::string_view name,
                                                                       Length size, Length each) {
  const nlohmann::json* value = find(name);
  const std::string pointer = pointer_to(name);
  if (value == nullptr || !is_list(*value, pointer, size)) return std::nullopt;
  std::vector<std::string> texts;
  for (size_t i = 0; i < value->size(); ++i) {
    auto text = read_text((*value)[i], pointer + "/" + std::to_string(i), each, false);
    texts.push_back(std::move(text).value_or(""));
  }
  return texts;
}

std::optional<std::vector<int64_t>> BodyReader::optional_integer_list(std::string_view name,
                                                                      Length size, int64_t min,
                                                                      int64_t max) {
  const nlohmann::json* value = find(name);
  const std::string pointer = pointer_to(name);
  if (value == nullptr || !is_list(*value, pointer, size)) return std::nullopt;
  std::vector<int64_t> integers;
  for (size_t i = 0; i < value->size(); ++i) {
    const auto integer = read_integer((*value)[i], pointer + "/" + std::to_string(i), min, max);
    integers.push_back(integer.value_or(min));
  }
  return integers;
}

bool BodyReader::optional_objects(std::string_view name, Length size,
                                  const std::function<void(BodyReader&)>& read) {
  const nlohmann::json* value = find(name);
  const std::string pointer = pointer_to(name);
  if (value == nullptr || !is_list(*value, pointer, size)) return false;
  for (size_t i = 0; i < value->size(); ++i) {
    std::string pointer_of_element = pointer + "/" + std::to_string(i);
    if (!(*value)[i].is_object()) {
      wrong(pointer_of_element, "Must be an object.");
      continue;
    }
    BodyReader element((*value)[i], std::move(pointer_of_element), &errors());
    read(element);
    element.refuse_unknown();
  }
  return true;
}

void BodyReader::objects(std::string_view name, Length size,
                         const std::function<void(BodyReader&)>& read) {
  if (require(name) != nullptr) optional_objects(name, size, read);
}

bool BodyReader::optional_object(std::string_view name,
                                 const std::function<void(BodyReader&)>& read) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return false;
  if (!value->is_object()) {
    wrong(pointer_to(name), "Must be an object.");
    return false;
  }
  BodyReader inner(*value, pointer_to(name), &errors());
  read(inner);
  inner.refuse_unknown();
  return true;
}

std::optional<std::vector<std::pair<std::string, int64_t>>> BodyReader::optional_integers_by_name(
    std::string_view name, Length size, int64_t min, int64_t max) {
  const nlohmann::json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object() || !fits(value->size(), size)) {
    wrong(pointer_to(name), "Must be an object of " + range_text(size, "fields") + ".");
    return std::nullopt;
  }
  std::vector<std::pair<std::string, int64_t>> integers;
  for (const auto& [key, element] : value->items()) {
    const auto integer = read_integer(element, pointer_to(name) + "/" + escape(key), min, max);
    integers.emplace_back(key, integer.value_or(min));
  }
  return integers;
}

void BodyReader::refuse_unknown() {
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const auto& [name, value] : object_.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    fail(name, "unknown_field", "There is no such field here." + did_you_mean(name, known));
  }
}

std::optional<ApiProblem> BodyReader::finish() {
  refuse_unknown();
  if (errors().empty()) return std::nullopt;
  const ApiProblem::Field& first = errors().front();
  std::string detail =
      (first.pointer.empty() ? "The body" : printable(first.pointer)) + ": " + first.detail;
  if (errors().size() > 1) {
    detail += " (" + std::to_string(errors().size() - 1) + " more in \"errors\".)";
  }
  ApiProblem problem{400, "invalid_body", std::move(detail)};
  problem.errors = std::move(errors());
  return problem;
}

}  // namespace pikaproxy
