// WorkerManager::metrics(): the page of /metrics. Names follow Prometheus' conventions: base units,
// _total for counters, no names of things in metric names. What each counts stands in its HELP.

#include <array>

#include "common/metrics_writer.h"
#include "common/process_stats.h"
#include "common/version.h"
#include "proxy/stats/server_summary.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr std::array<double, 13> kBoundsSeconds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 10};

using Workers = std::vector<std::unique_ptr<Worker>>;

const WorkerStats& stats_of(const std::unique_ptr<Worker>& worker) {
  return std::as_const(*worker).stats();
}

uint64_t sum(const Workers& workers, Counter WorkerStats::*counter) {
  uint64_t total = 0;
  for (const auto& worker : workers) total += (stats_of(worker).*counter).get();
  return total;
}

void write_histogram(MetricsWriter& out, MetricsWriter::Labels labels,
                     const MergedHistogram& histogram) {
  std::array<uint64_t, kBoundsSeconds.size()> cumulative;
  for (size_t i = 0; i < cumulative.size(); ++i) {
    cumulative[i] = histogram.count_below(static_cast<uint64_t>(kBoundsSeconds[i] * 1e6 + 0.5));
  }
  out.histogram_sample(labels, kBoundsSeconds, cumulative,
                       static_cast<double>(histogram.sum_us()) / 1e6, histogram.total());
}

void write_class_histograms(MetricsWriter& out, const Workers& workers,
                            std::array<Histogram, kCommandClassCount> WorkerStats::*histograms) {
  for (size_t i = 0; i < kCommandClassCount; ++i) {
    MergedHistogram merged;
    for (const auto& worker : workers) merged.add((stats_of(worker).*histograms)[i]);
    write_histogram(out, {{"class", name_of(static_cast<CommandClass>(i))}}, merged);
  }
}

void write_commands(MetricsWriter& out, const Workers& workers) {
  struct Row {
    std::string_view name;
    uint64_t calls = 0, errors = 0, total_us = 0;
  };
  std::vector<Row> rows;
  for (size_t i = 0; i < command_count(); ++i) {
    Row row{command_at(i).name};
    for (const auto& worker : workers) {
      const WorkerStats::PerCommand& one = stats_of(worker).commands[i];
      row.calls += one.calls.get();
      row.errors += one.errors.get();
      row.total_us += one.total_us.get();
    }
    if (row.calls > 0) rows.push_back(row);
  }
  out.family("pikaproxy_commands_total", "counter", "Requests by command; only those seen.");
  for (const Row& row : rows) out.sample({{"command", row.name}}, row.calls);
  out.family("pikaproxy_command_errors_total", "counter",
             "Requests answered with an error by a server or by the proxy's connection to it.");
  for (const Row& row : rows) out.sample({{"command", row.name}}, row.errors);
  out.family("pikaproxy_commands_duration_seconds_total", "counter",
             "Time from parsed to answered, by command.");
  for (const Row& row : rows) {
    out.sample({{"command", row.name}}, static_cast<double>(row.total_us) / 1e6);
  }
}

void write_clients(MetricsWriter& out, const WorkerManager& manager) {
  const Workers& workers = manager.workers();
  out.family("pikaproxy_client_connections", "gauge", "Connected clients.");
  out.sample({}, sum(workers, &WorkerStats::clients));
  out.family("pikaproxy_client_connections_total", "counter", "Clients accepted.");
  out.sample({}, sum(workers, &WorkerStats::clients_total));
  out.family("pikaproxy_client_connections_rejected_total", "counter", "Clients turned away.");
  out.sample({{"reason", "max_clients"}}, manager.rejected().get());
  static constexpr std::string_view kReasons[kDisconnectCount] = {
      "client", "idle", "error", "output_buffer", "killed", "protocol", "drain"};
  out.family("pikaproxy_client_disconnects_total", "counter", "Ended connections, by reason.");
  for (size_t i = 0; i < kDisconnectCount; ++i) {
    uint64_t total = 0;
    for (const auto& worker : workers) total += stats_of(worker).disconnects[i].get();
    out.sample({{"reason", kReasons[i]}}, total);
  }
  out.family("pikaproxy_client_tracking", "gauge", "Clients with CLIENT TRACKING ON.");
  out.sample({}, sum(workers, &WorkerStats::tracking_clients));
  out.family("pikaproxy_client_invalidations_total", "counter",
             "Messages that a key has changed, to clients with CLIENT TRACKING ON.");
  out.sample({}, sum(workers, &WorkerStats::invalidations));
  out.family("pikaproxy_client_received_bytes_total", "counter", "Bytes from clients.");
  out.sample({}, sum(workers, &WorkerStats::received_bytes));
  out.family("pikaproxy_client_sent_bytes_total", "counter", "Bytes queued for clients.");
  out.sample({}, sum(workers, &WorkerStats::sent_bytes));
  out.family("pikaproxy_queued_bytes", "gauge",
             "Memory in use for requests and replies on their way, see proxy.memory_max.");
  out.sample({}, manager.queued_bytes());
  out.family("pikaproxy_refused_requests_total", "counter",
             "Requests that no server saw, by reason.");
  out.sample({{"reason", "unknown_command"}}, sum(workers, &WorkerStats::unknown_commands));
  out.sample({{"reason", "crossslot"}}, sum(workers, &WorkerStats::crossslot));
  out.sample({{"reason", "memory"}}, sum(workers, &WorkerStats::refused_memory));
  out.sample({{"reason", "denied_command"}}, sum(workers, &WorkerStats::denied_commands));
  out.sample({{"reason", "denied_key"}}, sum(workers, &WorkerStats::denied_keys));
  out.sample({{"reason", "denied_channel"}}, sum(workers, &WorkerStats::denied_channels));
  out.sample({{"reason", "wrong_password"}}, sum(workers, &WorkerStats::denied_logins));
  out.sample({{"reason", "protocol"}}, sum(workers, &WorkerStats::protocol_errors));
  out.sample({{"reason", "tryagain"}}, sum(workers, &WorkerStats::tryagain));
  out.family("pikaproxy_slowlog_entries_total", "counter", "Requests slow enough for SLOWLOG.");
  out.sample({}, sum(workers, &WorkerStats::slowlog_entries));
}

void write_servers(MetricsWriter& out, const Workers& workers) {
  const ServerSummaries servers = summarize_servers(workers);
  const auto each = [&](auto value) {
    for (const auto& [names, server] : servers) {
      out.sample({{"group", names.first}, {"server", names.second}}, value(server));
    }
  };
  out.family("pikaproxy_backend_up", "gauge", "1 while every worker can use the server.");
  each([](const ServerSummary& s) { return uint64_t{s.workers_up == s.workers}; });
  out.family("pikaproxy_backend_connections", "gauge", "Open connections to the server.");
  each([](const ServerSummary& s) { return s.connections; });
  out.family("pikaproxy_backend_inflight_requests", "gauge", "Requests without a reply.");
  each([](const ServerSummary& s) { return s.inflight; });
  out.family("pikaproxy_backend_requests_total", "counter", "Requests sent or queued.");
  each([](const ServerSummary& s) { return s.requests; });
  out.family("pikaproxy_backend_connects_total", "counter", "Attempts to connect, by result.");
  for (const auto& [names, server] : servers) {
    out.sample({{"group", names.first}, {"server", names.second}, {"result", "ok"}},
               server.connects_ok);
    out.sample({{"group", names.first}, {"server", names.second}, {"result", "failed"}},
               server.connects_failed);
  }
  out.family("pikaproxy_backend_connections_lost_total", "counter",
             "Working connections that ended.");
  each([](const ServerSummary& s) { return s.lost; });
  out.family("pikaproxy_backend_timeouts_total", "counter",
             "Connections given up because the server was silent (backend.request_timeout).");
  each([](const ServerSummary& s) { return s.timeouts; });
  out.family("pikaproxy_backend_error_replies_total", "counter", "Error replies of the server.");
  each([](const ServerSummary& s) { return s.error_replies; });
  out.family("pikaproxy_backend_request_duration_seconds", "histogram",
             "Time from sent to answered.");
  for (const auto& [names, server] : servers) {
    write_histogram(out, {{"group", names.first}, {"server", names.second}}, server.latency);
  }
}

void write_subscriptions(MetricsWriter& out, const Workers& workers,
                         const SubscriptionCounts& subscribers) {
  out.family("pikaproxy_subscribed_names", "gauge",
             "Different channels and patterns that clients subscribe to.");
  out.sample({{"kind", "channel"}}, subscribers.size(ChannelKind::kChannel));
  out.sample({{"kind", "pattern"}}, subscribers.size(ChannelKind::kPattern));
  out.sample({{"kind", "shard"}}, subscribers.size(ChannelKind::kShard));
  out.family("pikaproxy_messages_received_total", "counter",
             "Published messages that servers sent to workers.");
  out.sample({}, sum(workers, &WorkerStats::messages_received));
  out.family("pikaproxy_messages_delivered_total", "counter", "Their copies for clients.");
  out.sample({}, sum(workers, &WorkerStats::messages_delivered));
  out.family(
      "pikaproxy_subscription_links_lost_total", "counter",
      "Connections for messages that ended: what was published until they were back is lost.");
  out.sample({}, sum(workers, &WorkerStats::links_lost));
}

void write_slots(MetricsWriter& out, const Workers& workers, const SlotTable* table,
                 uint64_t epoch) {
  out.family("pikaproxy_slot_table_epoch", "gauge",
             "Epoch of the slot table that all workers route by; 0 = none was installed.");
  out.sample({}, epoch);
  if (table != nullptr) {
    static constexpr std::array<std::string_view, 4> kStates = {"unassigned", "normal", "locked",
                                                                "migrating"};
    std::array<uint64_t, kStates.size()> counts{};
    for (const SlotEntry& entry : table->slots) ++counts[static_cast<size_t>(entry.state)];
    out.family("pikaproxy_slots", "gauge", "Slots of the newest table, by state.");
    for (size_t i = 0; i < counts.size(); ++i) out.sample({{"state", kStates[i]}}, counts[i]);
  }
  out.family("pikaproxy_held_requests", "gauge",
             "Requests that wait because a slot is locked or a key is being moved.");
  out.sample({}, sum(workers, &WorkerStats::held_requests));
  out.family("pikaproxy_held_bytes", "gauge", "Memory that they take, see proxy.hold_max.");
  out.sample({}, sum(workers, &WorkerStats::held_bytes));
  out.family("pikaproxy_key_moves_total", "counter",
             "Requests' questions to have keys moved out of a migrating slot.");
  out.sample({}, sum(workers, &WorkerStats::key_moves));
  out.family("pikaproxy_key_moves_failed_total", "counter", "Those that ended with an error.");
  out.sample({}, sum(workers, &WorkerStats::key_moves_failed));
}

}  // namespace

std::string WorkerManager::metrics() const {
  MetricsWriter out;
  out.family("pikaproxy_build_info", "gauge", "Always 1; the labels say what runs.");
  out.sample({{"version", kVersion}, {"commit", kCommit}, {"compiler", __VERSION__}}, 1);
  write_process_metrics(out, read_process_stats());
  write_clients(out, *this);
  write_commands(out, workers_);
  out.family("pikaproxy_command_duration_seconds", "histogram",
             "Time from parsed to answered, by class of command.");
  write_class_histograms(out, workers_, &WorkerStats::latency);
  out.family("pikaproxy_command_own_duration_seconds", "histogram",
             "The part of it that was spent in the proxy.");
  write_class_histograms(out, workers_, &WorkerStats::own_time);
  write_servers(out, workers_);
  out.family("pikaproxy_topology_epoch", "gauge", "Which topology is in force.");
  out.sample({}, topology_epoch());
  write_slots(out, workers_, table().get(), epoch());
  write_subscriptions(out, workers_, subscribers_);
  out.family("pikaproxy_loop_turns_total", "counter", "Turns of a worker's event loop.");
  for (const auto& worker : workers_) {
    out.sample({{"thread", std::to_string(worker->index())}}, worker->loop().turns());
  }
  out.family("pikaproxy_loop_busy_seconds_total", "counter", "Time in turns, waiting excluded.");
  for (const auto& worker : workers_) {
    out.sample({{"thread", std::to_string(worker->index())}},
               static_cast<double>(worker->loop().busy_us()) / 1e6);
  }
  out.family("pikaproxy_config_last_reload_successful", "gauge",
             "0 if the last reload (SIGHUP) found a bad configuration.");
  out.sample({}, last_reload_ok_.load() ? 1 : 0);
  out.family("pikaproxy_config_last_reload_timestamp_seconds", "gauge",
             "When that was; 0 = never.");
  out.sample({}, last_reload_unix_s_.load());
  return out.take();
}

}  // namespace pikaproxy
