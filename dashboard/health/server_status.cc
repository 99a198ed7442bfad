#include "dashboard/health/server_status.h"

#include <utility>

namespace pikaproxy {
namespace {

// Pika's offsets are a file's number and a place in it; files end at this size.
constexpr uint64_t kPikaFileBytes = 100ull << 20;

void enter(ServerStatus& status, ServerState state, int64_t now) {
  if (status.state == state) return;
  status.state = state;
  status.state_since = now;
}

}  // namespace

std::string_view server_state_name(ServerState state) noexcept {
  switch (state) {
    case ServerState::kUnknown:
      return "unknown";
    case ServerState::kUp:
      return "up";
    case ServerState::kSuspect:
      return "suspect";
    case ServerState::kDown:
      return "down";
  }
  return "";
}

ServerStatus after_answer(ServerStatus status, ServerFacts facts, int64_t asked_at, int64_t now) {
  status.earlier_offset = status.is_known() ? status.facts.replication_offset : 0;
  status.earlier_at = status.answered_at;
  status.facts = std::move(facts);
  status.error.clear();
  status.asked_at = status.answered_at = asked_at;
  status.failures = 0;
  enter(status, ServerState::kUp, now);
  return status;
}

ServerStatus after_failure(ServerStatus status, std::string error, int64_t asked_at, int64_t now) {
  if (status.failures == 0) status.failing_since = asked_at;
  ++status.failures;
  status.error = std::move(error);
  status.asked_at = asked_at;
  if (status.state == ServerState::kDown) return status;
  const bool long_enough =
      status.failures >= kDownAfterFailures && now - status.failing_since >= kDownAfterMs;
  enter(status, long_enough ? ServerState::kDown : ServerState::kSuspect, now);
  return status;
}

uint64_t offset_distance(const std::string& engine, uint64_t ahead, uint64_t behind) {
  if (ahead <= behind) return 0;
  if (engine != "pika") return ahead - behind;
  const uint64_t files = (ahead >> 32) - (behind >> 32);
  return files * kPikaFileBytes + (ahead & UINT32_MAX) - (behind & UINT32_MAX);
}

uint64_t replication_lag(const ServerStatus& master, const ServerStatus& replica) {
  if (!master.is_known() || !replica.is_known() || replica.facts.is_master) return 0;
  // Offsets of different histories have nothing to do with each other.
  if (master.facts.replication_id != replica.facts.replication_id) return replica.facts.lag_bytes;
  uint64_t offset = master.facts.replication_offset;
  if (master.answered_at > replica.answered_at) {
    if (master.earlier_at == 0 || master.earlier_at > replica.answered_at) return 0;
    offset = master.earlier_offset;
  }
  return offset_distance(replica.facts.engine, offset, replica.facts.replication_offset);
}

bool follows(const ServerStatus& replica, const ServerStatus& master) {
  if (replica.facts.is_master) return false;
  if (replica.facts.master_addr == master.address.to_string()) return true;
  if (replica.facts.link_up && !replica.facts.replication_id.empty() &&
      replica.facts.replication_id == master.facts.replication_id) {
    return true;
  }
  const auto named = parse_address(replica.facts.master_addr);
  if (!named || named->port != master.address.port || master.ip.empty()) return false;
  return named->host == master.ip || replica.master_ip == master.ip;
}

}  // namespace pikaproxy
