#pragma once

#include <string>

#include "dashboard/cluster/cluster_state.h"

namespace pikaproxy {

// Decisions about promotions, as cluster_state.h has them about migrations. While a promotion runs
// nothing else changes its group or slots, no migration of the group begins, and those that run are
// held from pausing to promoting.

// Promotions that have ended are kept up to this number; then the oldest go.
inline constexpr size_t kPromotionsKept = 100;

struct PromotionRequest {
  uint32_t group = 0;
  Address server;
  Address expected_master;
  bool force = false;
  std::string created_by;
  bool pause_migrations = false;
};
// Its id is next_promotion_id of the state before.
StateOutcome create_promotion(const ClusterState& state, const PromotionRequest& request,
                              int64_t now);
// checking -> pausing; migrations of the group hold their slots.
StateOutcome begin_pausing(const ClusterState& state, uint64_t id);
// pausing -> locking; the slots of the group are locked.
StateOutcome lock_promotion(const ClusterState& state, uint64_t id);
// locking -> promoting.
StateOutcome begin_promoting(const ClusterState& state, uint64_t id);
// promoting -> repointing; the server is the master, the slots are unlocked.
StateOutcome switch_master(const ClusterState& state, uint64_t id);
// A server that is not the master leaves the group.
StateOutcome exclude_server(const ClusterState& state, uint64_t id, const Address& server,
                            const std::string& reason);
StateOutcome warn_promotion(const ClusterState& state, uint64_t id, const std::string& warning);
// repointing -> succeeded.
StateOutcome complete_promotion(const ClusterState& state, uint64_t id, int64_t now);
// Before repointing: failed; locks are taken back, the master stays.
StateOutcome fail_promotion(const ClusterState& state, uint64_t id, const std::string& error,
                            int64_t now);

// The one that has not ended of this group; nullptr: none.
const Promotion* promotion_of(const ClusterState& state, uint32_t group);
// The one that keeps slots on this way from moving; nullptr: none.
const Promotion* holder_of(const ClusterState& state, uint32_t from, uint32_t to);
// Why a change between these states must not be while promotions run.
std::optional<Refusal> promotion_conflict(const ClusterState& before, const ClusterTopology& after);

}  // namespace pikaproxy
