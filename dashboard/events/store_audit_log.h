#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/events/audit_log.h"
#include "dashboard/events/event_bus.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// The audit log in the store. The oldest entries are forgotten beyond a number. Any thread; throws
// StoreError.
class StoreAuditLog : public AuditLog {
 public:
  StoreAuditLog(Database& database, EventBus& events) : database_(database), events_(events) {}

  void record(const AuditEntry& entry) override;

  // What to look for; what is not set matches all.
  struct Filter {
    std::optional<std::string> actor = {}, action = {}, object = {};
    std::optional<int64_t> from_ms = {}, to_ms = {};  // [from, to)
    std::optional<int64_t> before_id = {};            // Only older ones.
    size_t limit = 100;
  };
  // Newest first, as the API shows them: {id, at, actor, peer, action, object, reason, request_id,
  // status, dry_run, before, after}.
  std::vector<nlohmann::json> find(const Filter& filter);

 private:
  Database& database_;
  EventBus& events_;
};

// GET /audit and GET /audit/export. `log` outlives the server.
std::vector<ApiRoute> audit_routes(StoreAuditLog& log);

}  // namespace pikaproxy
