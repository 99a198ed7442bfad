#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/cluster/topology.h"
#include "dashboard/health/server_status.h"

namespace pikaproxy {

enum class HealthSeverity : uint8_t { kInfo, kWarning, kCritical };
std::string_view health_severity_name(HealthSeverity severity) noexcept;

// Something that is not as it should be. `check` and `objects` tell whether two are the same one;
// the words may differ from one look to the next.
struct HealthFinding {
  std::string check;  // One of health_check_names().
  HealthSeverity severity = HealthSeverity::kWarning;
  std::string detail;                // What is wrong, as a sentence.
  std::string hint;                  // What to do.
  std::vector<std::string> objects;  // "groups/3", "servers/10.0.0.1:6379", "proxies/local" ...
};

// Everything that is looked at.
std::vector<std::string_view> health_check_names();

// What the checks look at, all taken at about the same time. Times are milliseconds since 1970.
struct HealthInputs {
  struct Proxy {
    std::string id;
    uint64_t topology_version = 0;  // In force.
    std::string problem;
  };
  struct MigrationProblem {
    uint64_t id = 0;
    std::string text;
  };
  // A server that a promotion took out of its group because it could not be made a replica.
  struct Excluded {
    Address server;
    uint32_t group = 0;
    uint64_t promotion = 0;
    std::string reason;
  };
  int64_t now = 0;
  ClusterTopology topology;
  int64_t topology_since = 0;  // When this process first saw topology.version.
  std::map<Address, ServerStatus> servers;
  std::vector<Proxy> proxies;
  std::vector<MigrationProblem> migration_problems;
  std::vector<Excluded> excluded;
  std::string store_problem;  // Why the last write failed; empty while writing works.
};

// Bounds of what is still fine.
inline constexpr uint64_t kLagBytesMax = 16ull << 20;
inline constexpr int64_t kProxyBehindMs = 3000;
inline constexpr unsigned kMemoryWarnPercent = 90;
inline constexpr unsigned kMemoryCriticalPercent = 98;

// What is wrong, in the order of the checks and of what they look at. Pure.
std::vector<HealthFinding> find_problems(const HealthInputs& inputs);

}  // namespace pikaproxy
