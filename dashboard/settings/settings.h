#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// What can be changed while the dashboard runs, by PATCH /settings. Kept in the store.
enum class Setting : uint8_t {
  kMigrationKeysPerSecond,   // Of a migration that does not say otherwise; 0 = unlimited.
  kMigrationBytesPerSecond,  // As above.
  kMigrationParallelSlots,   // Of a migration that does not say otherwise.
  kSlotLockTimeoutMs,        // How long all proxies have to acknowledge locked slots.
  kMetricsRequireToken,      // 1: /metrics asks for a credential.
};
inline constexpr size_t kSettingCount = 5;

struct SettingRow {
  std::string_view name;  // In the API.
  bool is_boolean = false;
  int64_t initial = 0;
  int64_t min = 0;
  int64_t max = 1;
  std::string_view description;
};
// In the order of Setting.
std::span<const SettingRow> setting_rows() noexcept;

// Any thread; all but get() throw StoreError.
class Settings {
 public:
  explicit Settings(Database& database);

  // Does not wait for the store.
  int64_t get(Setting setting) const;
  // As the API shows them: [{name, value, default, source, minimum, maximum, description}], where
  // source is "default" or "runtime".
  nlohmann::json describe() const;

  struct Change {
    Setting setting;
    std::optional<int64_t> value;  // Nothing: back to the default.
  };
  // All or nothing.
  void apply(const std::vector<Change>& changes);

 private:
  using Values = std::array<std::optional<int64_t>, kSettingCount>;

  Database& database_;
  std::mutex write_mutex_;  // Held over writes to the store, so that memory follows it in order.
  mutable std::mutex mutex_;
  Values values_;  // Guarded by mutex_. Nothing: the default.
};

// GET and PATCH /settings.
std::vector<ApiRoute> settings_routes(Settings& settings);

}  // namespace pikaproxy
