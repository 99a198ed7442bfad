#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pikaproxy {

// What a server says of its replication: INFO replication of Redis, Valkey or Pika.
struct ReplicationReport {
  struct Replica {
    bool is_online = false;
    uint64_t offset = 0;  // What it has acknowledged, in the master's counting.
  };

  bool is_master = false;
  std::string replication_id;  // Of the history that offsets count; empty where servers tell none.
  // How far its data has got. Redis counts bytes of the replication stream. Pika numbers its files
  // of at most 100 MiB and counts in each; here that is one number, file * 2^32 + place.
  uint64_t offset = 0;
  // Pika: a replica has got to its place when the binlog is written; its data follows a moment
  // later.
  bool applies_later = false;
  std::vector<Replica> replicas;  // A master's.
  // A replica's.
  std::string master;  // "host:port"
  bool link_up = false;
};

// From the whole reply to INFO replication. Nothing if it is another reply, or nothing is said of a
// role or an offset.
std::optional<ReplicationReport> parse_replication(std::string_view reply);

}  // namespace pikaproxy
