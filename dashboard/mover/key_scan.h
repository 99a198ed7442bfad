#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dashboard/mover/server_link.h"

namespace pikaproxy {

// What INFO says, by its names ("redis_version", "db0"). Lines without ":" are left out.
class ServerInfo {
 public:
  static Result<ServerInfo> ask(ServerLink& link, std::chrono::milliseconds timeout);
  explicit ServerInfo(std::string_view text);

  // Empty if absent.
  std::string_view get(std::string_view name) const noexcept;
  uint64_t number(std::string_view name) const noexcept;
  // Names and values in the server's order.
  const std::vector<std::pair<std::string, std::string>>& lines() const noexcept { return lines_; }
  // By what it says of itself; decides nothing but how keys are counted and shown.
  bool is_pika() const noexcept { return !get("pika_version").empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

// A database that has or may have keys. `keys`: how many, 0 = not known.
struct DatabaseSize {
  uint32_t db = 0;
  uint64_t keys = 0;
};
// Redis names those with keys; of Pika all that are configured.
Result<std::vector<DatabaseSize>> list_databases(ServerLink& link, bool is_pika,
                                                 std::chrono::milliseconds timeout);

// Pika keeps indexes among the keys of its clients. They are its own: never counted, moved, purged.
bool is_internal_key(std::string_view key, bool is_pika) noexcept;

// One step of SCAN in the selected database. `cursor` begins as "0" and is "0" again at the end.
// False: see `error`, a sentence.
bool scan_step(ServerLink& link, std::string& cursor, std::vector<std::string>& keys,
               std::string& error, std::chrono::milliseconds timeout);

}  // namespace pikaproxy
