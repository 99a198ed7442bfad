#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <variant>

#include "common/config.h"
#include "common/key_mover.h"
#include "common/proxy_control.h"
#include "common/proxy_inspector.h"
#include "common/proxy_status.h"
#include "common/proxy_users.h"
#include "common/result.h"
#include "dashboard/acl/acl_users.h"
#include "dashboard/api/api_server.h"
#include "dashboard/cluster/controller.h"
#include "dashboard/cluster/load_survey.h"
#include "dashboard/cluster/promoter.h"
#include "dashboard/events/event_ring.h"
#include "dashboard/events/store_audit_log.h"
#include "dashboard/health/health_monitor.h"
#include "dashboard/health/server_prober.h"
#include "dashboard/health/server_status_board.h"
#include "dashboard/settings/settings.h"
#include "dashboard/stats/stat_recorder.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// The control plane of the process: the store, the cluster in it, and the API over both.
class Dashboard {
 public:
  // Why it did not start.
  struct Failure {
    bool of_store = false;  // The store; otherwise the address to listen on.
    std::string message;    // A sentence with what to do.
  };

  // Whether this configuration leaves groups and slots to a dashboard: it is switched on, and the
  // file does not have the topology itself.
  static bool is_wanted(const Config& config);

  // Opens the store, pushes the table that it has to the proxy, goes on with migrations, serves the
  // API. The process' proxy, which outlives it, has four sides.
  struct Proxy {
    ProxyControl& control;
    const ProxyStatus& status;
    ProxyInspector& inspector;
    ProxyUsers& users;
  };
  static std::variant<std::unique_ptr<Dashboard>, Failure> start(const Config& config, Proxy proxy);
  ~Dashboard();

  // Whom proxies ask to move keys; lives as long as the dashboard.
  KeyMover& mover() noexcept { return controller_->mover(); }
  // A name that no other cluster has; servers know our connections by it.
  const std::string& cluster_id() const noexcept { return cluster_id_; }
  uint16_t port() const noexcept { return api_->port(); }
  // Waits until the proxy runs the table that the store has; false if it takes longer.
  bool wait_for_table(std::chrono::milliseconds timeout) const;
  // AdminServer::reload_tls().
  void reload_tls() { api_->reload_tls(); }
  // Bounded in time; more than once is harmless.
  void stop();

 private:
  explicit Dashboard(std::unique_ptr<Database> database);

  const std::unique_ptr<Database> database_;
  std::string cluster_id_;  // Constant after start().
  EventRing events_;
  StoreAuditLog audit_;
  Settings settings_;
  std::unique_ptr<AclUsers> acl_users_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Promoter> promoter_;
  ServerStatusBoard board_;
  std::unique_ptr<ServerProber> prober_;
  std::unique_ptr<HealthMonitor> monitor_;
  std::unique_ptr<StatRecorder> stats_;
  std::unique_ptr<LoadSurvey> survey_;
  std::unique_ptr<ApiServer> api_;
};

}  // namespace pikaproxy
