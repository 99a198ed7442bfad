#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "dashboard/mover/server_link.h"

namespace pikaproxy {

// Which versions of the format of DUMP a server's RESTORE takes, rising; the last one is what its
// own DUMP writes. Found by offering it empty payloads of each version, which it refuses for their
// version or for being empty: nothing is written. Empty: it cannot be told (no RESTORE, not a
// master, no memory left, lost link).
//   Source: verifyDumpPayload() in cluster.c of Redis: [value][version, 2 bytes][CRC-64 of both].
std::vector<uint16_t> dump_versions(ServerLink& link, std::chrono::milliseconds timeout);

}  // namespace pikaproxy
