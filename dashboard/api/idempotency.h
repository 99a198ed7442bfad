#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>

#include "dashboard/api/api_route.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// Remembers for a day what POSTs with an Idempotency-Key were answered, so that a client that did
// not see the answer may ask again without doing the work twice. Any thread; all throw StoreError.
//
//   no row --begin--> in work --finish(2xx)--> answered: begin() returns the answer
//      ^                 '----finish(other)--> forgotten: nothing was created, try again
//      '--- a day later
class Idempotency {
 public:
  explicit Idempotency(Database& database);

  struct Run {};  // Go on, then call finish().
  // `operation` and `body` are what must be the same when the key is used again.
  std::variant<Run, ApiReply, ApiProblem> begin(const std::string& actor, const std::string& key,
                                                const std::string& operation,
                                                std::string_view body);
  // `reply` null: what was tried failed.
  void finish(const std::string& actor, const std::string& key, const ApiReply* reply);

 private:
  Database& database_;
  const int64_t started_at_;
};

}  // namespace pikaproxy
