#include "dashboard/health/server_status_board.h"

#include "dashboard/api/time_text.h"

namespace pikaproxy {

using Json = nlohmann::json;

std::optional<ServerStatus> ServerStatusBoard::find(const Address& server) const {
  const std::lock_guard lock(mutex_);
  const auto found = statuses_.find(server);
  if (found == statuses_.end()) return std::nullopt;
  return found->second;
}

std::map<Address, ServerStatus> ServerStatusBoard::all() const {
  const std::lock_guard lock(mutex_);
  return statuses_;
}

void ServerStatusBoard::update(const Address& server,
                               const std::function<ServerStatus(ServerStatus)>& next) {
  const std::lock_guard lock(mutex_);
  ServerStatus& status = statuses_[server];
  status.address = server;
  status = next(std::move(status));
}

void ServerStatusBoard::keep_only(const std::set<Address>& servers) {
  const std::lock_guard lock(mutex_);
  std::erase_if(statuses_, [&](const auto& entry) { return !servers.contains(entry.first); });
}

Json server_status_json(const std::optional<ServerStatus>& status, const ServerStatus* master) {
  const auto time = [](int64_t ms) { return ms == 0 ? Json() : Json(time_text(ms)); };
  const ServerStatus known = status.value_or(ServerStatus());
  Json json = {{"state", server_state_name(known.state)},
               {"state_since", time(known.state_since)},
               {"asked_at", time(known.asked_at)},
               {"error", known.error.empty() ? Json() : Json(known.error)}};
  for (const char* name :
       {"role", "engine", "version", "lag_bytes", "link_up", "memory_bytes", "memory_max_bytes",
        "keys", "ops_per_second", "clients", "uptime_seconds", "loading", "movers"}) {
    json[name] = nullptr;
  }
  if (!known.is_known()) return json;
  const ServerFacts& facts = known.facts;
  json["role"] = facts.is_master ? "master" : "replica";
  json["engine"] = facts.engine;
  json["version"] = facts.version;
  if (!facts.is_master) {
    json["link_up"] = facts.link_up;
    if (master != nullptr && master->is_known())
      json["lag_bytes"] = replication_lag(*master, known);
  }
  json["memory_bytes"] = facts.memory_bytes;
  json["memory_max_bytes"] = facts.memory_max_bytes;
  json["keys"] = facts.keys;
  json["ops_per_second"] = facts.ops_per_second;
  json["clients"] = facts.clients;
  json["uptime_seconds"] = facts.uptime_seconds;
  json["loading"] = facts.loading;
  json["movers"] = Json::array();
  if (facts.has_migrate && facts.has_dump_restore) json["movers"].push_back("migrate");
  if (facts.has_slots_commands) json["movers"].push_back("slots");
  json["movers"].push_back("copy");
  return json;
}

}  // namespace pikaproxy
