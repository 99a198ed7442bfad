#include "dashboard/api/idempotency.h"

#include "dashboard/api/json_text.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"

namespace pikaproxy {
namespace {

constexpr int64_t kKeptMs = 24 * 3'600'000;
// Beyond, the oldest are forgotten: a client that makes up keys must not fill the disk.
constexpr int64_t kRowsMax = 10'000;

void forget_old(Database::Transaction& transaction, int64_t now) {
  transaction.prepare("DELETE FROM idempotency WHERE created_at < ?").bind(now - kKeptMs).run();
  transaction
      .prepare(
          "DELETE FROM idempotency WHERE (actor, key) IN (SELECT actor, key FROM idempotency "
          "WHERE status IS NOT NULL ORDER BY created_at DESC LIMIT -1 OFFSET ?)")
      .bind(kRowsMax)
      .run();
}

}  // namespace

Idempotency::Idempotency(Database& database) : database_(database), started_at_(now_ms()) {}

std::variant<Idempotency::Run, ApiReply, ApiProblem> Idempotency::begin(
    const std::string& actor, const std::string& key, const std::string& operation,
    std::string_view body) {
  std::variant<Run, ApiReply, ApiProblem> outcome;
  const std::string hash = sha256_hex(body);
  database_.transact([&](Database::Transaction& transaction) {
    const int64_t now = now_ms();
    forget_old(transaction, now);
    {
      Statement found = transaction.prepare(
          "SELECT operation, body_hash, status, response, created_at FROM idempotency "
          "WHERE actor = ? AND key = ?");
      found.bind(actor).bind(key);
      if (found.step()) {
        if (found.text(0) != operation || found.text(1) != hash) {
          outcome = ApiProblem{422, "idempotency_key_reused",
                               "This Idempotency-Key was used for another request: use a new one."};
        } else if (!found.is_null(2)) {
          const auto stored = nlohmann::json::parse(found.text(3));
          ApiReply reply;
          reply.status = static_cast<int>(found.integer(2));
          reply.body = stored["body"];
          for (const auto& header : stored["headers"]) {
            reply.headers.emplace_back(header[0].get<std::string>(), header[1].get<std::string>());
          }
          reply.headers.emplace_back("Idempotent-Replay", "true");
          outcome = std::move(reply);
        } else if (found.integer(4) < started_at_) {
          outcome = ApiProblem{409, "idempotency_outcome_unknown",
                               "The dashboard was restarted while it worked on the first request "
                               "with this Idempotency-Key: see whether that was done; if not, use "
                               "a new key."};
        } else {
          outcome = ApiProblem{409, "idempotency_key_in_use",
                               "The first request with this Idempotency-Key is still being worked "
                               "on: ask again later."};
        }
        return;
      }
    }
    transaction
        .prepare(
            "INSERT INTO idempotency (actor, key, operation, body_hash, created_at) "
            "VALUES (?, ?, ?, ?, ?)")
        .bind(actor)
        .bind(key)
        .bind(operation)
        .bind(hash)
        .bind(now)
        .run();
  });
  return outcome;
}

void Idempotency::finish(const std::string& actor, const std::string& key, const ApiReply* reply) {
  database_.transact([&](Database::Transaction& transaction) {
    if (reply == nullptr) {
      transaction.prepare("DELETE FROM idempotency WHERE actor = ? AND key = ?")
          .bind(actor)
          .bind(key)
          .run();
      return;
    }
    const nlohmann::json stored = {{"body", reply->body}, {"headers", reply->headers}};
    transaction
        .prepare("UPDATE idempotency SET status = ?, response = ? WHERE actor = ? AND key = ?")
        .bind(reply->status)
        .bind(dump_json(stored))
        .bind(actor)
        .bind(key)
        .run();
  });
}

}  // namespace pikaproxy
