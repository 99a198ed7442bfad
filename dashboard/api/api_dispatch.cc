#include "dashboard/api/api_dispatch.h"

#include <algorithm>
#include <charconv>
#include <exception>

#include "common/log.h"
#include "common/text.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/json_text.h"
#include "dashboard/auth/secrets.h"

namespace pikaproxy {

struct ApiDispatch::Context {
  ApiRequest request;
  std::string raw_body_hashed;  // What makes two requests the same for an Idempotency-Key.
  bool is_audited = false;      // The caller is known and wants to change something.
};

namespace {

constexpr size_t kRequestIdMax = 64;
constexpr size_t kReasonMax = 500;
constexpr size_t kIdempotencyKeyMax = 128;
constexpr uint32_t kStoreRetrySeconds = 5;

bool is_change(const ApiRoute& route) noexcept {
  return route.method != "GET";
}

// The client's, if it can be written into logs and headers; otherwise a new one.
std::string request_id_of(const HttpRequest& request) {
  const std::string* given = request.header("x-request-id");
  if (given != nullptr && !given->empty() && given->size() <= kRequestIdMax &&
      std::all_of(given->begin(), given->end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
      })) {
    return *given;
  }
  return random_text(12);
}

std::optional<ApiProblem> read_body(const ApiRoute& route, ApiRequest& request) {
  const HttpRequest& http = request.http;
  if (http.body.empty()) return std::nullopt;
  const std::string* type = http.header("content-type");
  std::string media = type == nullptr ? "" : to_lower(*type);
  media.erase(std::remove(media.begin(), media.end(), ' '), media.end());
  if (media != "application/json" && media != "application/json;charset=utf-8") {
    return ApiProblem{415, "unsupported_media_type",
                      "The body must be JSON and say so: add -H 'Content-Type: application/json'."};
  }
  auto body = parse_json_object(http.body);
  if (!body) return ApiProblem{400, "invalid_body", body.error()};
  request.body = std::move(*body);
  if (!route.takes_body && !request.body.empty()) {
    return ApiProblem{400, "invalid_body", "This operation takes no fields: leave the body out."};
  }
  return std::nullopt;
}

std::optional<ApiProblem> read_query(const ApiRoute& route, ApiRequest& request) {
  std::vector<std::string_view> known(route.query.begin(), route.query.end());
  const bool takes_dry_run = is_change(route) && route.takes_dry_run;
  if (takes_dry_run) known.emplace_back("dry_run");
  std::vector<std::string_view> seen;
  for (const auto& [name, value] : request.http.query) {
    if (!is_utf8(name) || !is_utf8(value)) {
      return ApiProblem{400, "invalid_parameter", "The query is not in UTF-8."};
    }
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return ApiProblem{
          400, "unknown_parameter",
          "There is no query parameter " + quote(name) + " here." + did_you_mean(name, known)};
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return ApiProblem{400, "invalid_parameter",
                        "The query parameter " + quote(name) + " is there twice."};
    }
    seen.push_back(name);
  }
  if (const std::string* dry_run = request.http.query_value("dry_run"); takes_dry_run && dry_run) {
    if (*dry_run != "true" && *dry_run != "false") {
      return ApiProblem{400, "invalid_parameter", "dry_run must be true or false."};
    }
    request.dry_run = *dry_run == "true";
  }
  for (const auto& [name, value] : request.http.path_parameters) {
    if (!is_utf8(value)) return ApiProblem{400, "invalid_parameter", "The path is not in UTF-8."};
    request.path[name] = value;
  }
  return std::nullopt;
}

std::optional<ApiProblem> read_reason(ApiRequest& request) {
  const std::string* reason = request.http.header("x-reason");
  if (reason == nullptr) return std::nullopt;
  if (reason->size() > kReasonMax || !is_utf8(*reason)) {
    return ApiProblem{
        400, "invalid_header",
        "X-Reason must be UTF-8 of at most " + std::to_string(kReasonMax) + " bytes."};
  }
  request.reason = *reason;
  return std::nullopt;
}

std::optional<uint64_t> parse_version(std::string_view text) {
  uint64_t version = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return version;
}

// If-Match: "t42".
std::optional<uint64_t> parse_etag(std::string_view text) {
  if (text.size() < 4 || !text.starts_with("\"t") || !text.ends_with('"')) return std::nullopt;
  return parse_version(text.substr(2, text.size() - 3));
}

std::optional<ApiProblem> read_version(const ApiRoute& route, ApiRequest& request) {
  if (!route.needs_version && !route.takes_version) return std::nullopt;
  if (const std::string* header = request.http.header("if-match")) {
    request.topology_version = parse_etag(*header);
    if (!request.topology_version) {
      return ApiProblem{400, "invalid_header",
                        "If-Match must be the ETag of the topology, such as \"t42\" with its "
                        "quotes."};
    }
  }
  if (const auto field = request.body.find("topology_version"); field != request.body.end()) {
    if (!field->is_number_unsigned()) {
      ApiProblem problem{400, "invalid_body", "/topology_version: Must be an integer from 0 on."};
      problem.errors = {{"/topology_version", "invalid", "Must be an integer from 0 on."}};
      return problem;
    }
    const auto version = field->get<uint64_t>();
    if (request.topology_version.value_or(version) != version) {
      return ApiProblem{400, "invalid_body", "If-Match and topology_version differ: send one."};
    }
    request.topology_version = version;
    request.body.erase(field);
  }
  if (!request.topology_version && route.needs_version) {
    return ApiProblem{428, "version_required",
                      "A change of the topology must name the version it was made for: send "
                      "topology_version in the body, or If-Match, as GET /api/v1/topology shows "
                      "it."};
  }
  return std::nullopt;
}

// "https://name:8443" -> "name:8443", without a port that goes without saying.
std::string origin_host(std::string_view origin) {
  for (const auto& [scheme, port] :
       {std::pair<std::string_view, std::string_view>{"http://", ":80"}, {"https://", ":443"}}) {
    if (!origin.starts_with(scheme)) continue;
    origin.remove_prefix(scheme.size());
    if (origin.ends_with(port)) origin.remove_suffix(port.size());
    return to_lower(origin);
  }
  return {};
}

HttpResponse make_response(const HttpRequest& http, ApiReply reply) {
  if (reply.http) return std::move(*reply.http);
  HttpResponse response;
  response.status = reply.status;
  response.headers = std::move(reply.headers);
  response.content_type = "application/json";
  const std::string* wanted = http.header("if-none-match");
  if (wanted != nullptr && (http.method == "GET" || http.method == "HEAD") && reply.status == 200) {
    for (const auto& [name, value] : response.headers) {
      if (name == "ETag" && value == *wanted) {
        response.status = 304;
        return response;
      }
    }
  }
  if (reply.body.is_null()) {
    if (response.status == 200) response.status = 204;
  } else {
    response.body = dump_json(reply.body);
  }
  return response;
}

}  // namespace

ApiDispatch::ApiDispatch(Parts parts, std::vector<ApiRoute> routes)
    : parts_(std::move(parts)), routes_(std::move(routes)) {}

std::vector<HttpRoute> ApiDispatch::http_routes() const {
  std::vector<HttpRoute> table;
  for (const ApiRoute& route : routes_) {
    table.push_back({route.method, kApiBase + route.path,
                     [this, &route](const HttpRequest& request) { return serve(route, request); }});
  }
  return table;
}

HttpResponse ApiDispatch::serve(const ApiRoute& route, const HttpRequest& request) const {
  Context context{.request = {.http = request}, .raw_body_hashed = {}};
  context.request.request_id = request_id_of(request);
  context.request.caller.peer = request.peer;
  ApiResult result;
  const auto fail = [&](std::string_view what) {
    log_error("api handler failed", "operation", route.operation_id, "request",
              context.request.request_id, "error", what);
    result = ApiProblem{500, "internal_error",
                        "The server failed to answer; its log has the reason, with this instance."};
  };
  try {
    result = answer(route, context);
  } catch (const StoreError& error) {
    log_error("api operation could not use the store", "operation", route.operation_id, "request",
              context.request.request_id, "error", error.message);
    result = unavailable("store_unavailable",
                         "Nothing was changed: the store cannot be used. " + error.message + ".",
                         kStoreRetrySeconds);
  } catch (const std::exception& error) {
    fail(error.what());
  } catch (...) {
    fail("an exception that is not a std::exception");
  }
  if (context.is_audited) record(route, context, result);
  HttpResponse response = std::holds_alternative<ApiReply>(result)
                              ? make_response(request, std::move(std::get<ApiReply>(result)))
                              : render(std::get<ApiProblem>(result), context.request.request_id);
  response.headers.emplace_back("X-Request-Id", context.request.request_id);
  return response;
}

ApiResult ApiDispatch::answer(const ApiRoute& route, Context& context) const {
  ApiRequest& request = context.request;
  if (auto problem = check_origin(request.http)) return *problem;
  if (auto problem = identify(route, context)) return *problem;
  if (auto problem = read_body(route, request)) return *problem;
  if (auto problem = read_query(route, request)) return *problem;
  if (auto problem = read_reason(request)) return *problem;
  context.raw_body_hashed = request.http.raw_path + "\n" + request.http.body;
  if (const std::string* version = request.http.header("if-match")) {
    context.raw_body_hashed += "\n" + *version;
  }
  if (auto problem = read_version(route, request)) return *problem;
  return run(route, context);
}

// A page of another site may send requests here with what the browser knows, though not read the
// answers. Browsers say so in Origin.
std::optional<ApiProblem> ApiDispatch::check_origin(const HttpRequest& request) const {
  const std::string* origin = request.header("origin");
  if (origin == nullptr) return std::nullopt;
  const std::string host = origin_host(*origin);
  std::string own = to_lower(request.host);
  for (const std::string_view port : {":80", ":443"}) {
    if (own.ends_with(port)) own.erase(own.size() - port.size());
  }
  if (!host.empty() && host == own) return std::nullopt;
  const std::string name = host.substr(0, host.find(':'));
  for (const std::string& allowed : parts_.allowed_hosts) {
    if (!name.empty() && name == to_lower(allowed)) return std::nullopt;
  }
  return ApiProblem{403, "foreign_origin",
                    "The request comes from a page of another site. If that is this server under "
                    "another name, add the name to admin.allowed_hosts."};
}

std::optional<ApiProblem> ApiDispatch::identify(const ApiRoute& route, Context& context) const {
  if (route.role == Role::kNone) return std::nullopt;
  auto outcome = parts_.authenticator.authenticate(context.request.http);
  if (auto* problem = std::get_if<ApiProblem>(&outcome)) return std::move(*problem);
  auto& identity = std::get<CallerIdentity>(outcome);
  context.request.caller = std::move(identity.caller);
  context.request.caller.peer = context.request.http.peer;
  if (is_change(route) && !identity.csrf_token.empty()) {
    const std::string* given = context.request.http.header("x-csrf-token");
    if (given == nullptr || !is_same_secret(*given, identity.csrf_token)) {
      return ApiProblem{403, "csrf_token_required",
                        "Send the csrf_token of the login or of GET /auth/me as X-CSRF-Token."};
    }
  }
  context.is_audited = is_change(route);
  if (context.request.caller.role < route.role) {
    return ApiProblem{403, "forbidden",
                      "This needs the role " + std::string(role_name(route.role)) + "; yours is " +
                          std::string(role_name(context.request.caller.role)) + "."};
  }
  return std::nullopt;
}

ApiResult ApiDispatch::run(const ApiRoute& route, Context& context) const {
  const ApiRequest& request = context.request;
  const std::string* key = request.http.header("idempotency-key");
  if (key == nullptr || !route.creates_work || request.dry_run) return route.handler(request);
  const bool is_printable = std::all_of(key->begin(), key->end(), [](char c) {
    return c > ' ' && static_cast<unsigned char>(c) < 0x7F;
  });
  if (key->empty() || key->size() > kIdempotencyKeyMax || !is_printable) {
    return ApiProblem{400, "invalid_header",
                      "Idempotency-Key must have 1 to " + std::to_string(kIdempotencyKeyMax) +
                          " printable ASCII characters, no blanks."};
  }
  auto begun = parts_.idempotency.begin(request.caller.name, *key, route.operation_id,
                                        context.raw_body_hashed);
  if (auto* problem = std::get_if<ApiProblem>(&begun)) return std::move(*problem);
  if (auto* reply = std::get_if<ApiReply>(&begun)) {
    context.is_audited = false;  // It was, the first time.
    return std::move(*reply);
  }
  ApiResult result;
  try {
    result = route.handler(request);
  } catch (...) {
    parts_.idempotency.finish(request.caller.name, *key, nullptr);
    throw;
  }
  const auto* reply = std::get_if<ApiReply>(&result);
  const bool is_kept = reply != nullptr && reply->status / 100 == 2;
  try {
    parts_.idempotency.finish(request.caller.name, *key, is_kept ? reply : nullptr);
  } catch (const StoreError& error) {
    // The work is done; saying otherwise would have it done again.
    log_error("answer for an idempotency key could not be stored", "error", error.message);
  }
  return result;
}

void ApiDispatch::record(const ApiRoute& route, const Context& context,
                         const ApiResult& result) const {
  const ApiRequest& request = context.request;
  AuditEntry entry;
  entry.actor = request.caller.name;
  entry.peer = request.caller.peer;
  entry.action = route.operation_id;
  entry.reason = request.reason;
  entry.request_id = request.request_id;
  entry.dry_run = request.dry_run;
  if (const auto* reply = std::get_if<ApiReply>(&result)) {
    entry.status = reply->http ? reply->http->status : reply->status;
    entry.object = reply->object;
    entry.before = reply->before;
    entry.after = reply->after;
  } else {
    const auto& problem = std::get<ApiProblem>(result);
    entry.status = problem.status;
    entry.object = problem.object;
    entry.after = {{"code", problem.code}};
  }
  try {
    parts_.audit.record(entry);
  } catch (const StoreError& error) {
    log_error("audit record could not be stored", "operation", route.operation_id, "request",
              request.request_id, "error", error.message);
  } catch (const std::exception& error) {
    log_error("audit record failed", "operation", route.operation_id, "error", error.what());
  }
}

}  // namespace pikaproxy
