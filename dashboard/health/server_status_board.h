#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "dashboard/health/server_status.h"

namespace pikaproxy {

// The newest status of every server. The prober writes, the API and the checks read. Any thread.
class ServerStatusBoard {
 public:
  std::optional<ServerStatus> find(const Address& server) const;
  std::map<Address, ServerStatus> all() const;

  // Sets the status to what `next` makes of it; a server that is not there begins as unknown.
  void update(const Address& server, const std::function<ServerStatus(ServerStatus)>& next);
  void keep_only(const std::set<Address>& servers);

 private:
  mutable std::mutex mutex_;
  std::map<Address, ServerStatus> statuses_;  // Guarded by mutex_.
};

// What the API shows of a server beside its address:
//   {"state", "state_since", "asked_at", "error", "role", "engine", "version", "lag_bytes",
//    "link_up", "memory_bytes", "memory_max_bytes", "keys", "ops_per_second", "clients",
//    "uptime_seconds", "loading", "movers"}
// Values are null while they are not known. `master`: of the server's group, for the lag; may be
// null.
nlohmann::json server_status_json(const std::optional<ServerStatus>& status,
                                  const ServerStatus* master);

}  // namespace pikaproxy
