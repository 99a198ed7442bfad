#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/config.h"
#include "common/proxy_status.h"
#include "common/result.h"
#include "dashboard/http/http_server.h"

namespace pikaproxy {

// What the dashboard adds to the admin port.
struct AdminExtras {
  std::vector<HttpRoute> routes = {};
  // The answer to who may not read /metrics; empty: everybody may.
  std::function<std::optional<HttpResponse>(const HttpRequest&)> metrics_guard = {};
};

// The admin port of the process. Beside what the dashboard adds, open to read:
//   GET /metrics   Prometheus text format 0.0.4
//   GET /healthz   200 "ok" while the process lives
//   GET /readyz    200 "ready", or 503 with the sentence that says what is missing
//   GET /version   {"version": ..., "commit": ...}
//   GET /          what is served; the browser page where the dashboard adds one
class AdminServer {
 public:
  // Listens and serves until the object is gone or stop() was called. `status` outlives it and is
  // asked on the server's threads. Errors: the address cannot be used, with what to do.
  static Result<std::unique_ptr<AdminServer>> start(const AdminConfig& config,
                                                    const ProxyStatus& status,
                                                    AdminExtras extras = {});

  // The port listened on.
  uint16_t port() const noexcept { return http_->port(); }
  // HttpServer::wake_sources().
  void wake_sources() { http_->wake_sources(); }
  // Reads certificate and key again, for connections from now on.
  void reload_tls();
  // Bounded in time; more than once is harmless.
  void stop() { http_->stop(); }

 private:
  AdminServer(std::unique_ptr<HttpServer> http, std::shared_ptr<TlsContext> tls)
      : tls_(std::move(tls)), http_(std::move(http)) {}

  const std::shared_ptr<TlsContext> tls_;  // Null without TLS.
  std::unique_ptr<HttpServer> http_;
};

}  // namespace pikaproxy
