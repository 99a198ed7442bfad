#pragma once

#include <string>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/api/idempotency.h"
#include "dashboard/auth/authenticator.h"
#include "dashboard/events/audit_log.h"
#include "dashboard/http/http_routes.h"

namespace pikaproxy {

// Where the API is served.
inline constexpr char kApiBase[] = "/api/v1";

// Everything that is the same for all operations of the API, around the handlers. In this order,
// each step answering if it finds something wrong:
//
//   (the HTTP server: framing, limits, Host, 404, 405)
//   Origin -> credential 401 -> role 403 -> CSRF 403 -> Content-Type 415 -> body 400
//   -> query 400 -> topology version 428 -> Idempotency-Key -> handler -> audit -> reply
class ApiDispatch {
 public:
  struct Parts {
    Authenticator& authenticator;
    Idempotency& idempotency;
    AuditLog& audit;
    // Names by which the server may be reached beside what Host says (admin.allowed_hosts).
    std::vector<std::string> allowed_hosts = {};
  };

  ApiDispatch(Parts parts, std::vector<ApiRoute> routes);
  ApiDispatch(const ApiDispatch&) = delete;

  const std::vector<ApiRoute>& routes() const noexcept { return routes_; }
  // For the HTTP server; they refer to this object.
  std::vector<HttpRoute> http_routes() const;

  // Any thread. Throws nothing.
  HttpResponse serve(const ApiRoute& route, const HttpRequest& request) const;

 private:
  struct Context;

  ApiResult answer(const ApiRoute& route, Context& context) const;
  std::optional<ApiProblem> check_origin(const HttpRequest& request) const;
  std::optional<ApiProblem> identify(const ApiRoute& route, Context& context) const;
  ApiResult run(const ApiRoute& route, Context& context) const;
  void record(const ApiRoute& route, const Context& context, const ApiResult& result) const;

  const Parts parts_;
  const std::vector<ApiRoute> routes_;
};

}  // namespace pikaproxy
