#include "proxy/stats/info.h"

#include <cstdio>
#include <map>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "common/process_stats.h"
#include "common/version.h"
#include "proxy/client/client_name.h"
#include "proxy/stats/server_summary.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

class InfoWriter {
 public:
  explicit InfoWriter(const std::set<std::string>& wanted)
      : wanted_(wanted),
        all_(wanted.contains("all") || wanted.contains("everything")),
        default_(wanted.empty() || wanted.contains("default")) {}

  // Begins a section if it is wanted.
  bool section(std::string_view title, bool in_default = true) {
    std::string name;
    for (const char c : title) name += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (!all_ && !(default_ && in_default) && !wanted_.contains(name)) return false;
    if (!text_.empty()) text_ += "\r\n";
    text_ += "# ";
    text_ += title;
    text_ += "\r\n";
    return true;
  }
  void line(std::string_view key, std::string_view value) {
    text_ += key;
    text_ += ':';
    text_ += value;
    text_ += "\r\n";
  }
  void lines(std::string_view whole) { text_ += whole; }
  void line(std::string_view key, uint64_t value) { line(key, std::to_string(value)); }
  void line(std::string_view key, double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    line(key, text);
  }

  std::string take() { return std::move(text_); }

 private:
  const std::set<std::string>& wanted_;
  const bool all_;
  const bool default_;
  std::string text_;
};

std::string human_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "K", "M", "G", "T"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : "%.2f%s", value, kUnits[unit]);
  return text;
}

uint64_t sum(const WorkerManager& manager, Counter WorkerStats::*counter) {
  uint64_t total = 0;
  for (const auto& worker : manager.workers()) {
    total += (std::as_const(*worker).stats().*counter).get();
  }
  return total;
}

struct CommandSum {
  uint64_t calls = 0, errors = 0, total_us = 0;
};

CommandSum sum_command(const WorkerManager& manager, size_t index) {
  CommandSum total;
  for (const auto& worker : manager.workers()) {
    const WorkerStats::PerCommand& one = std::as_const(*worker).stats().commands[index];
    total.calls += one.calls.get();
    total.errors += one.errors.get();
    total.total_us += one.total_us.get();
  }
  return total;
}

void write_server(InfoWriter& out, WorkerManager& manager, const Config& config) {
  utsname system{};
  ::uname(&system);
  const int64_t now_ms = static_cast<int64_t>(::time(nullptr)) * 1000;
  const auto uptime_s =
      static_cast<uint64_t>(std::max<int64_t>(0, (now_ms - manager.started_unix_ms()) / 1000));
  out.line("redis_version", kRedisVersion);
  out.line("redis_mode", config.proxy.cluster_mode ? "cluster" : "standalone");
  out.line("pikaproxy_version", kVersion);
  out.line("pikaproxy_commit", kCommit);
  out.line("os", std::string(system.sysname) + " " + system.release + " " + system.machine);
  out.line("arch_bits", "64");
  out.line("process_id", static_cast<uint64_t>(::getpid()));
  uint64_t port = 0;
  for (const Address& address : config.proxy.listen) {
    if (port == 0 && !address.is_unix()) port = address.port;
  }
  out.line("tcp_port", port);
  out.line("uptime_in_seconds", uptime_s);
  out.line("uptime_in_days", uptime_s / 86400);
}

void write_backends(InfoWriter& out, const WorkerManager& manager) {
  std::map<std::string, int> replicas;
  for (const auto& [names, server] : summarize_servers(manager.workers())) {
    const auto& [group, address] = names;
    std::string name = "backend_" + group;
    // Of those there may be several, known when they have been read from.
    if (server.is_replica) name += "_replica" + std::to_string(replicas[group]++);
    out.line(name, "server=" + address +
                       ",state=" + (server.workers_up == server.workers ? "up" : "down") +
                       ",connections=" + std::to_string(server.connections) +
                       ",inflight=" + std::to_string(server.inflight) +
                       ",requests=" + std::to_string(server.requests) +
                       ",error_replies=" + std::to_string(server.error_replies) +
                       ",connects_failed=" + std::to_string(server.connects_failed) +
                       ",lost=" + std::to_string(server.lost) +
                       ",timeouts=" + std::to_string(server.timeouts) +
                       ",p50_us=" + std::to_string(server.latency.quantile_us(0.5)) +
                       ",p99_us=" + std::to_string(server.latency.quantile_us(0.99)));
  }
}

void write_latency(InfoWriter& out, const WorkerManager& manager) {
  for (size_t i = 0; i < kCommandClassCount; ++i) {
    MergedHistogram total, own;
    for (const auto& worker : manager.workers()) {
      const WorkerStats& stats = std::as_const(*worker).stats();
      total.add(stats.latency[i]);
      own.add(stats.own_time[i]);
    }
    if (total.total() == 0) continue;
    const std::string name(name_of(static_cast<CommandClass>(i)));
    out.line("latency_us_" + name, "p50=" + std::to_string(total.quantile_us(0.5)) +
                                       ",p99=" + std::to_string(total.quantile_us(0.99)) +
                                       ",p99.9=" + std::to_string(total.quantile_us(0.999)));
    out.line("proxy_time_us_" + name, "p50=" + std::to_string(own.quantile_us(0.5)) +
                                          ",p99=" + std::to_string(own.quantile_us(0.99)) +
                                          ",p99.9=" + std::to_string(own.quantile_us(0.999)));
  }
}

}  // namespace

bool wants_keyspace(const std::set<std::string>& sections) {
  return InfoWriter(sections).section("Keyspace");
}

std::string info_text(WorkerManager& manager, const std::set<std::string>& sections,
                      std::string_view keyspace) {
  InfoWriter out(sections);
  const Config config = manager.config();
  const ProcessStats process = read_process_stats();
  if (out.section("Server")) write_server(out, manager, config);
  if (out.section("Clients")) {
    out.line("connected_clients", sum(manager, &WorkerStats::clients));
    out.line("maxclients", config.proxy.max_clients);
    out.line("tracking_clients", sum(manager, &WorkerStats::tracking_clients));
    out.line("blocked_clients", sum(manager, &WorkerStats::blocked_clients));
  }
  if (out.section("Memory")) {
    const uint64_t queued = manager.queued_bytes();
    out.line("used_memory", process.resident_bytes);
    out.line("used_memory_human", human_bytes(process.resident_bytes));
    out.line("used_memory_rss", process.resident_bytes);
    out.line("used_memory_rss_human", human_bytes(process.resident_bytes));
    out.line("queued_bytes", queued);
    out.line("maxmemory", config.proxy.memory_max);
    out.line("maxmemory_human", human_bytes(config.proxy.memory_max));
  }
  CommandSum all;
  for (size_t i = 0; i < command_count(); ++i) {
    const CommandSum one = sum_command(manager, i);
    all.calls += one.calls;
    all.errors += one.errors;
  }
  if (out.section("Stats")) {
    out.line("total_connections_received", sum(manager, &WorkerStats::clients_total));
    out.line("total_commands_processed", all.calls);
    out.line("total_net_input_bytes", sum(manager, &WorkerStats::received_bytes));
    out.line("total_net_output_bytes", sum(manager, &WorkerStats::sent_bytes));
    out.line("rejected_connections", manager.rejected().get());
    out.line("total_error_replies", all.errors);
    out.line("unknown_commands", sum(manager, &WorkerStats::unknown_commands));
    out.line("protocol_errors", sum(manager, &WorkerStats::protocol_errors));
    out.line("crossslot_errors", sum(manager, &WorkerStats::crossslot));
    out.line("acl_access_denied_auth", sum(manager, &WorkerStats::denied_logins));
    out.line("acl_access_denied_cmd", sum(manager, &WorkerStats::denied_commands));
    out.line("acl_access_denied_key", sum(manager, &WorkerStats::denied_keys));
    out.line("acl_access_denied_channel", sum(manager, &WorkerStats::denied_channels));
    out.line("refused_for_memory", sum(manager, &WorkerStats::refused_memory));
    out.line("slowlog_entries_total", sum(manager, &WorkerStats::slowlog_entries));
    const SubscriptionCounts& subscribers = manager.subscribers();
    out.line("pubsub_channels", subscribers.size(ChannelKind::kChannel));
    out.line("pubsub_patterns", subscribers.size(ChannelKind::kPattern));
    out.line("pubsubshard_channels", subscribers.size(ChannelKind::kShard));
  }
  if (out.section("Replication")) {
    out.line("role", "master");
    out.line("connected_slaves", uint64_t{0});
    out.line("master_repl_offset", uint64_t{0});  // It replicates nothing itself.
  }
  if (out.section("CPU")) {
    out.line("used_cpu_sys", process.cpu_system_seconds, 6);
    out.line("used_cpu_user", process.cpu_user_seconds, 6);
  }
  if (out.section("Commandstats", false)) {
    for (size_t i = 0; i < command_count(); ++i) {
      const CommandSum one = sum_command(manager, i);
      if (one.calls == 0) continue;
      char text[160];
      std::snprintf(text, sizeof text,
                    "calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=0,failed_calls=%llu",
                    static_cast<unsigned long long>(one.calls),
                    static_cast<unsigned long long>(one.total_us),
                    static_cast<double>(one.total_us) / static_cast<double>(one.calls),
                    static_cast<unsigned long long>(one.errors));
      out.line("cmdstat_" + std::string(command_at(i).name), text);
    }
  }
  if (out.section("Latencystats", false)) write_latency(out, manager);
  if (out.section("Cluster")) out.line("cluster_enabled", uint64_t{config.proxy.cluster_mode});
  if (out.section("Keyspace")) out.lines(keyspace);
  if (out.section("Proxy")) {
    out.line("workers", manager.workers().size());
    out.line("router", config.proxy.router == RouterKind::kSlot ? "slot" : "ketama");
    out.line("topology_epoch", manager.topology_epoch());
    out.line("groups", config.groups.size());
    const std::string reason = manager.not_ready_reason();
    out.line("ready", reason.empty() ? "yes" : reason);
  }
  if (out.section("Backends")) write_backends(out, manager);
  return out.take();
}

}  // namespace pikaproxy
