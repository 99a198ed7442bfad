#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace pikaproxy {

// A change, or an attempt at one: who did what from where.
struct AuditEntry {
  std::string actor;   // A user's or token's name; "system" for the controller itself.
  std::string peer;    // Address the request came from; empty for the system.
  std::string action;  // The operation's id, e.g. "createGroup", or "migration.succeeded".
  std::string object;  // What it was done to, e.g. "groups/3"; may be empty.
  std::string reason;  // X-Reason.
  std::string request_id;
  int status = 0;         // Of the reply; 0 for the system's own.
  bool dry_run = false;   // Only tried: nothing was changed.
  nlohmann::json before;  // Null where there is none. Without secrets.
  nlohmann::json after;
};

class AuditLog {
 public:
  virtual ~AuditLog() = default;
  // Any thread. Kept in the store, and published as an event. Not within a transaction of this
  // thread. Throws StoreError.
  virtual void record(const AuditEntry& entry) = 0;
};

}  // namespace pikaproxy
