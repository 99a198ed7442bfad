#include "dashboard/admin_server.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/log.h"
#include "common/version.h"

namespace pikaproxy {
namespace {

// How soon a load balancer should ask again.
constexpr char kRetryAfterSeconds[] = "2";

HttpResponse text(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

HttpResponse metrics(const ProxyStatus& status) {
  HttpResponse response = text(status.metrics());
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

HttpResponse readiness(const ProxyStatus& status) {
  const std::string reason = status.not_ready_reason();
  if (reason.empty()) return text("ready\n");
  HttpResponse response = text(reason + "\n");
  response.status = 503;
  response.headers.emplace_back("Retry-After", kRetryAfterSeconds);
  return response;
}

HttpResponse version() {
  HttpResponse response;
  response.content_type = "application/json";
  response.body =
      "{\"version\":" + json_quote(kVersion) + ",\"commit\":" + json_quote(kCommit) + "}\n";
  return response;
}

constexpr char kIndex[] =
    "pikaproxy\n"
    "\n"
    "/metrics  Prometheus metrics\n"
    "/healthz  200 while the process lives\n"
    "/readyz   200 while the proxy serves, else 503 and why\n"
    "/version  version and commit, as JSON\n";

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::start(const AdminConfig& config,
                                                        const ProxyStatus& status,
                                                        AdminExtras extras) {
  const auto guarded_metrics =
      [&status, guard = std::move(extras.metrics_guard)](const HttpRequest& request) {
        auto refusal = guard ? guard(request) : std::nullopt;
        return refusal ? std::move(*refusal) : metrics(status);
      };
  std::vector<HttpRoute> routes = {
      {"GET", "/metrics", guarded_metrics},
      {"GET", "/healthz", [](const HttpRequest&) { return text("ok\n"); }},
      {"GET", "/readyz", [&status](const HttpRequest&) { return readiness(status); }},
      {"GET", "/version", [](const HttpRequest&) { return version(); }},
  };
  for (HttpRoute& route : extras.routes) routes.push_back(std::move(route));
  const bool has_page = std::any_of(routes.begin(), routes.end(),
                                    [](const HttpRoute& route) { return route.path == "/"; });
  if (!has_page) routes.push_back({"GET", "/", [](const HttpRequest&) { return text(kIndex); }});
  HttpServerConfig http_config;
  http_config.listen = config.listen;
  http_config.allowed_hosts = config.allowed_hosts;
  std::shared_ptr<TlsContext> tls;
  if (!config.tls_cert.empty()) {
    auto loaded = TlsContext::load(config.tls_cert, config.tls_key);
    if (!loaded) return Error{loaded.error()};
    tls = std::move(*loaded);
    http_config.tls = tls;
  }
  auto http = HttpServer::start(std::move(http_config), std::move(routes));
  if (!http) return Error{http.error()};
  Address bound = config.listen;
  bound.port = (*http)->port();
  log_info("admin port open", "addr", bound.to_string(), "tls", tls != nullptr);
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(*http), std::move(tls)));
}

void AdminServer::reload_tls() {
  if (tls_ == nullptr) return;
  if (const auto error = tls_->reload()) {
    log_error("the admin port keeps its certificate", "problem", error->message);
  }
}

}  // namespace pikaproxy
