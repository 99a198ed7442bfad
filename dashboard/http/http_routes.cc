#include "dashboard/http/http_routes.h"

namespace pikaproxy {

HttpRoutes::Match HttpRoutes::find(std::string_view method, std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  Match match;
  for (const HttpRoute& route : routes_) {
    if (route.path != path) continue;
    if (route.method == wanted) return Match{&route, {}};
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  return match;
}

}  // namespace pikaproxy
