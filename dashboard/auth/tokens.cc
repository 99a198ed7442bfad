#include "dashboard/auth/tokens.h"

#include <algorithm>

#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"

namespace pikaproxy {
namespace {

constexpr char kPrefix[] = "pp_";
constexpr size_t kSecretBytes = 30;
constexpr int64_t kUseStepMs = 60'000;

}  // namespace

Tokens::Tokens(Database& database) : database_(database) {
  database_.transact([&](Database::Transaction& transaction) {
    tokens_.clear();
    Statement select = transaction.prepare(
        "SELECT id, name, role, created_by, created_at, expires_at, last_used_at, secret_hash "
        "FROM tokens");
    while (select.step()) {
      Token token{select.integer(0), select.text(1), parse_role(select.text(2)), select.text(3),
                  select.integer(4)};
      if (!select.is_null(5)) token.expires_at_ms = select.integer(5);
      if (!select.is_null(6)) token.last_used_at_ms = select.integer(6);
      tokens_[select.text(7)] = std::move(token);
    }
  });
}

std::vector<Token> Tokens::list() {
  std::vector<Token> tokens;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [hash, token] : tokens_) tokens.push_back(token);
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const Token& a, const Token& b) { return a.id < b.id; });
  return tokens;
}

std::variant<Tokens::Created, Tokens::Refusal> Tokens::create(
    const std::string& name, Role role, const std::string& created_by,
    std::optional<int64_t> expires_at_ms) {
  Created created;
  created.secret = kPrefix + random_text(kSecretBytes);
  created.token = Token{0, name, role, created_by, now_ms(), expires_at_ms};
  const std::string hash = sha256_hex(created.secret);
  const std::lock_guard write_lock(write_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (tokens_.size() >= kTokensMax) return Refusal::kTooMany;
    const bool exists = std::any_of(tokens_.begin(), tokens_.end(),
                                    [&](const auto& item) { return item.second.name == name; });
    if (exists) return Refusal::kExists;
  }
  database_.transact([&](Database::Transaction& transaction) {
    {
      Statement insert = transaction.prepare(
          "INSERT INTO tokens (name, secret_hash, role, created_by, created_at, expires_at) "
          "VALUES (?, ?, ?, ?, ?, ?)");
      insert.bind(name).bind(hash).bind(role_name(role)).bind(created_by);
      insert.bind(created.token.created_at_ms);
      if (expires_at_ms) {
        insert.bind(*expires_at_ms);
      } else {
        insert.bind_null();
      }
      insert.run();
    }
    created.token.id = transaction.last_insert_id();
  });
  const std::lock_guard lock(mutex_);
  tokens_[hash] = created.token;
  return created;
}

std::optional<Token> Tokens::remove(int64_t id) {
  const std::lock_guard write_lock(write_mutex_);
  database_.transact([&](Database::Transaction& transaction) {
    transaction.prepare("DELETE FROM tokens WHERE id = ?").bind(id).run();
  });
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(tokens_.begin(), tokens_.end(),
                                  [&](const auto& item) { return item.second.id == id; });
  if (found == tokens_.end()) return std::nullopt;
  Token token = found->second;
  tokens_.erase(found);
  return token;
}

std::optional<Token> Tokens::find(const std::string& secret, int64_t now_ms) {
  const std::string hash = sha256_hex(secret);
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(hash);
  if (found == tokens_.end()) return std::nullopt;
  if (found->second.expires_at_ms.value_or(INT64_MAX) <= now_ms) return std::nullopt;
  return found->second;
}

void Tokens::note_use(int64_t id, int64_t now_ms) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(tokens_.begin(), tokens_.end(),
                                    [&](const auto& item) { return item.second.id == id; });
    if (found == tokens_.end()) return;
    Token& token = found->second;
    if (now_ms - token.last_used_at_ms.value_or(0) < kUseStepMs) return;
    token.last_used_at_ms = now_ms;
  }
  database_.transact([&](Database::Transaction& transaction) {
    transaction.prepare("UPDATE tokens SET last_used_at = ? WHERE id = ?")
        .bind(now_ms)
        .bind(id)
        .run();
  });
}

}  // namespace pikaproxy
