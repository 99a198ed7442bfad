#include "dashboard/dashboard.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <utility>

#include "common/log.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/store/schema.h"

namespace pikaproxy {
namespace {

constexpr char kProxyName[] = "local";
constexpr size_t kClusterIdBytes = 9;

// A name of this cluster that no other has: servers know our connections by it.
std::string cluster_id(Database& database) {
  std::string id;
  database.transact([&](Database::Transaction& transaction) {
    Statement select = transaction.prepare("SELECT value FROM meta WHERE name = 'cluster_id'");
    if (select.step()) {
      id = select.text(0);
      return;
    }
    id = random_text(kClusterIdBytes);
    transaction.prepare("INSERT INTO meta (name, value) VALUES ('cluster_id', ?)").bind(id).run();
  });
  return id;
}

std::vector<ServerAccess> all_servers(const ClusterTopology& topology) {
  std::vector<ServerAccess> servers;
  for (const auto& [id, group] : topology.groups) {
    for (const ClusterServer& server : group.servers) {
      servers.push_back({server.address, group.username, group.password});
    }
  }
  return servers;
}

}  // namespace

bool Dashboard::is_wanted(const Config& config) {
  return config.admin.enabled && config.dashboard.enabled && config.groups.empty() &&
         config.proxy.router == RouterKind::kSlot;
}

Dashboard::Dashboard(std::unique_ptr<Database> database)
    : database_(std::move(database)), audit_(*database_, events_), settings_(*database_) {}

Dashboard::~Dashboard() {
  stop();
}

bool Dashboard::wait_for_table(std::chrono::milliseconds timeout) const {
  return controller_->publisher().wait(controller_->state()->topology.version, timeout).empty();
}

void Dashboard::stop() {
  if (api_ != nullptr) api_->stop();
  if (watch_ != nullptr) watch_->stop();
  if (controller_ != nullptr) controller_->stop();
}

std::variant<std::unique_ptr<Dashboard>, Dashboard::Failure> Dashboard::start(
    const Config& config, ProxyControl& proxy, const ProxyStatus& status) {
  const std::string& directory = config.dashboard.data_dir;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Failure{true, "cannot create " + directory + ": " + std::strerror(errno) +
                             "; set dashboard.data_dir to a directory that can be written, or "
                             "dashboard.enabled = false"};
  }
  auto database = Database::open(directory + "/pikaproxy.db", schema_upgrades());
  if (!database) return Failure{true, database.error()};
  std::unique_ptr<Dashboard> dashboard;
  std::string id;
  try {
    dashboard.reset(new Dashboard(std::move(*database)));
    id = cluster_id(*dashboard->database_);
  } catch (const StoreError& error) {
    return Failure{true, error.message};
  }
  Dashboard& self = *dashboard;
  const Settings& settings = self.settings_;

  ControllerOptions options;
  options.lock_timeout = [&settings] {
    return std::chrono::milliseconds(settings.get(Setting::kSlotLockTimeoutMs));
  };
  options.now = now_ms;
  auto controller = Controller::start(
      std::move(options), {*self.database_,
                           {{kProxyName, &proxy}},
                           [&id](MoveObserver& observer) { return MoveEngine::make(id, observer); },
                           real_server_tools(),
                           &self.events_,
                           &self.audit_});
  if (!controller) return Failure{true, controller.error()};
  self.controller_ = std::move(*controller);

  ServerWatch::Options watch_options;
  watch_options.now = now_ms;
  self.watch_ = std::make_unique<ServerWatch>(
      std::move(watch_options), real_server_tools(),
      [&self] { return all_servers(self.controller_->state()->topology); });
  self.survey_ = std::make_unique<LoadSurvey>(real_server_tools(), nullptr);

  const ClusterParts parts = {
      *self.controller_,
      *self.watch_,
      *self.survey_,
      "pikaproxy-" + id,
      [&settings] {
        return MoveLimits{static_cast<uint64_t>(settings.get(Setting::kMigrationKeysPerSecond)),
                          static_cast<uint64_t>(settings.get(Setting::kMigrationBytesPerSecond))};
      },
      [&settings] {
        return static_cast<uint32_t>(settings.get(Setting::kMigrationParallelSlots));
      }};
  auto api =
      ApiServer::start(config, {status, *self.database_, self.events_, self.audit_, self.settings_},
                       all_cluster_routes(parts));
  if (!api) return Failure{false, api.error()};
  self.api_ = std::move(*api);
  return dashboard;
}

}  // namespace pikaproxy
