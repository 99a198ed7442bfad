#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

struct Token {
  int64_t id = 0;
  std::string name;
  Role role = Role::kNone;
  std::string created_by;
  int64_t created_at_ms = 0;
  std::optional<int64_t> expires_at_ms = {};
  std::optional<int64_t> last_used_at_ms = {};
};

// Bearer tokens, in the store by the hash of their secret, and in memory so that a request costs no
// query. Any thread; throws StoreError.
class Tokens {
 public:
  static constexpr size_t kTokensMax = 1000;

  explicit Tokens(Database& database);

  std::vector<Token> list();

  struct Created {
    Token token;
    std::string secret;  // Begins with "pp_", so that a leaked one can be recognised.
  };
  enum class Refusal { kExists, kTooMany };
  std::variant<Created, Refusal> create(const std::string& name, Role role,
                                        const std::string& created_by,
                                        std::optional<int64_t> expires_at_ms);
  // The one that was removed.
  std::optional<Token> remove(int64_t id);

  // Nothing if there is none with that secret or it has expired.
  std::optional<Token> find(const std::string& secret, int64_t now_ms);
  // Remembers when it was used, to the minute.
  void note_use(int64_t id, int64_t now_ms);

 private:
  Database& database_;
  std::mutex write_mutex_;  // Held over writes to the store, so that memory follows it in order.
  std::mutex mutex_;        // Never held while waiting for the store: find() is quick.
  std::map<std::string, Token> tokens_;  // Guarded by mutex_. By the secret's hash.
};

}  // namespace pikaproxy
