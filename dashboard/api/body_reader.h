#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "dashboard/api/api_route.h"

namespace pikaproxy {

// Reads a request's body field by field and collects everything that is wrong with it:
//
//   BodyReader body(request.body);
//   const std::string name = body.text("name", {.min = 1, .max = 64});
//   const auto weight = body.optional_integer("weight", 0, 1000);
//   body.objects("ranges", {.max = 1024}, [&](BodyReader& range) {
//     ranges.push_back({range.integer("from", 0, 1023), range.integer("to", 0, 1023)});
//   });
//   if (auto problem = body.finish()) return *problem;
//
// A required field that is missing or wrong gives a value that must not be used; finish() says so.
// Fields that were never asked for are errors. The body outlives the reader.
class BodyReader {
 public:
  struct Length {
    size_t min = 0;
    size_t max = 256;
  };

  explicit BodyReader(const nlohmann::json& object) : BodyReader(object, "", nullptr) {}
  BodyReader(const BodyReader&) = delete;

  // Whether the field was sent, whatever it is.
  bool has(std::string_view name);
  // Whether the field was sent as null: in a PATCH, "back to the default".
  bool is_null(std::string_view name);

  // Bytes; without control characters.
  std::string text(std::string_view name, Length length);
  std::optional<std::string> optional_text(std::string_view name, Length length);
  // A password: any bytes of UTF-8, and never quoted in an error.
  std::string secret(std::string_view name, Length length);
  std::optional<std::string> optional_secret(std::string_view name, Length length);

  int64_t integer(std::string_view name, int64_t min, int64_t max);
  std::optional<int64_t> optional_integer(std::string_view name, int64_t min, int64_t max);

  std::optional<bool> optional_boolean(std::string_view name);

  // One of the words; empty if wrong.
  std::string choice(std::string_view name, std::initializer_list<std::string_view> words);
  std::optional<std::string> optional_choice(std::string_view name,
                                             std::initializer_list<std::string_view> words);

  // `size` is the number of elements.
  std::vector<std::string> text_list(std::string_view name, Length size, Length each);
  std::optional<std::vector<std::string>> optional_text_list(std::string_view name, Length size,
                                                             Length each);
  std::optional<std::vector<int64_t>> optional_integer_list(std::string_view name, Length size,
                                                            int64_t min, int64_t max);
  // Calls `read` for each element. False if the field is missing, which is no error, or is no list.
  bool optional_objects(std::string_view name, Length size,
                        const std::function<void(BodyReader&)>& read);
  void objects(std::string_view name, Length size, const std::function<void(BodyReader&)>& read);
  bool optional_object(std::string_view name, const std::function<void(BodyReader&)>& read);
  // An object with names that are data: {"3": 10, "4": 5}.
  std::optional<std::vector<std::pair<std::string, int64_t>>> optional_integers_by_name(
      std::string_view name, Length size, int64_t min, int64_t max);

  // Adds an error of the handler's own; an empty name means the body as a whole.
  void fail(std::string_view name, std::string_view code, std::string detail);

  // 400 with everything that was wrong, or nothing. Of the outermost reader, once.
  std::optional<ApiProblem> finish();

 private:
  using Errors = std::vector<ApiProblem::Field>;

  BodyReader(const nlohmann::json& object, std::string pointer, Errors* errors)
      : object_(object), pointer_(std::move(pointer)), errors_(errors) {}

  Errors& errors() noexcept { return errors_ == nullptr ? own_errors_ : *errors_; }
  std::string pointer_to(std::string_view name) const;
  const nlohmann::json* find(std::string_view name);
  const nlohmann::json* require(std::string_view name);
  void wrong(const std::string& pointer, std::string detail);
  std::optional<std::string> read_text(const nlohmann::json& value, const std::string& pointer,
                                       Length length, bool may_have_controls);
  std::optional<int64_t> read_integer(const nlohmann::json& value, const std::string& pointer,
                                      int64_t min, int64_t max);
  std::optional<std::string> read_choice(const nlohmann::json& value, const std::string& pointer,
                                         std::initializer_list<std::string_view> words);
  bool is_list(const nlohmann::json& value, const std::string& pointer, Length size);
  void refuse_unknown();

  const nlohmann::json& object_;
  const std::string pointer_;  // Of object_.
  Errors* const errors_;       // Of the outermost reader; null if that is this.
  Errors own_errors_;
  std::vector<std::string> known_;  // Fields that were asked for.
};

}  // namespace pikaproxy
