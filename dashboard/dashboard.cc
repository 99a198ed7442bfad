#include "dashboard/dashboard.h"

#include <cerrno>
#include <cstring>
#include <sys/stat.h>

#include "dashboard/store/schema.h"

namespace pikaproxy {

Dashboard::Dashboard(std::unique_ptr<Database> database)
    : database_(std::move(database)), audit_(*database_, events_), settings_(*database_) {}

Result<std::unique_ptr<Dashboard>> Dashboard::start(const Config& config,
                                                    const ProxyStatus& status) {
  const std::string& directory = config.dashboard.data_dir;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{"cannot create " + directory + ": " + std::strerror(errno) +
                 "; set dashboard.data_dir to a directory that can be written, or "
                 "dashboard.enabled = false"};
  }
  auto database = Database::open(directory + "/store.db", schema_upgrades());
  if (!database) return Error{database.error()};
  std::unique_ptr<Dashboard> dashboard;
  try {
    dashboard.reset(new Dashboard(std::move(*database)));
  } catch (const StoreError& error) {
    return Error{error.message};
  }
  auto api = ApiServer::start(
      config,
      {status, *dashboard->database_, dashboard->events_, dashboard->audit_, dashboard->settings_},
      {});
  if (!api) return Error{api.error()};
  dashboard->api_ = std::move(*api);
  return dashboard;
}

}  // namespace pikaproxy
