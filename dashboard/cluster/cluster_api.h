#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/cluster/controller.h"
#include "dashboard/cluster/load_survey.h"
#include "dashboard/health/health_monitor.h"
#include "dashboard/health/server_status_board.h"
#include "dashboard/stats/stat_recorder.h"

namespace pikaproxy {

// The resources of the cluster in the API; docs/openapi.yaml describes them.

// What the handlers work with; all of it outlives them.
struct ClusterParts {
  Controller& controller;
  const ServerStatusBoard& board;
  const HealthMonitor& monitor;
  const StatRecorder& stats;
  LoadSurvey& survey;
  std::string cluster_name;
  // Of a migration that does not say otherwise.
  std::function<MoveLimits()> default_limits;
  std::function<uint32_t()> default_parallel_slots;
};

std::vector<ApiRoute> cluster_routes(const ClusterParts& parts);
std::vector<ApiRoute> groups_routes(const ClusterParts& parts);
std::vector<ApiRoute> slots_routes(const ClusterParts& parts);
std::vector<ApiRoute> plans_routes(const ClusterParts& parts);
std::vector<ApiRoute> migrations_routes(const ClusterParts& parts);
std::vector<ApiRoute> topology_routes(const ClusterParts& parts);
// All of these.
std::vector<ApiRoute> all_cluster_routes(const ClusterParts& parts);

// ---- What they share ----

// The problem that says why a decision was not made.
ApiProblem problem_of(const Refusal& refusal, uint64_t current_version);
// ETag of what depends on the topology.
NamedValues etag(uint64_t version);

// A decision that the request asks for, with its topology_version and dry_run.
struct Change {
  std::shared_ptr<const ClusterState> before;
  std::shared_ptr<const ClusterState> after;
  bool dry_run = false;
  // Every proxy works by it. False: some proxy has not said so within a second; it will be told
  // again until it has.
  bool in_force = false;
};
std::variant<Change, ApiProblem> make_change(Controller& controller, const ApiRequest& request,
                                             const Controller::Decision& decision,
                                             std::optional<StopPoint> persisted = std::nullopt);

// The body of an answer to a change of the topology: `object`, its version, whether it is in force;
// for a dry run the difference.
ApiReply reply_to_change(const Change& change, int status, nlohmann::json object);

// Of a list ordered by id: what comes behind `cursor`, at most `limit`, as {name: [...],
// next_cursor}.
nlohmann::json page_json(const char* name, std::vector<std::pair<uint64_t, nlohmann::json>> items,
                         size_t limit, uint64_t cursor);

}  // namespace pikaproxy
