#pragma once

#include <memory>
#include <vector>

#include "common/config.h"
#include "common/proxy_status.h"
#include "common/result.h"
#include "dashboard/admin_server.h"
#include "dashboard/api/api_dispatch.h"
#include "dashboard/api/idempotency.h"
#include "dashboard/auth/auth.h"
#include "dashboard/events/event_api.h"
#include "dashboard/events/event_ring.h"
#include "dashboard/events/store_audit_log.h"
#include "dashboard/settings/settings.h"
#include "dashboard/store/backups.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// The admin port with the API: what AdminServer serves, and /api/v1 with the routes it is given and
// its own (auth, users, tokens, events, audit, settings, backups, openapi.json).
class ApiServer {
 public:
  // All of it outlives the server.
  struct Parts {
    const ProxyStatus& status;
    Database& database;
    EventRing& events;
    StoreAuditLog& audit;
    Settings& settings;
  };

  // Makes the first user if there is none, then serves. The handlers run from here on, on several
  // threads. Errors: the address, the first user's password file; with what to do.
  static Result<std::unique_ptr<ApiServer>> start(const Config& config, Parts parts,
                                                  std::vector<ApiRoute> routes);
  ~ApiServer();

  uint16_t port() const noexcept { return admin_->port(); }
  const std::vector<ApiRoute>& routes() const noexcept { return dispatch_->routes(); }

  void reload_tls() { admin_->reload_tls(); }
  // Bounded in time, but waits for handlers that run; more than once is harmless.
  void stop();

 private:
  class StoreStatus;

  ApiServer(const Config& config, Parts parts);

  Parts parts_;
  const std::unique_ptr<StoreStatus> status_;
  Auth auth_;
  Idempotency idempotency_;
  Backups backups_;
  std::unique_ptr<ApiDispatch> dispatch_;
  std::unique_ptr<AdminServer> admin_;
};

}  // namespace pikaproxy
