#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/command_table.h"
#include "common/histogram.h"
#include "common/slot.h"

namespace pikaproxy {

// Counters of one server as one worker sees it, over all databases. Written by that worker only.
struct ServerStats {
  // Constant after construction.
  std::string group;
  std::string server;
  bool is_replica = false;

  Counter up;           // 1 from the first success on database 0 until an attempt fails.
  Counter connections;  // Open ones.
  Counter inflight;     // Requests without a reply.
  Counter requests;
  Counter connects_ok;
  Counter connects_failed;
  Counter timeouts;
  Counter lost;  // Connections that ended with requests in flight, or by an error.
  Counter error_replies;
  Histogram latency;  // From sent to answered.
};

// Why a client's connection ended.
enum class Disconnect : uint8_t { kClient, kIdle, kError, kOutput, kKilled, kProtocol, kDrain };
inline constexpr size_t kDisconnectCount = 7;

// Everything one worker counts. The worker's thread writes; any thread reads, without a lock except
// for the list of servers, which changes with the topology only.
struct WorkerStats {
  struct PerCommand {
    Counter calls;
    Counter errors;  // Answered with an error, whoever said it.
    Counter total_us;
  };

  WorkerStats() : commands(command_count()) {}

  Counter clients;
  Counter clients_total;
  Counter tracking_clients;  // With CLIENT TRACKING ON now.
  Counter invalidations;     // Messages to them, or to whom they redirect.
  Counter blocked_clients;   // Waiting at a server now.
  std::array<Counter, kDisconnectCount> disconnects;
  Counter received_bytes;
  Counter sent_bytes;
  Counter unknown_commands;
  Counter refused_memory;  // Requests refused because proxy.memory_max was reached.
  Counter crossslot;
  Counter denied_logins;    // AUTH with a wrong password.
  Counter denied_commands;  // By what a user may do, like the next two.
  Counter denied_keys;
  Counter denied_channels;
  Counter protocol_errors;
  Counter queued_bytes;  // Blocks and buffers in use now.
  Counter slowlog_entries;
  Counter held_requests;                               // Waiting in the slot gate now.
  Counter held_bytes;                                  // And what they take.
  Counter tryagain;                                    // Requests refused by the slot gate.
  Counter key_moves;                                   // Questions to the mover.
  Counter key_moves_failed;                            // Answered with an error.
  Counter messages_received;                           // Published ones, from servers.
  Counter messages_delivered;                          // Their copies for clients.
  Counter links_lost;                                  // Connections for messages that ended.
  std::vector<PerCommand> commands;                    // By Command::index.
  std::array<Counter, kSlotCount> slots;               // Requests; without a slot table, nothing.
  std::array<Histogram, kCommandClassCount> latency;   // Parsed to answered.
  std::array<Histogram, kCommandClassCount> own_time;  // The part of it spent in the proxy.

  std::shared_ptr<ServerStats> add_server(const std::string& group, const std::string& server,
                                          bool is_replica = false) {
    auto stats = std::make_shared<ServerStats>();
    stats->group = group;
    stats->server = server;
    stats->is_replica = is_replica;
    const std::lock_guard lock(servers_mutex);
    servers.push_back(stats);
    return stats;
  }
  void remove_server(const std::shared_ptr<ServerStats>& stats) {
    const std::lock_guard lock(servers_mutex);
    std::erase(servers, stats);
  }

  // CONFIG RESETSTAT: what grows starts again, what tells a state stays. Worker's thread.
  void reset();

  mutable std::mutex servers_mutex;
  std::vector<std::shared_ptr<ServerStats>> servers;  // Guarded by servers_mutex.
};

}  // namespace pikaproxy
