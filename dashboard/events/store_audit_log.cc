#include "dashboard/events/store_audit_log.h"

#include "dashboard/api/json_text.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/api/time_text.h"

namespace pikaproxy {
namespace {

constexpr int64_t kEntriesMax = 50'000;
// Of `before` and of `after`; what is larger, such as a whole topology, is left out.
constexpr size_t kDocumentMax = 16 << 10;
constexpr size_t kExportMax = 10'000;

void bind_document(Statement& statement, const nlohmann::json& document) {
  if (document.is_null()) {
    statement.bind_null();
    return;
  }
  const std::string text = dump_json(document);
  if (text.size() <= kDocumentMax) {
    statement.bind(text);
  } else {
    statement.bind(dump_json({{"left_out_bytes", text.size()}}));
  }
}

nlohmann::json read_document(const Statement& statement, int column) {
  if (statement.is_null(column)) return nullptr;
  return nlohmann::json::parse(statement.text(column), nullptr, false);
}

}  // namespace

void StoreAuditLog::record(const AuditEntry& entry) {
  const int64_t now = now_ms();
  int64_t id = 0;
  database_.transact([&](Database::Transaction& transaction) {
    {
      Statement insert = transaction.prepare(
          "INSERT INTO audit (at, actor, peer, action, object, reason, request_id, status, "
          "dry_run, before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
      insert.bind(now)
          .bind(entry.actor)
          .bind(entry.peer)
          .bind(entry.action)
          .bind(entry.object)
          .bind(entry.reason)
          .bind(entry.request_id)
          .bind(entry.status)
          .bind(entry.dry_run ? 1 : 0);
      bind_document(insert, entry.before);
      bind_document(insert, entry.after);
      insert.run();
    }
    id = transaction.last_insert_id();
    transaction.prepare("DELETE FROM audit WHERE id <= ?").bind(id - kEntriesMax).run();
  });
  events_.publish("audit", {{"id", id},
                            {"at", time_text(now)},
                            {"actor", entry.actor},
                            {"peer", entry.peer},
                            {"action", entry.action},
                            {"object", entry.object},
                            {"reason", entry.reason},
                            {"request_id", entry.request_id},
                            {"status", entry.status},
                            {"dry_run", entry.dry_run}});
}

std::vector<nlohmann::json> StoreAuditLog::find(const Filter& filter) {
  std::vector<nlohmann::json> entries;
  database_.transact([&](Database::Transaction& transaction) {
    entries.clear();
    std::string sql =
        "SELECT id, at, actor, peer, action, object, reason, request_id, status, dry_run, before, "
        "after FROM audit WHERE 1";
    if (filter.actor) sql += " AND actor = ?";
    if (filter.action) sql += " AND action = ?";
    if (filter.object) sql += " AND object = ?";
    if (filter.from_ms) sql += " AND at >= ?";
    if (filter.to_ms) sql += " AND at < ?";
    if (filter.before_id) sql += " AND id < ?";
    Statement select = transaction.prepare(sql + " ORDER BY id DESC LIMIT ?");
    for (const auto* text : {&filter.actor, &filter.action, &filter.object}) {
      if (*text) select.bind(**text);
    }
    for (const auto* number : {&filter.from_ms, &filter.to_ms, &filter.before_id}) {
      if (*number) select.bind(**number);
    }
    select.bind(static_cast<int64_t>(filter.limit));
    while (select.step()) {
      entries.push_back({{"id", select.integer(0)},
                         {"at", time_text(select.integer(1))},
                         {"actor", select.text(2)},
                         {"peer", select.text(3)},
                         {"action", select.text(4)},
                         {"object", select.text(5)},
                         {"reason", select.text(6)},
                         {"request_id", select.text(7)},
                         {"status", select.integer(8)},
                         {"dry_run", select.integer(9) != 0},
                         {"before", read_document(select, 10)},
                         {"after", read_document(select, 11)}});
    }
  });
  return entries;
}

namespace {

// The filter in a request's query, with `limit` left at its default.
StoreAuditLog::Filter read_filter(QueryReader& query) {
  StoreAuditLog::Filter filter;
  filter.actor = query.text("actor");
  filter.action = query.text("action");
  filter.object = query.text("object");
  filter.from_ms = query.time_ms("from");
  filter.to_ms = query.time_ms("to");
  filter.before_id = query.integer("cursor", 1, INT64_MAX);
  return filter;
}

// Where the next page begins, if there may be one.
std::string next_cursor(const std::vector<nlohmann::json>& entries, size_t limit) {
  return entries.size() < limit ? "" : std::to_string(entries.back()["id"].get<int64_t>());
}

ApiResult list_audit(StoreAuditLog& log, const ApiRequest& request) {
  QueryReader query(request);
  StoreAuditLog::Filter filter = read_filter(query);
  filter.limit = query.limit();
  if (auto problem = query.finish()) return *problem;
  auto entries = log.find(filter);
  const std::string next = next_cursor(entries, filter.limit);
  ApiReply reply;
  reply.body = {{"entries", std::move(entries)}};
  reply.body["next_cursor"] = next.empty() ? nlohmann::json() : nlohmann::json(next);
  return reply;
}

ApiResult export_audit(StoreAuditLog& log, const ApiRequest& request) {
  QueryReader query(request);
  StoreAuditLog::Filter filter = read_filter(query);
  filter.limit = kExportMax;
  if (auto problem = query.finish()) return *problem;
  const auto entries = log.find(filter);
  HttpResponse response;
  response.content_type = "application/x-ndjson";
  for (const nlohmann::json& entry : entries) response.body += dump_json(entry);
  const std::string next = next_cursor(entries, filter.limit);
  if (!next.empty()) response.headers.emplace_back("X-Next-Cursor", next);
  ApiReply reply;
  reply.http = std::move(response);
  return reply;
}

}  // namespace

std::vector<ApiRoute> audit_routes(StoreAuditLog& log) {
  const std::vector<std::string> filters = {"actor", "action", "object", "from", "to", "cursor"};
  std::vector<std::string> with_limit = filters;
  with_limit.emplace_back("limit");
  return {
      {.method = "GET",
       .path = "/audit",
       .operation_id = "listAudit",
       .query = with_limit,
       .handler = [&log](const ApiRequest& request) { return list_audit(log, request); }},
      {.method = "GET",
       .path = "/audit/export",
       .operation_id = "exportAudit",
       .role = Role::kAdmin,
       .query = filters,
       .handler = [&log](const ApiRequest& request) { return export_audit(log, request); }},
  };
}

}  // namespace pikaproxy
