#pragma once

#include <memory>

#include "common/config.h"
#include "common/proxy_status.h"
#include "common/result.h"
#include "dashboard/api/api_server.h"
#include "dashboard/events/event_ring.h"
#include "dashboard/events/store_audit_log.h"
#include "dashboard/settings/settings.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// The control plane of the process: the store, and the API over it.
class Dashboard {
 public:
  // `status` outlives it. Errors: a sentence with what to do.
  static Result<std::unique_ptr<Dashboard>> start(const Config& config, const ProxyStatus& status);

  uint16_t port() const noexcept { return api_->port(); }
  void stop() { api_->stop(); }

 private:
  explicit Dashboard(std::unique_ptr<Database> database);

  const std::unique_ptr<Database> database_;
  EventRing events_;
  StoreAuditLog audit_;
  Settings settings_;
  std::unique_ptr<ApiServer> api_;
};

}  // namespace pikaproxy
