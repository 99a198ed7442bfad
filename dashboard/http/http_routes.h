#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/http/http_message.h"

namespace pikaproxy {

// Answers a request, on one of the server's worker threads, several at a time. Must return: stop()
// waits for it. An exception becomes a 500 that does not show its text.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

// One line of the table that says what the server serves; there is no other way to add a handler.
struct HttpRoute {
  std::string method;  // One of kHttpMethods but HEAD, which every GET route serves.
  // Compared as it is with the decoded path. Or a template, "/groups/{gid}": each parameter stands
  // for one segment that is not empty, and may hold an encoded "/".
  std::string path;
  HttpHandler handler;
};

// The table, constant once built; any thread.
class HttpRoutes {
 public:
  explicit HttpRoutes(std::vector<HttpRoute> routes) : routes_(std::move(routes)) {}

  struct Match {
    const HttpRoute* route = nullptr;  // nullptr: nothing serves this.
    std::string allow;       // Then: the methods of the path, as "GET, HEAD"; empty = no such path.
    NamedValues parameters;  // By the template's names, decoded.
  };
  // A path without parameters comes before a template that would fit too. `raw_path` is the path as
  // it was sent, `path` is decoded.
  Match find(std::string_view method, std::string_view path, std::string_view raw_path) const;

 private:
  const std::vector<HttpRoute> routes_;
};

}  // namespace pikaproxy
