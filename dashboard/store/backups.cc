#include "dashboard/store/backups.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"

namespace pikaproxy {
namespace {

constexpr char kColumns[] = "SELECT id, file, bytes, created_by, created_at FROM backups";

nlohmann::json read_row(const Statement& row) {
  return {{"id", row.integer(0)},
          {"file", row.text(1)},
          {"bytes", row.integer(2)},
          {"created_by", row.text(3)},
          {"created_at", time_text(row.integer(4))}};
}

// "20261123T150405678Z-1f2e.db"
std::string file_name(int64_t ms) {
  std::string name = time_text(ms);
  std::erase_if(name, [](char c) { return c == '-' || c == ':' || c == '.'; });
  return name + "-" + sha256_hex(random_text(8)).substr(0, 4) + ".db";
}

}  // namespace

Result<nlohmann::json> Backups::create(const std::string& created_by) {
  const std::lock_guard lock(mutex_);
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{"cannot create " + directory_ + ": " + std::strerror(errno)};
  }
  const int64_t now = now_ms();
  const std::string path = directory_ + "/" + file_name(now);
  const auto bytes = database_.back_up(path);
  if (!bytes) return Error{bytes.error()};
  nlohmann::json made;
  std::vector<std::string> old_files;
  database_.transact([&](Database::Transaction& transaction) {
    transaction
        .prepare("INSERT INTO backups (file, bytes, created_by, created_at) VALUES (?, ?, ?, ?)")
        .bind(path)
        .bind(static_cast<int64_t>(*bytes))
        .bind(created_by)
        .bind(now)
        .run();
    const int64_t id = transaction.last_insert_id();
    made = {{"id", id},
            {"file", path},
            {"bytes", *bytes},
            {"created_by", created_by},
            {"created_at", time_text(now)}};
    Statement old = transaction.prepare(
        "DELETE FROM backups WHERE id IN (SELECT id FROM backups ORDER BY id DESC LIMIT -1 OFFSET "
        "?) RETURNING file");
    old.bind(kKept);
    while (old.step()) old_files.push_back(old.text(0));
  });
  for (const std::string& file : old_files) {
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) {
      log_warn("old backup could not be removed", "file", file, "error", std::strerror(errno));
    }
  }
  return made;
}

std::vector<nlohmann::json> Backups::list() {
  std::vector<nlohmann::json> all;
  database_.transact([&](Database::Transaction& transaction) {
    all.clear();
    Statement select = transaction.prepare(std::string(kColumns) + " ORDER BY id DESC");
    while (select.step()) all.push_back(read_row(select));
  });
  return all;
}

nlohmann::json Backups::find(int64_t id) {
  nlohmann::json found;
  database_.transact([&](Database::Transaction& transaction) {
    Statement select = transaction.prepare(std::string(kColumns) + " WHERE id = ?");
    select.bind(id);
    if (select.step()) found = read_row(select);
  });
  return found;
}

std::vector<ApiRoute> backup_routes(Backups& backups) {
  return {
      {.method = "GET",
       .path = "/backups",
       .operation_id = "listBackups",
       .role = Role::kAdmin,
       .handler = [&backups](const ApiRequest&) -> ApiResult {
         ApiReply reply;
         reply.body = {{"backups", backups.list()}};
         return reply;
       }},
      {.method = "POST",
       .path = "/backups",
       .operation_id = "createBackup",
       .role = Role::kAdmin,
       .creates_work = true,
       .handler = [&backups](const ApiRequest& request) -> ApiResult {
         ApiReply reply;
         if (request.dry_run) {
           reply.status = 204;
           return reply;
         }
         auto made = backups.create(request.caller.name);
         if (!made) return unavailable("backup_failed", made.error() + ".", 10);
         const std::string id = std::to_string((*made)["id"].get<int64_t>());
         reply.status = 201;
         reply.object = "backups/" + id;
         reply.headers.emplace_back("Location", "/api/v1/backups/" + id);
         reply.body = reply.after = std::move(*made);
         return reply;
       },
       .takes_body = false},
      {.method = "GET",
       .path = "/backups/{id}",
       .operation_id = "getBackup",
       .role = Role::kAdmin,
       .handler = [&backups](const ApiRequest& request) -> ApiResult {
         const auto id = path_integer(request, "id", 1, INT64_MAX);
         ApiReply reply;
         if (id) reply.body = backups.find(*id);
         if (reply.body.is_null()) return not_found("backup " + request.path.at("id"));
         return reply;
       }},
  };
}

}  // namespace pikaproxy
