#include "proxy/stats/server_summary.h"

namespace pikaproxy {

ServerSummaries summarize_servers(const std::vector<std::unique_ptr<Worker>>& workers) {
  ServerSummaries summaries;
  for (const auto& worker : workers) {
    const WorkerStats& stats = std::as_const(*worker).stats();
    const std::lock_guard lock(stats.servers_mutex);
    for (const auto& server : stats.servers) {
      ServerSummary& sum = summaries[{server->group, server->server}];
      sum.is_replica = server->is_replica;
      ++sum.workers;
      sum.workers_up += server->up.get();
      sum.connections += server->connections.get();
      sum.inflight += server->inflight.get();
      sum.requests += server->requests.get();
      sum.connects_ok += server->connects_ok.get();
      sum.connects_failed += server->connects_failed.get();
      sum.timeouts += server->timeouts.get();
      sum.lost += server->lost.get();
      sum.error_replies += server->error_replies.get();
      sum.latency.add(server->latency);
    }
  }
  return summaries;
}

}  // namespace pikaproxy
