#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/result.h"
#include "dashboard/mover/move_engine.h"

namespace pikaproxy {

// Questions to one server, each on a connection of its own. They block, at most for the time-outs
// named; call them on a thread that may wait. Errors are sentences with the server's address and
// what to do.

// Who a server is and how it does.
struct ServerFacts {
  std::string engine;   // "redis", "valkey", "pika", "codis-server", "unknown"
  std::string version;  // "7.0.15"
  std::string run_id;   // Of the process; two addresses with the same one are one server.
  bool is_master = true;
  std::string master_addr;  // Of a replica: "host:port".
  bool link_up = true;      // Of a replica: to its master.
  uint64_t lag_bytes = 0;   // Of a replica: behind its master's offset as both report; 0 = unknown.
  uint64_t replication_offset = 0;
  // Names the history that the offset counts in; a replica has its master's. Empty where there is
  // no such thing.
  std::string replication_id;
  uint64_t memory_bytes = 0;
  uint64_t memory_max_bytes = 0;  // 0 = no limit.
  std::string memory_policy;      // "noeviction", "allkeys-lru" ...; empty if it does not say.
  uint64_t keys = 0;              // Over all databases.
  uint64_t ops_per_second = 0;
  uint64_t clients = 0;
  uint64_t uptime_seconds = 0;
  bool loading = false;
  std::vector<std::string> replicas;  // Of a master: "host:port".
  // Commands it has, of those that movers need, found by asking for them and never by name.
  bool has_migrate = false;
  bool has_dump_restore = false;
  bool has_slots_commands = false;
  bool has_migrate_auth = false;  // MIGRATE ... AUTH: not before Redis 4.0.7.
  bool asks_password = false;     // We have a password for it.
  // What its RESTORE takes; the last is what its DUMP makes. Empty: it cannot be told.
  std::vector<uint16_t> dump_versions;
};
// Connects, logs in, asks INFO (ROLE where there is one) and for commands.
Result<ServerFacts> ask_server(const ServerAccess& server, std::chrono::milliseconds timeout);

class ServerLink;
// The same over a link that is there, and without asking for commands: what may be asked often.
Result<ServerFacts> ask_server_again(ServerLink& link, std::chrono::milliseconds timeout);

// The mover for keys from `source` to `target`: the fastest that both support; or why there is
// none.
Result<MoverKind> choose_mover(const ServerFacts& source, const ServerFacts& target);

// Keys of each slot on a server, over all databases, by scanning it. Slots without keys are absent.
// `largest`: the n largest keys of `slots` found on the way where the server can tell sizes.
struct SlotCount {
  uint64_t keys = 0;
};
Result<std::map<SlotId, SlotCount>> count_keys(const ServerAccess& server,
                                               const std::vector<SlotId>& slots);

// Deletes every key of these slots, in all databases; returns how many.
Result<uint64_t> purge_keys(const ServerAccess& server, const std::vector<SlotId>& slots);

// REPLICAOF (SLAVEOF where that is unknown); `master` null: becomes a master. A replica is told its
// own password as the master's.
Result<bool> replicate(const ServerAccess& server, const Address* master,
                       std::chrono::milliseconds timeout);

}  // namespace pikaproxy
