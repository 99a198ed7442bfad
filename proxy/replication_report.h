#pragma once

#include <cstdint>
#include <optional>
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
  // How far its data has got. Redis counts bytes of the replication stream. Pika numbers its files
  // of at most 100 MiB and counts in each; here that is one number, file * 2^32 + place.
  uint64_t offset = 0;
  std::vector<Replica> replicas;  // A master's.
  // A replica's.
  bool link_up = false;
  std::optional<uint32_t> silent_s;  // Seconds since its master was heard; Pika does not tell.
};

// From the whole reply to INFO replication. Nothing if it is another reply, or nothing is said of a
// role or an offset.
std::optional<ReplicationReport> parse_replication(std::string_view reply);

}  // namespace pikaproxy
