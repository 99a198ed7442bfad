#include "dashboard/http/http_routes.h"

#include <algorithm>
#include <optional>

namespace pikaproxy {
namespace {

bool is_template(std::string_view path) noexcept {
  return path.find('{') != std::string_view::npos;
}

// Takes the segment behind the leading "/" off the front.
std::string_view take_segment(std::string_view& path) noexcept {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

// The parameters if the path fits the template.
std::optional<NamedValues> match_template(std::string_view pattern, std::string_view raw_path) {
  NamedValues parameters;
  while (!pattern.empty() && !raw_path.empty()) {
    const std::string_view wanted = take_segment(pattern);
    auto given = percent_decode(take_segment(raw_path), false);
    if (!given) return std::nullopt;
    if (wanted.starts_with('{')) {
      if (given->empty()) return std::nullopt;
      parameters.emplace_back(wanted.substr(1, wanted.size() - 2), std::move(*given));
    } else if (*given != wanted) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !raw_path.empty()) return std::nullopt;
  return parameters;
}

}  // namespace

HttpRoutes::Match HttpRoutes::find(std::string_view method, std::string_view path,
                                   std::string_view raw_path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  Match match;
  for (const bool templates : {false, true}) {
    for (const HttpRoute& route : routes_) {
      if (is_template(route.path) != templates) continue;
      std::optional<NamedValues> parameters;
      if (templates) {
        parameters = match_template(route.path, raw_path);
      } else if (route.path == path) {
        parameters.emplace();
      }
      if (!parameters) continue;
      if (route.method == wanted) return Match{&route, {}, std::move(*parameters)};
      if (!match.allow.empty()) match.allow += ", ";
      match.allow += route.method == "GET" ? "GET, HEAD" : route.method;
    }
    // "/slots/lookup" is not slot number "lookup": 405 rather than the template's answer.
    if (!match.allow.empty()) break;
  }
  return match;
}

}  // namespace pikaproxy
