#include "dashboard/dashboard.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sys/stat.h>
#include <utility>

#include "common/log.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/health/health_api.h"
#include "dashboard/store/schema.h"

namespace pikaproxy {
namespace {

constexpr char kProxyName[] = "local";
constexpr size_t kClusterIdBytes = 9;
constexpr std::chrono::milliseconds kHealthInterval{500};

// A name of this cluster that no other has: servers know our connections by it.
std::string load_cluster_id(Database& database) {
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

// How many keys the masters hold, by what they said last.
std::optional<uint64_t> count_keys(const Controller& controller, const ServerStatusBoard& board) {
  const auto state = controller.state();
  uint64_t keys = 0;
  for (const auto& [id, group] : state->topology.groups) {
    const auto status = board.find(group.master());
    if (!status || !status->is_known()) return std::nullopt;
    keys += status->facts.keys;
  }
  return keys;
}

std::optional<LoadSurvey::OpsPerSlot> ops_per_slot(const StatRecorder& stats) {
  const ProxyRates rates = stats.rates();
  LoadSurvey::OpsPerSlot ops{};
  for (size_t slot = 0; slot < ops.size(); ++slot) {
    ops[slot] = static_cast<uint64_t>(std::llround(rates.slot_ops_per_second[slot]));
  }
  return ops;
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
  if (promoter_ != nullptr) promoter_->stop();
  if (controller_ != nullptr) controller_->stop();
}

std::variant<std::unique_ptr<Dashboard>, Dashboard::Failure> Dashboard::start(const Config& config,
                                                                              Proxy proxy) {
  const std::string& directory = config.dashboard.data_dir;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Failure{true, "cannot create " + directory + ": " + std::strerror(errno) +
                             "; set dashboard.data_dir to a directory that can be written, or "
                             "dashboard.enabled = false"};
  }
  auto database = Database::open(directory + "/pikaproxy.db", schema_upgrades());
  if (!database) return Failure{true, database.error()};
  std::unique_ptr<Dashboard> dashboard;
  try {
    dashboard.reset(new Dashboard(std::move(*database)));
    dashboard->cluster_id_ = load_cluster_id(*dashboard->database_);
    dashboard->acl_users_ = std::make_unique<AclUsers>(*dashboard->database_, proxy.users);
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
      std::move(options),
      {*self.database_,
       {{kProxyName, &proxy.control}},
       [&self](MoveObserver& observer) { return MoveEngine::make(self.cluster_id_, observer); },
       real_server_tools(),
       &self.events_,
       &self.audit_});
  if (!controller) return Failure{true, controller.error()};
  self.controller_ = std::move(*controller);

  Controller& running = *self.controller_;
  self.promoter_ = std::make_unique<Promoter>(running, PromoterOptions{}, &self.events_);
  self.prober_ = std::make_unique<ServerProber>(
      ServerProber::Options{}, [&running] { return servers_to_probe(running); }, self.board_,
      now_ms);
  self.monitor_ = std::make_unique<HealthMonitor>(
      kHealthInterval,
      [&self, &running] {
        return look_at_cluster(running, self.board_, self.database_->write_problem());
      },
      &self.events_);
  self.stats_ = std::make_unique<StatRecorder>(
      proxy.inspector, [&self, &running] { return count_keys(running, self.board_); }, now_ms,
      &self.events_);
  self.survey_ = std::make_unique<LoadSurvey>(real_server_tools(),
                                              [&self] { return ops_per_slot(*self.stats_); });

  const ClusterParts parts = {
      running,
      self.board_,
      *self.monitor_,
      *self.stats_,
      *self.survey_,
      "pikaproxy-" + self.cluster_id_,
      [&settings] {
        return MoveLimits{static_cast<uint64_t>(settings.get(Setting::kMigrationKeysPerSecond)),
                          static_cast<uint64_t>(settings.get(Setting::kMigrationBytesPerSecond))};
      },
      [&settings] {
        return static_cast<uint32_t>(settings.get(Setting::kMigrationParallelSlots));
      }};
  std::vector<ApiRoute> routes = all_cluster_routes(parts);
  for (ApiRoute& route : health_routes({running, *self.promoter_, *self.monitor_, self.board_,
                                        proxy.inspector, *self.stats_})) {
    routes.push_back(std::move(route));
  }
  for (ApiRoute& route : acl_user_routes(*self.acl_users_)) routes.push_back(std::move(route));
  auto api = ApiServer::start(
      config, {proxy.status, *self.database_, self.events_, self.audit_, self.settings_},
      std::move(routes));
  if (!api) return Failure{false, api.error()};
  self.api_ = std::move(*api);
  return dashboard;
}

}  // namespace pikaproxy
