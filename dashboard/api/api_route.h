#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "dashboard/http/http_message.h"

namespace pikaproxy {

// Each may do what those before may. kNone: a route that needs no credential.
enum class Role : uint8_t { kNone, kViewer, kOperator, kAdmin };

// "viewer", "operator", "admin"; "none".
std::string_view role_name(Role role) noexcept;
// kNone for any other word than the first three.
Role parse_role(std::string_view name) noexcept;

struct Caller {
  std::string name;  // The user, or "token:<name>".
  Role role = Role::kNone;
  std::string peer;  // Address without port.
};

// A request to the API as a handler sees it: the caller is known and allowed to, the body is an
// object (empty where none was sent), the headers below have been read.
struct ApiRequest {
  const HttpRequest& http;
  std::map<std::string, std::string> path = {};  // Parameters by name: {"gid": "3"}. UTF-8.
  nlohmann::json body = nlohmann::json::object();
  Caller caller = {};
  bool dry_run = false;
  // If-Match "t<version>", or topology_version in the body (which is taken out of it). Only where
  // the route needs_version.
  std::optional<uint64_t> topology_version = {};
  std::string request_id = {};
  std::string reason = {};
};

// What a handler answers.
struct ApiReply {
  int status = 200;
  nlohmann::json body = {};                // Null: none is sent.
  NamedValues headers = {};                // ETag, Location ...
  std::string object = {};                 // For the audit: "groups/3".
  nlohmann::json before = {}, after = {};  // For the audit; without secrets.
  // Sent as it is, instead of status, body and headers: what is not JSON or comes bit by bit.
  std::optional<HttpResponse> http = {};
};

// RFC 9457. `detail` says what is wrong and what to do.
struct ApiProblem {
  int status = 400;
  std::string code;  // Stable word: "not_found", "stale_version" ...
  std::string detail;
  struct Field {
    std::string pointer;  // JSON pointer into the body: "/servers/0".
    std::string code;
    std::string detail;
  };
  std::vector<Field> errors = {};
  std::optional<uint64_t> current_version = {};
  std::optional<uint32_t> retry_after_seconds = {};
  std::string object = {};  // For the audit.
};

using ApiResult = std::variant<ApiReply, ApiProblem>;

// One line of the table of all routes; there is no other way to serve something under /api/v1.
struct ApiRoute {
  std::string method;
  std::string path;  // Template below /api/v1: "/groups/{gid}".
  std::string operation_id;
  Role role = Role::kViewer;  // kNone: anybody.
  // A change of the topology: 428 without a topology_version. The handler compares it.
  bool needs_version = false;
  // It may name the version it was decided on, and is refused if that is not the present one.
  bool takes_version = false;
  // A POST that creates work: Idempotency-Key is honoured. Its reply must hold no secret, since it
  // is stored.
  bool creates_work = false;
  // Query parameters it takes beside dry_run; others are refused with 400.
  std::vector<std::string> query = {};
  // On a worker thread, several at a time; may take its time, which holds one of a few workers.
  // What it throws is answered with 503 (StoreError) or 500.
  std::function<ApiResult(const ApiRequest&)> handler;
  // false: a body with any field is refused, so that the handler need not look.
  bool takes_body = true;
  // false: refuses ?dry_run, which every other change must obey.
  bool takes_dry_run = true;
};

}  // namespace pikaproxy
