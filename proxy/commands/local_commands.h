#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "common/command_table.h"

namespace pikaproxy {

class Client;

// Commands that the proxy answers itself (CommandAction::kLocal). The arity has been checked.
// Runs on the worker's thread of `client`; the answer goes out by client.reply(), or later through
// a task where other workers have to be asked.
void run_local_command(Client& client, const Command& command, Arguments args);

// Whether some file of local commands has code for it.
bool has_local_handler(const Command& command);

// The reply of "<container> HELP": what Redis puts around the lines, and the lines.
std::string help_reply(std::string_view container, std::initializer_list<std::string_view> lines);

// One local command's code. Each file of them has a table.
using LocalHandler = void (*)(Client& client, const Command& command, Arguments args);
struct LocalEntry {
  std::string_view name;  // As in the command table: "client|id".
  LocalHandler handler;
};
// All files' tables.
std::span<const std::span<const LocalEntry>> local_entries();
std::span<const LocalEntry> acl_commands();         // ACL ...
std::span<const LocalEntry> connection_commands();  // AUTH HELLO PING SELECT ...
std::span<const LocalEntry> client_commands();      // CLIENT ...
std::span<const LocalEntry> tracking_commands();    // CLIENT CACHING GETREDIR TRACKINGINFO
std::span<const LocalEntry> codis_commands();       // SLOTSINFO and alike
std::span<const LocalEntry> cluster_commands();     // CLUSTER ...
std::span<const LocalEntry> latency_commands();     // LATENCY ...
std::span<const LocalEntry> memory_commands();      // MEMORY DOCTOR MALLOC-STATS PURGE STATS
std::span<const LocalEntry> monitor_commands();     // MONITOR
std::span<const LocalEntry> proxy_commands();       // PROXY EXPLAIN
std::span<const LocalEntry> pubsub_commands();      // PUBSUB UNSUBSCRIBE PUNSUBSCRIBE ...
std::span<const LocalEntry> server_commands();      // INFO CONFIG SLOWLOG COMMAND TIME

}  // namespace pikaproxy
