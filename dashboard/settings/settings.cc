#include "dashboard/settings/settings.h"

#include "dashboard/api/body_reader.h"

namespace pikaproxy {
namespace {

constexpr int64_t kRateMax = 1LL << 50;

constexpr SettingRow kRows[] = {
    {"migration_rate_limit_keys_per_second", false, 0, 0, kRateMax,
     "Keys that a new migration moves in the background per second; 0 = unlimited"},
    {"migration_rate_limit_bytes_per_second", false, 0, 0, kRateMax,
     "Bytes that a new migration moves in the background per second; 0 = unlimited"},
    {"migration_parallel_slots", false, 512, 1, 1024,
     "Slots that a new migration has in work at a time"},
    {"slot_lock_timeout_ms", false, 1'000, 50, 60'000,
     "How long all proxies have to acknowledge that slots are locked"},
    {"metrics_require_token", true, 0, 0, 1, "Whether /metrics asks for a credential"},
};
static_assert(std::size(kRows) == kSettingCount);

size_t index_of(Setting setting) noexcept {
  return static_cast<size_t>(setting);
}

nlohmann::json as_json(const SettingRow& row, int64_t value) {
  return row.is_boolean ? nlohmann::json(value != 0) : nlohmann::json(value);
}

nlohmann::json describe_values(const std::array<std::optional<int64_t>, kSettingCount>& values) {
  nlohmann::json list = nlohmann::json::array();
  for (size_t i = 0; i < kSettingCount; ++i) {
    const SettingRow& row = kRows[i];
    nlohmann::json item = {{"name", row.name},
                           {"value", as_json(row, values[i].value_or(row.initial))},
                           {"default", as_json(row, row.initial)},
                           {"source", values[i] ? "runtime" : "default"},
                           {"description", row.description},
                           {"minimum", nullptr},
                           {"maximum", nullptr}};
    if (!row.is_boolean) {
      item["minimum"] = row.min;
      item["maximum"] = row.max;
    }
    list.push_back(std::move(item));
  }
  return list;
}

nlohmann::json by_name(const nlohmann::json& described) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& item : described) {
    object[item["name"].get<std::string>()] = item["value"];
  }
  return object;
}

}  // namespace

std::span<const SettingRow> setting_rows() noexcept {
  return kRows;
}

Settings::Settings(Database& database) : database_(database) {
  database_.transact([&](Database::Transaction& transaction) {
    Statement select = transaction.prepare("SELECT name, value FROM settings");
    while (select.step()) {
      for (size_t i = 0; i < kSettingCount; ++i) {
        if (select.text(0) != kRows[i].name) continue;
        // Of a version with other limits, perhaps.
        const int64_t value = select.integer(1);
        if (value >= kRows[i].min && value <= kRows[i].max) values_[i] = value;
      }
    }
  });
}

int64_t Settings::get(Setting setting) const {
  const std::lock_guard lock(mutex_);
  return values_[index_of(setting)].value_or(kRows[index_of(setting)].initial);
}

nlohmann::json Settings::describe() const {
  const std::lock_guard lock(mutex_);
  return describe_values(values_);
}

void Settings::apply(const std::vector<Change>& changes) {
  const std::lock_guard write_lock(write_mutex_);
  database_.transact([&](Database::Transaction& transaction) {
    for (const Change& change : changes) {
      const std::string_view name = kRows[index_of(change.setting)].name;
      if (change.value) {
        transaction.prepare("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)")
            .bind(name)
            .bind(std::to_string(*change.value))
            .run();
      } else {
        transaction.prepare("DELETE FROM settings WHERE name = ?").bind(name).run();
      }
    }
  });
  const std::lock_guard lock(mutex_);
  for (const Change& change : changes) values_[index_of(change.setting)] = change.value;
}

namespace {

ApiResult change_settings(Settings& settings, const ApiRequest& request) {
  BodyReader body(request.body);
  std::vector<Settings::Change> changes;
  for (size_t i = 0; i < kSettingCount; ++i) {
    const SettingRow& row = kRows[i];
    const auto setting = static_cast<Setting>(i);
    if (!body.has(row.name)) continue;
    if (body.is_null(row.name)) {
      changes.push_back({setting, std::nullopt});
    } else if (row.is_boolean) {
      changes.push_back({setting, body.optional_boolean(row.name).value_or(false) ? 1 : 0});
    } else {
      changes.push_back({setting, body.integer(row.name, row.min, row.max)});
    }
  }
  if (auto problem = body.finish()) return *problem;
  ApiReply reply;
  reply.object = "settings";
  nlohmann::json before = settings.describe();
  reply.before = by_name(before);
  nlohmann::json after = before;
  for (const Settings::Change& change : changes) {
    const size_t i = index_of(change.setting);
    after[i]["value"] = as_json(kRows[i], change.value.value_or(kRows[i].initial));
    after[i]["source"] = change.value ? "runtime" : "default";
  }
  if (!request.dry_run) {
    settings.apply(changes);
    after = settings.describe();
  }
  reply.after = by_name(after);
  reply.body = {{"settings", std::move(after)}};
  return reply;
}

}  // namespace

std::vector<ApiRoute> settings_routes(Settings& settings) {
  return {
      {.method = "GET",
       .path = "/settings",
       .operation_id = "getSettings",
       .handler = [&settings](const ApiRequest&) -> ApiResult {
         ApiReply reply;
         reply.body = {{"settings", settings.describe()}};
         return reply;
       }},
      {.method = "PATCH",
       .path = "/settings",
       .operation_id = "updateSettings",
       .role = Role::kAdmin,
       .handler =
           [&settings](const ApiRequest& request) { return change_settings(settings, request); }},
  };
}

}  // namespace pikaproxy
