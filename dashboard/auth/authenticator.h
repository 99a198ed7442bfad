#pragma once

#include <string>
#include <variant>

#include "dashboard/api/api_route.h"

namespace pikaproxy {

// Who a request's credential belongs to.
struct CallerIdentity {
  Caller caller;
  // Not empty: known by a browser's cookie, which the browser sends whoever made it send the
  // request. A change must then repeat this value in X-CSRF-Token.
  std::string csrf_token;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // By "Authorization: Bearer", or else the session cookie. 401 if there is neither or it is not
  // (any more) valid. Any thread.
  virtual std::variant<CallerIdentity, ApiProblem> authenticate(const HttpRequest& request) = 0;
};

}  // namespace pikaproxy
