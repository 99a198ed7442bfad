#include "dashboard/api/api_server.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/openapi.h"
#include "dashboard/api/time_text.h"
#include "dashboard/web/web_page.h"

namespace pikaproxy {
namespace {

void append(std::vector<ApiRoute>& routes, std::vector<ApiRoute> more) {
  for (ApiRoute& route : more) routes.push_back(std::move(route));
}

Auth::Options auth_options(const Config& config) {
  Auth::Options options;
  options.sessions = {config.dashboard.session_timeout, config.dashboard.session_max};
  options.cookie_name = "pikaproxy_" + std::to_string(config.admin.listen.port);
  options.is_cookie_secure = !config.admin.tls_cert.empty();
  options.admin_password_out = config.dashboard.data_dir + "/admin-password";
  options.admin_password_in = config.dashboard.admin_password_file;
  return options;
}

}  // namespace

// The proxy's state, and that the store can be written.
class ApiServer::StoreStatus : public ProxyStatus {
 public:
  StoreStatus(const ProxyStatus& proxy, Database& database) : proxy_(proxy), database_(database) {}

  std::string metrics() const override { return proxy_.metrics(); }

  std::string not_ready_reason() const override {
    std::string reason = proxy_.not_ready_reason();
    if (!reason.empty()) return reason;
    if (database_.write_problem().empty()) return {};
    // Nobody may be writing any more, so what stood in the way may be gone: tried at most once a
    // second, however often this is asked.
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - tried_at_ >= std::chrono::seconds(1)) {
      tried_at_ = now;
      try {
        database_.transact([](Database::Transaction& transaction) {
          transaction
              .prepare("INSERT OR REPLACE INTO meta (name, value) VALUES ('write_tried_at', ?)")
              .bind(time_text(now_ms()))
              .run();
        });
      } catch (const StoreError&) {
        // Is said below.
      }
    }
    return database_.write_problem();
  }

 private:
  const ProxyStatus& proxy_;
  Database& database_;
  mutable std::mutex mutex_;
  mutable std::chrono::steady_clock::time_point tried_at_{};  // Guarded by mutex_.
};

ApiServer::ApiServer(const Config& config, Parts parts)
    : parts_(parts),
      status_(std::make_unique<StoreStatus>(parts.status, parts.database)),
      auth_(parts.database, parts.audit, auth_options(config)),
      idempotency_(parts.database),
      backups_(parts.database, config.dashboard.data_dir + "/backups") {}

ApiServer::~ApiServer() {
  stop();
}

Result<std::unique_ptr<ApiServer>> ApiServer::start(const Config& config, Parts parts,
                                                    std::vector<ApiRoute> routes) {
  std::unique_ptr<ApiServer> server;
  try {
    server.reset(new ApiServer(config, parts));
    auto first_user = server->auth_.make_first_user();
    if (!first_user) return Error{first_user.error()};
  } catch (const StoreError& error) {
    return Error{error.message};
  }
  ApiServer& self = *server;
  append(routes, self.auth_.routes());
  append(routes, event_routes(parts.events, [&self](const HttpRequest& request) {
           return self.auth_.watch(request);
         }));
  append(routes, audit_routes(parts.audit));
  append(routes, settings_routes(parts.settings));
  append(routes, backup_routes(self.backups_));
  append(routes, openapi_routes());
  self.auth_.set_permissions([&self](Role role) {
    std::vector<std::string> names;
    for (const ApiRoute& route : self.dispatch_->routes()) {
      if (route.role <= role) names.push_back(route.operation_id);
    }
    return names;
  });
  self.auth_.set_on_ended([&events = parts.events] { events.wake(); });
  self.dispatch_ = std::make_unique<ApiDispatch>(
      ApiDispatch::Parts{self.auth_, self.idempotency_, parts.audit, config.admin.allowed_hosts},
      std::move(routes));

  AdminExtras extras;
  extras.routes = self.dispatch_->http_routes();
  for (HttpRoute& route : web_page_routes(config.dashboard.web_root)) {
    extras.routes.push_back(std::move(route));
  }
  extras.metrics_guard = [&self](const HttpRequest& request) -> std::optional<HttpResponse> {
    if (self.parts_.settings.get(Setting::kMetricsRequireToken) == 0) return std::nullopt;
    auto outcome = self.auth_.authenticate(request);
    if (const auto* problem = std::get_if<ApiProblem>(&outcome)) return render(*problem, "");
    return std::nullopt;
  };
  auto admin = AdminServer::start(config.admin, *self.status_, std::move(extras));
  if (!admin) return Error{admin.error()};
  self.admin_ = std::move(*admin);

  parts.events.set_waker([&self] { self.admin_->wake_sources(); });
  return server;
}

void ApiServer::stop() {
  parts_.events.set_waker({});
  if (admin_ != nullptr) admin_->stop();
}

}  // namespace pikaproxy
