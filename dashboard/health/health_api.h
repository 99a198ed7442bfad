#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/proxy_inspector.h"
#include "dashboard/api/api_route.h"
#include "dashboard/cluster/promoter.h"
#include "dashboard/health/health_monitor.h"
#include "dashboard/health/server_status_board.h"
#include "dashboard/stats/stat_recorder.h"

namespace pikaproxy {

// The resources of the API about how things are, and those that servers' roles are changed by:
// GET /cluster/health, promotions and replicate, proxies, series, the import from codis.
// docs/openapi.yaml describes them. All of the parts outlive the routes.
struct HealthParts {
  Controller& controller;
  Promoter& promoter;
  HealthMonitor& monitor;
  ServerStatusBoard& board;
  ProxyInspector& proxy;
  StatRecorder& stats;
};
std::vector<ApiRoute> health_routes(const HealthParts& parts);

// What HealthMonitor looks at, of a running controller. `store_problem` as Database says.
HealthInputs look_at_cluster(const Controller& controller, const ServerStatusBoard& board,
                             std::string store_problem);
// Whom ServerProber asks: the servers of all groups, and those that promotions took out of theirs
// within the last day.
std::vector<ServerAccess> servers_to_probe(const Controller& controller);

}  // namespace pikaproxy
