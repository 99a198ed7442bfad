// MEMORY DOCTOR, MALLOC-STATS, PURGE and STATS, of the proxy's own memory. MEMORY USAGE goes to the
// server that has the key.

#include <malloc.h>

#include "common/process_stats.h"
#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

uint64_t count_clients(const WorkerManager& manager) {
  uint64_t clients = 0;
  for (const auto& worker : manager.workers()) {
    clients += std::as_const(*worker).stats().clients.get();
  }
  return clients;
}

void stats(Client& client, const Command&, Arguments) {
  WorkerManager& manager = client.worker().manager();
  const struct mallinfo2 heap = ::mallinfo2();
  const std::pair<std::string_view, uint64_t> kFields[] = {
      {"total.allocated", heap.uordblks + heap.hblkhd},
      {"resident.bytes", read_process_stats().resident_bytes},
      {"allocator.free", heap.fordblks},
      {"queued.bytes", manager.queued_bytes()},
      {"queued.bytes.max", manager.config().proxy.memory_max},
      {"clients.count", count_clients(manager)},
  };
  std::string out;
  resp::append_map(out, client.version(), std::ssize(kFields));
  for (const auto& [name, value] : kFields) {
    resp::append_bulk(out, name);
    resp::append_integer(out, static_cast<int64_t>(value));
  }
  client.reply(out);
}

void malloc_stats(Client& client, const Command&, Arguments) {
  const struct mallinfo2 heap = ::mallinfo2();
  std::string text;
  const auto line = [&](std::string_view name, size_t value) {
    text += std::string(name) + ":" + std::to_string(value) + "\n";
  };
  line("arena_bytes", heap.arena);
  line("mapped_bytes", heap.hblkhd);
  line("used_bytes", heap.uordblks);
  line("free_bytes", heap.fordblks);
  line("top_bytes", heap.keepcost);
  client.reply(resp::verbatim(client.version(), text));
}

void purge(Client& client, const Command&, Arguments) {
  ::malloc_trim(0);
  client.reply(resp::kOk);
}

void doctor(Client& client, const Command&, Arguments) {
  WorkerManager& manager = client.worker().manager();
  const uint64_t queued = manager.queued_bytes();
  const uint64_t limit = manager.config().proxy.memory_max;
  std::string text = "Queues and buffers hold " + std::to_string(queued) + " of the " +
                     std::to_string(limit) + " bytes that proxy.memory_max allows.\n";
  if (queued >= limit) {
    text +=
        "That is all: requests are refused with -OOM. Clients that do not read their replies "
        "and servers that do not answer fill the queues; CLIENT LIST (omem) and INFO backends "
        "(inflight) show which.\n";
  } else if (queued > limit / 2) {
    text +=
        "That is more than half: look for clients that do not read their replies (omem of "
        "CLIENT LIST) and servers that do not answer (inflight of INFO backends).\n";
  } else {
    text += "There is room enough.\n";
  }
  client.reply(resp::verbatim(client.version(), text));
}

constexpr LocalEntry kEntries[] = {
    {"memory|doctor", doctor},
    {"memory|malloc-stats", malloc_stats},
    {"memory|purge", purge},
    {"memory|stats", stats},
};

}  // namespace

std::span<const LocalEntry> memory_commands() {
  return kEntries;
}

}  // namespace pikaproxy
