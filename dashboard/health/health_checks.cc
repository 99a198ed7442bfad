#include "dashboard/health/health_checks.h"

#include "common/slot_ranges.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kStore = "store_write";
constexpr std::string_view kProxy = "proxy_out_of_step";
constexpr std::string_view kDown = "server_down";
constexpr std::string_view kRole = "role_conflict";
constexpr std::string_view kLoading = "server_loading";
constexpr std::string_view kLink = "replication_link";
constexpr std::string_view kLag = "replication_lag";
constexpr std::string_view kMemory = "memory_full";
constexpr std::string_view kEviction = "eviction";
constexpr std::string_view kEngine = "unknown_engine";
constexpr std::string_view kExcluded = "server_excluded";
constexpr std::string_view kMigration = "migration_problem";
constexpr std::string_view kUnassigned = "slots_unassigned";

std::string bytes_text(uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {" bytes", " KiB", " MiB", " GiB", " TiB"};
  size_t unit = 0;
  while (bytes >= 10240 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + std::string(kUnits[unit]);
}

std::string seconds_text(int64_t ms) {
  return std::to_string(ms / 1000) + (ms / 1000 == 1 ? " second" : " seconds");
}

class Checker {
 public:
  explicit Checker(const HealthInputs& inputs) : in_(inputs) {}

  std::vector<HealthFinding> run() {
    if (!in_.store_problem.empty()) {
      add(kStore, HealthSeverity::kCritical, "The store cannot be written: " + in_.store_problem,
          "Nothing can be changed until it can. Look at the free space and the permissions of the "
          "store's file; writing is tried again with the next change.",
          {"store"});
    }
    for (const auto& proxy : in_.proxies) check_proxy(proxy);
    for (const auto& [id, group] : in_.topology.groups) check_group(group);
    for (const auto& excluded : in_.excluded) check_excluded(excluded);
    for (const auto& problem : in_.migration_problems) {
      add(kMigration, HealthSeverity::kWarning,
          "Migration " + std::to_string(problem.id) + " does not go on: " + problem.text,
          "It is tried again by itself. POST /api/v1/migrations/" + std::to_string(problem.id) +
              "/cancel moves back what has moved.",
          {"migrations/" + std::to_string(problem.id)});
    }
    check_unassigned();
    return std::move(findings_);
  }

 private:
  void add(std::string_view check, HealthSeverity severity, std::string detail, std::string hint,
           std::vector<std::string> objects) {
    findings_.push_back(
        {std::string(check), severity, std::move(detail), std::move(hint), std::move(objects)});
  }

  const ServerStatus* status(const Address& server) const {
    const auto found = in_.servers.find(server);
    return found == in_.servers.end() ? nullptr : &found->second;
  }

  void check_proxy(const HealthInputs::Proxy& proxy) {
    const uint64_t wanted = in_.topology.version;
    if (proxy.topology_version >= wanted || in_.now - in_.topology_since < kProxyBehindMs) return;
    add(kProxy, HealthSeverity::kCritical,
        "Proxy " + proxy.id + " has slot table " + std::to_string(proxy.topology_version) +
            " in force, the newest is " + std::to_string(wanted) +
            (proxy.problem.empty() ? std::string(".") : ": " + proxy.problem + "."),
        "No slot moves until it follows. It waits for a server to answer what was sent under the "
        "older table, or cannot be reached; POST /api/v1/proxies/" +
            proxy.id + "/resync pushes the table again.",
        {"proxies/" + proxy.id});
  }

  void check_group(const ClusterGroup& group) {
    const ServerStatus* master = status(group.master());
    for (const ClusterServer& server : group.servers) {
      const ServerStatus* found = status(server.address);
      if (found == nullptr) continue;
      check_reachable(group, server, *found);
      // What it said before it went silent is not news.
      if (found->state != ServerState::kUp) continue;
      check_role(group, server, *found, master);
      check_facts(group, *found);
      if (!server.is_master && !found->facts.is_master) check_replication(group, *found, master);
    }
  }

  std::vector<std::string> objects_of(const ClusterGroup& group, const Address& server) const {
    return {"groups/" + std::to_string(group.id), "servers/" + server.to_string()};
  }
  std::string group_path(const ClusterGroup& group) const {
    return "/api/v1/groups/" + std::to_string(group.id);
  }
  std::string replicate_hint(const ClusterGroup& group, const Address& server) const {
    return "POST " + group_path(group) + "/servers/" + server.to_string() +
           "/replicate makes it a replica of " + group.master().to_string() +
           "; what was written to it alone is lost then.";
  }

  void check_reachable(const ClusterGroup& group, const ClusterServer& server,
                       const ServerStatus& found) {
    if (found.state != ServerState::kSuspect && found.state != ServerState::kDown) return;
    const bool is_down = found.state == ServerState::kDown;
    const std::string who = std::string(server.is_master ? "Master " : "Replica ") +
                            server.address.to_string() + " of " + in_.topology.describe(group.id);
    std::string hint = "Look at the server and the network between here and there.";
    if (server.is_master && is_down && group.servers.size() > 1) {
      hint += " If it does not come back, POST " + group_path(group) +
              "/promote with mode \"force\" makes a replica the master.";
    }
    add(kDown, server.is_master && is_down ? HealthSeverity::kCritical : HealthSeverity::kWarning,
        is_down ? who + " has not answered for " + seconds_text(in_.now - found.failing_since) +
                      ": " + found.error
                : who + " did not answer the last question: " + found.error,
        std::move(hint), objects_of(group, server.address));
  }

  void check_role(const ClusterGroup& group, const ClusterServer& server, const ServerStatus& found,
                  const ServerStatus* master) {
    const std::string name = server.address.to_string();
    const std::string where = in_.topology.describe(group.id);
    if (server.is_master && !found.facts.is_master) {
      add(kRole, HealthSeverity::kCritical,
          "Server " + name + " is the master of " + where + ", but says that it is a replica of " +
              found.facts.master_addr + ": it refuses writes.",
          "Somebody has changed it behind our back. POST " + group_path(group) +
              "/promote makes one of the group's servers the master, with mode \"force\" this one "
              "as well.",
          objects_of(group, server.address));
    } else if (!server.is_master && found.facts.is_master) {
      add(kRole, HealthSeverity::kCritical,
          "Server " + name + " of " + where + " is a master, as is " + group.master().to_string() +
              ": who writes to it directly writes what nobody else sees.",
          replicate_hint(group, server.address), objects_of(group, server.address));
    } else if (!server.is_master && master != nullptr && master->state == ServerState::kUp &&
               !follows(found, *master)) {
      add(kRole, HealthSeverity::kCritical,
          "Server " + name + " of " + where + " is a replica of " + found.facts.master_addr +
              " instead of " + group.master().to_string() + ": it holds other data.",
          replicate_hint(group, server.address), objects_of(group, server.address));
    }
  }

  void check_facts(const ClusterGroup& group, const ServerStatus& found) {
    const ServerFacts& facts = found.facts;
    const std::string who =
        "Server " + found.address.to_string() + " of " + in_.topology.describe(group.id);
    if (facts.loading) {
      add(kLoading, HealthSeverity::kWarning,
          who + " is loading its data and answers nothing else meanwhile.",
          "Wait. Its log says how far it is.", objects_of(group, found.address));
    }
    if (facts.memory_max_bytes > 0) {
      // Not bytes * 100: that may be more than there are numbers.
      const uint64_t percent = facts.memory_bytes / (facts.memory_max_bytes / 100 + 1);
      const bool evicts = !facts.memory_policy.empty() && facts.memory_policy != "noeviction";
      if (evicts) {
        add(kEviction, HealthSeverity::kInfo,
            who + " deletes keys by itself when its memory is full (maxmemory-policy " +
                facts.memory_policy + ").",
            "That is right for a cache. Otherwise set maxmemory-policy to noeviction.",
            objects_of(group, found.address));
      } else if (percent >= kMemoryWarnPercent) {
        add(kMemory,
            percent >= kMemoryCriticalPercent ? HealthSeverity::kCritical
                                              : HealthSeverity::kWarning,
            who + " uses " + bytes_text(facts.memory_bytes) + " of its maxmemory of " +
                bytes_text(facts.memory_max_bytes) + "; when that is full it refuses writes.",
            "Raise its maxmemory, or move slots to another group (POST /api/v1/plans).",
            objects_of(group, found.address));
      }
    }
    if (facts.engine == "unknown") {
      add(kEngine, HealthSeverity::kWarning,
          who +
              " does not say what it is, so slots are moved with ordinary commands, slowly, and "
              "types it does not have stay behind.",
          "Use Redis, Valkey, Pika or codis-server.", objects_of(group, found.address));
    }
  }

  void check_replication(const ClusterGroup& group, const ServerStatus& found,
                         const ServerStatus* master) {
    const std::string who =
        "Replica " + found.address.to_string() + " of " + in_.topology.describe(group.id);
    if (!found.facts.link_up) {
      add(kLink, HealthSeverity::kWarning, who + " has no connection to its master.",
          "It is not up to date and must not be promoted. Look at its log: the reason is often "
          "masterauth or the network.",
          objects_of(group, found.address));
      return;
    }
    if (master == nullptr || master->state != ServerState::kUp) return;
    const uint64_t lag = replication_lag(*master, found);
    if (lag > kLagBytesMax) {
      add(kLag, HealthSeverity::kWarning, who + " is " + bytes_text(lag) + " behind its master.",
          "A promotion waits until it has caught up. If it never does, more is written than the "
          "network or the replica can take.",
          objects_of(group, found.address));
    }
  }

  void check_excluded(const HealthInputs::Excluded& excluded) {
    const ServerStatus* found = status(excluded.server);
    const std::string name = excluded.server.to_string();
    const bool is_writable =
        found != nullptr && found->state == ServerState::kUp && found->facts.is_master;
    add(kExcluded, is_writable ? HealthSeverity::kCritical : HealthSeverity::kWarning,
        "Server " + name + " was taken out of " + in_.topology.describe(excluded.group) +
            " by promotion " + std::to_string(excluded.promotion) +
            ", since it could not be made a replica: " + excluded.reason +
            (is_writable ? " It is a master, so who writes to it directly writes what nobody else "
                           "sees."
                         : ""),
        "POST /api/v1/groups/" + std::to_string(excluded.group) +
            "/servers puts it back, POST .../servers/" + name +
            "/replicate then makes it a replica; otherwise stop it.",
        {"groups/" + std::to_string(excluded.group), "servers/" + name});
  }

  void check_unassigned() {
    if (in_.topology.groups.empty()) return;
    std::vector<SlotRange> ranges;
    size_t count = 0;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (in_.topology.slots[slot].state != SlotState::kUnassigned) continue;
      ranges.push_back({static_cast<SlotId>(slot), static_cast<SlotId>(slot)});
      ++count;
    }
    if (count == 0) return;
    add(kUnassigned, HealthSeverity::kWarning,
        std::to_string(count) + " slots belong to no group (" +
            format_slot_ranges(merge_slot_ranges(std::move(ranges))) +
            "): their keys are answered with an error.",
        "PUT /api/v1/slots/assignment gives them to groups.", {"slots"});
  }

  const HealthInputs& in_;
  std::vector<HealthFinding> findings_;
};

}  // namespace

std::string_view health_severity_name(HealthSeverity severity) noexcept {
  switch (severity) {
    case HealthSeverity::kInfo:
      return "info";
    case HealthSeverity::kWarning:
      return "warning";
    case HealthSeverity::kCritical:
      return "critical";
  }
  return "";
}

std::vector<std::string_view> health_check_names() {
  return {kStore,  kProxy,    kDown,   kRole,     kLoading,   kLink,      kLag,
          kMemory, kEviction, kEngine, kExcluded, kMigration, kUnassigned};
}

std::vector<HealthFinding> find_problems(const HealthInputs& inputs) {
  return Checker(inputs).run();
}

}  // namespace pikaproxy
