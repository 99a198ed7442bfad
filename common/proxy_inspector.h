#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/histogram.h"
#include "common/result.h"
#include "common/slot.h"

namespace pikaproxy {

// What a proxy has counted. Counters start with the process, or with CONFIG RESETSTAT.
struct ProxySnapshot {
  struct CommandCount {
    std::string name;
    uint64_t calls = 0;
    uint64_t errors = 0;
    uint64_t total_us = 0;
  };
  std::string listen;  // Where clients connect: "host:port" of the first listener.
  int64_t started_unix_ms = 0;
  uint64_t clients = 0;       // Connected now.
  uint64_t memory_bytes = 0;  // Resident, of the process.
  uint64_t requests = 0;
  uint64_t errors = 0;                       // Of these, answered with an error.
  MergedHistogram latency;                   // From parsed to answered.
  std::vector<CommandCount> commands;        // Those that were seen.
  std::array<uint64_t, kSlotCount> slots{};  // Requests by slot; a request of several slots
                                             // counts in each. Zeros without a slot table.
};

struct ProxyClient {
  uint64_t id = 0;
  std::string addr;
  std::string name;
  std::string user;  // "default" if it has not logged in as another.
  std::string library;
  std::string last_command;  // Empty before the first.
  uint32_t db = 0;
  uint64_t age_seconds = 0;
  uint64_t idle_seconds = 0;
  uint64_t queued_requests = 0;
  uint64_t output_bytes = 0;
};

struct ProxySlowRequest {
  uint64_t id = 0;
  int64_t unix_time = 0;
  int64_t total_us = 0;
  int64_t server_us = 0;          // The part of it spent at the server.
  std::vector<std::string> args;  // Shortened; may hold keys and values.
  std::string client;
  std::string client_name;
  std::string server;  // Empty when several or none took part.
};

struct ProxyHotKey {
  std::string key;         // Its beginning, when it is long.
  uint64_t key_bytes = 0;  // Of the whole key.
  SlotId slot = 0;
  double ops_per_second = 0;  // An estimate.
};

// What the dashboard may look at in a running proxy. Any thread but the proxy's own.
class ProxyInspector {
 public:
  virtual ~ProxyInspector() = default;

  // Some ten microseconds; asks no other thread.
  virtual ProxySnapshot snapshot() const = 0;
  // By age of the connection, oldest first. Waits for the workers, a second at most; an error if
  // one has not answered.
  virtual Result<std::vector<ProxyClient>> clients() = 0;
  // Ends a client's connection. False if there is none with this id.
  virtual Result<bool> kill_client(uint64_t id) = 0;
  // Newest first.
  virtual std::vector<ProxySlowRequest> slow_requests() const = 0;
  // Most used first. Waits for the workers as clients() does. Empty without a slot table.
  virtual Result<std::vector<ProxyHotKey>> hot_keys() = 0;
};

}  // namespace pikaproxy
