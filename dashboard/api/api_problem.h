#pragma once

#include <string>
#include <string_view>

#include "dashboard/api/api_route.h"

namespace pikaproxy {

// The problems that many handlers answer with.

// 404: "There is no group 7." from not_found("group 7").
ApiProblem not_found(std::string_view what);
// 409; `code` is the stable word, e.g. "group_not_empty".
ApiProblem conflict(std::string_view code, std::string detail);
// 422: well-formed but impossible.
ApiProblem impossible(std::string_view code, std::string detail);
// 412: the topology is not the one the change was made for.
ApiProblem stale_version(uint64_t wanted, uint64_t current);
// 503 with Retry-After.
ApiProblem unavailable(std::string_view code, std::string detail, uint32_t retry_after_seconds);

// The response on the wire: application/problem+json.
HttpResponse render(const ApiProblem& problem, std::string_view request_id);

}  // namespace pikaproxy
