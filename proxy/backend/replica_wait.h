#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/config.h"
#include "proxy/backend/wait_for_replicas.h"
#include "proxy/client/client.h"

namespace pikaproxy {

// What a client that waits in WAIT or WAITAOF waits for. Shared with the answers that are
// outstanding; over when the client's `replica_wait` is another one.
struct Client::ReplicaWait {
  // One server of a WAITAOF.
  struct Disk {
    Backend* backend = nullptr;     // Lent for the wait.
    std::string connection;         // Its id at the server, since that counts for one connection.
    int64_t local = 0, copies = 0;  // As the server said last.
  };

  ReplicaWait(Client& waiting, Task* asked, ReplicaCount what)
      : client(waiting), task(asked), count(std::move(what)) {}

  Client& client;
  Task* task;
  ReplicaCount count;
  std::vector<GroupConfig> servers;  // Of count.groups(), when it began.
  int64_t wanted = 0;                // Replicas.
  size_t outstanding = 0;  // Answers to this round; of WAITAOF: servers that lack something.
  std::string error;       // Of this round.
  Ticks pause = 0;
  Ticks nudge_at = 0;

  // Of WAITAOF.
  std::vector<Disk> disks;
  std::vector<std::string> args;
  int64_t wanted_local = 0;
  Ticks until = 0;  // 0 = for ever.
};

}  // namespace pikaproxy
