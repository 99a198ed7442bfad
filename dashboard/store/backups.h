#pragma once

#include <string>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// Copies of the store in a directory of their own, readable by their owner only. The newest are
// kept, older ones are removed when a new one was made. Any thread; throws StoreError.
class Backups {
 public:
  static constexpr int64_t kKept = 20;

  Backups(Database& database, std::string directory)
      : database_(database), directory_(std::move(directory)) {}

  // As the API shows it: {id, file, bytes, created_by, created_at}.
  Result<nlohmann::json> create(const std::string& created_by);
  std::vector<nlohmann::json> list();
  // Null if there is none.
  nlohmann::json find(int64_t id);

 private:
  Database& database_;
  const std::string directory_;
  std::mutex mutex_;  // One at a time.
};

// /backups. `backups` outlives the server.
std::vector<ApiRoute> backup_routes(Backups& backups);

}  // namespace pikaproxy
