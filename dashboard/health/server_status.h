#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/address.h"
#include "dashboard/mover/server_survey.h"

namespace pikaproxy {

// Times are milliseconds since 1970 UTC.

enum class ServerState : uint8_t {
  kUnknown,  // Not asked yet.
  kUp,
  kSuspect,  // The last question was not answered.
  kDown,     // Nor were those before, for kDownAfterFailures questions and kDownAfterMs.
};
std::string_view server_state_name(ServerState state) noexcept;  // "unknown", "up" ...

inline constexpr uint32_t kDownAfterFailures = 3;
inline constexpr int64_t kDownAfterMs = 3000;

// What is known about one server from asking it again and again.
struct ServerStatus {
  Address address;
  ServerState state = ServerState::kUnknown;
  int64_t state_since = 0;
  std::string error;        // Of the last question; empty if it was answered.
  int64_t asked_at = 0;     // When the last question began.
  ServerFacts facts;        // Of the last answer; meaningless before answered_at is set.
  int64_t answered_at = 0;  // When the question that got it began; 0 = never.
  std::string ip;           // By which it was reached; empty if not known.
  // Of a replica: the ip of facts.master_addr, where that has a name; empty if not known.
  std::string master_ip;

  uint32_t failures = 0;      // In a row.
  int64_t failing_since = 0;  // When the first of them began.
  // Of the answer before: lag is measured between offsets asked for in the right order.
  uint64_t earlier_offset = 0;
  int64_t earlier_at = 0;

  bool is_known() const noexcept { return answered_at != 0; }
};

// The next status, after a question that began at `asked_at` and was answered, or not, by `now`.
ServerStatus after_answer(ServerStatus status, ServerFacts facts, int64_t asked_at, int64_t now);
ServerStatus after_failure(ServerStatus status, std::string error, int64_t asked_at, int64_t now);

// How many bytes of its master's history a replica has not got. Both are asked at their own times,
// so of the master's offsets one is taken that is not younger than the replica's: a replica that
// keeps up has no lag however much is written. 0 if it cannot be told.
uint64_t replication_lag(const ServerStatus& master, const ServerStatus& replica);
// Between two offsets of the same engine, in bytes.
uint64_t offset_distance(const std::string& engine, uint64_t ahead, uint64_t behind);

// Whether a replica follows this master, by whatever name or way it reaches it.
bool follows(const ServerStatus& replica, const ServerStatus& master);

}  // namespace pikaproxy
