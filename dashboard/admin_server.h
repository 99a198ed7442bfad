#pragma once

#include <memory>

#include "common/config.h"
#include "common/proxy_status.h"
#include "common/result.h"
#include "dashboard/http/http_server.h"

namespace pikaproxy {

// The admin port of the process, all of it open to read:
//   GET /metrics   Prometheus text format 0.0.4
//   GET /healthz   200 "ok" while the process lives
//   GET /readyz    200 "ready", or 503 with the sentence that says what is missing
//   GET /version   {"version": ..., "commit": ...}
//   GET /          what is served
class AdminServer {
 public:
  // Listens and serves until the object is gone or stop() was called. `status` outlives it and is
  // asked on the server's threads. Errors: the address cannot be used, with what to do.
  static Result<std::unique_ptr<AdminServer>> start(const AdminConfig& config,
                                                    const ProxyStatus& status);

  // The port listened on.
  uint16_t port() const noexcept { return http_->port(); }
  // Bounded in time; more than once is harmless.
  void stop() { http_->stop(); }

 private:
  explicit AdminServer(std::unique_ptr<HttpServer> http) : http_(std::move(http)) {}

  std::unique_ptr<HttpServer> http_;
};

}  // namespace pikaproxy
