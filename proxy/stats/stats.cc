#include "proxy/stats/stats.h"

namespace pikaproxy {

void WorkerStats::reset() {
  for (Counter* counter :
       {&clients_total, &received_bytes, &sent_bytes, &unknown_commands, &refused_memory,
        &crossslot, &denied_logins, &denied_commands, &denied_keys, &denied_channels,
        &protocol_errors, &slowlog_entries, &tryagain, &key_moves, &key_moves_failed,
        &messages_received, &messages_delivered, &links_lost}) {
    counter->set(0);
  }
  for (Counter& counter : disconnects) counter.set(0);
  for (PerCommand& command : commands) {
    command.calls.set(0);
    command.errors.set(0);
    command.total_us.set(0);
  }
  for (Counter& counter : slots) counter.set(0);
  for (Histogram& histogram : latency) histogram.reset();
  for (Histogram& histogram : own_time) histogram.reset();
  const std::lock_guard lock(servers_mutex);
  for (const auto& server : servers) {
    for (Counter* counter : {&server->requests, &server->connects_ok, &server->connects_failed,
                             &server->timeouts, &server->lost, &server->error_replies}) {
      counter->set(0);
    }
    server->latency.reset();
  }
}

}  // namespace pikaproxy
