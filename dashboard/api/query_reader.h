#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/api/api_route.h"

namespace pikaproxy {

// Reads a request's query parameters; what is wrong is collected as BodyReader does. Which names
// are allowed at all is the route's business (ApiRoute::query).
class QueryReader {
 public:
  explicit QueryReader(const ApiRequest& request) : request_(request.http) {}

  std::optional<std::string> text(std::string_view name, size_t bytes_max = 256);
  std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
  std::optional<std::string> choice(std::string_view name,
                                    std::initializer_list<std::string_view> words);
  // RFC 3339 ("2026-11-23T15:00:00Z"), as milliseconds since 1970.
  std::optional<int64_t> time_ms(std::string_view name);
  // Of lists: how many at most; 100 if not said, at most 1000.
  size_t limit();

  void fail(std::string_view name, std::string detail);
  // 400 with code "invalid_parameter", or nothing.
  std::optional<ApiProblem> finish();

 private:
  const HttpRequest& request_;
  std::vector<ApiProblem::Field> errors_;  // pointer: the parameter's name.
};

// A path parameter as a number. Error: 404, since no such thing can exist.
std::optional<int64_t> path_integer(const ApiRequest& request, const char* name, int64_t min,
                                    int64_t max);

}  // namespace pikaproxy
