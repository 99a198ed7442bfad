#include "dashboard/cluster/promotion_state.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <utility>

namespace pikaproxy {
namespace {

constexpr std::array<std::pair<PromotionStep, std::string_view>, 7> kStepNames = {{
    {PromotionStep::kChecking, "checking"},
    {PromotionStep::kPausing, "pausing"},
    {PromotionStep::kLocking, "locking"},
    {PromotionStep::kPromoting, "promoting"},
    {PromotionStep::kRepointing, "repointing"},
    {PromotionStep::kSucceeded, "succeeded"},
    {PromotionStep::kFailed, "failed"},
}};

Refusal conflict(std::string code, std::string message, std::string pointer = {}) {
  return {Refusal::Kind::kConflict, std::move(code), std::move(message), std::move(pointer)};
}

// Applies `change` to a copy of a promotion that is in one of `steps`.
template <typename Change>
StateOutcome with_promotion(const ClusterState& state, uint64_t id,
                            std::initializer_list<PromotionStep> steps, Change change) {
  const auto found = state.promotions.find(id);
  if (found == state.promotions.end()) {
    return Refusal{Refusal::Kind::kNotFound, "not_found",
                   "there is no promotion " + std::to_string(id)};
  }
  const PromotionStep step = found->second->step;
  if (std::find(steps.begin(), steps.end(), step) == steps.end()) {
    return conflict("wrong_state", "promotion " + std::to_string(id) + " is " +
                                       std::string(promotion_step_name(step)));
  }
  auto promotion = std::make_shared<Promotion>(*found->second);
  ClusterState next = state;
  if (std::optional<Refusal> refusal = change(*promotion, next)) return *refusal;
  next.promotions[id] = std::move(promotion);
  return next;
}

// Locks or unlocks all slots of the group, as one change of the topology. Those that a migration
// holds stay locked: it releases them itself.
void set_locks(ClusterState& state, uint32_t group, bool locked) {
  const ClusterSlot before{locked ? SlotState::kNormal : SlotState::kLocked, group, 0};
  const ClusterSlot after{locked ? SlotState::kLocked : SlotState::kNormal, group, 0};
  std::bitset<kSlotCount> held;
  for (const auto& [id, migration] : state.migrations) {
    if (migration->ended()) continue;
    for (const MigrationSlot& entry : migration->slots) held[entry.slot] = entry.is_held();
  }
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    ClusterSlot& each = state.topology.slots[slot];
    if (each == before && !held[slot]) each = after;
  }
  ++state.topology.version;
}

void drop_oldest(ClusterState& state) {
  size_t ended = 0;
  for (const auto& [id, promotion] : state.promotions) ended += promotion->ended() ? 1 : 0;
  for (auto it = state.promotions.begin();
       it != state.promotions.end() && ended > kPromotionsKept;) {
    if (it->second->ended()) {
      it = state.promotions.erase(it);
      --ended;
    } else {
      ++it;
    }
  }
}

}  // namespace

std::string_view promotion_step_name(PromotionStep step) noexcept {
  for (const auto& [each, name] : kStepNames) {
    if (each == step) return name;
  }
  return "";
}

std::optional<PromotionStep> promotion_step_named(std::string_view name) noexcept {
  for (const auto& [step, each] : kStepNames) {
    if (each == name) return step;
  }
  return std::nullopt;
}

const Promotion* promotion_of(const ClusterState& state, uint32_t group) {
  for (const auto& [id, promotion] : state.promotions) {
    if (!promotion->ended() && promotion->group == group) return promotion.get();
  }
  return nullptr;
}

const Promotion* holder_of(const ClusterState& state, uint32_t from, uint32_t to) {
  for (const uint32_t group : {from, to}) {
    const Promotion* promotion = promotion_of(state, group);
    if (promotion != nullptr && promotion->holds_migrations()) return promotion;
  }
  return nullptr;
}

std::optional<Refusal> promotion_conflict(const ClusterState& before,
                                          const ClusterTopology& after) {
  for (const auto& [id, promotion] : before.promotions) {
    if (promotion->ended()) continue;
    const uint32_t gid = promotion->group;
    const ClusterGroup* old_group = before.topology.group(gid);
    const ClusterGroup* new_group = after.group(gid);
    bool is_touched = new_group == nullptr || *old_group != *new_group;
    for (size_t slot = 0; slot < kSlotCount && !is_touched; ++slot) {
      const ClusterSlot& old_slot = before.topology.slots[slot];
      const ClusterSlot& new_slot = after.slots[slot];
      is_touched = old_slot != new_slot && (old_slot.group == gid || old_slot.target == gid ||
                                            new_slot.group == gid || new_slot.target == gid);
    }
    if (is_touched) {
      return conflict("group_busy", "promotion " + std::to_string(id) + " is under way in " +
                                        before.topology.describe(gid) +
                                        ": wait until it has ended");
    }
  }
  return std::nullopt;
}

StateOutcome create_promotion(const ClusterState& state, const PromotionRequest& request,
                              int64_t now) {
  const ClusterGroup* group = state.topology.group(request.group);
  if (group == nullptr) {
    return Refusal{Refusal::Kind::kNotFound, "not_found",
                   "there is no group " + std::to_string(request.group)};
  }
  const std::string title = state.topology.describe(group->id);
  if (group->find(request.server) == nullptr) {
    return Refusal{Refusal::Kind::kImpossible, "not_in_group",
                   title + " has no server " + request.server.to_string() +
                       ": add it first (POST /api/v1/groups/" + std::to_string(group->id) +
                       "/servers) and let it catch up",
                   "/server"};
  }
  if (request.expected_master != group->master()) {
    return conflict("unexpected_master",
                    "the master of " + title + " is " + group->master().to_string() +
                        ": look at the group again before you promote anything",
                    "/expected_master");
  }
  if (request.server == group->master() && !request.force) {
    return conflict("is_master",
                    request.server.to_string() + " is the master of " + title +
                        " already; with mode \"force\" it is told so again, should it deny it",
                    "/server");
  }
  if (request.server.is_unix() && group->servers.size() > 1) {
    return Refusal{Refusal::Kind::kImpossible, "invalid_value",
                   "the other servers could not replicate from " + request.server.to_string() +
                       ": a master with replicas needs a TCP address",
                   "/server"};
  }
  if (const Promotion* running = promotion_of(state, group->id)) {
    return conflict("group_busy", "promotion " + std::to_string(running->id) + " of " + title +
                                      " is under way: wait until it has ended");
  }
  for (const auto& [id, migration] : state.migrations) {
    if (migration->ended() || !migration->involves_group(group->id)) continue;
    if (request.force || request.pause_migrations) continue;
    return conflict("group_busy", title + " takes part in migration " + std::to_string(id) +
                                      ", whose keys are on their way between two masters: let it "
                                      "end, cancel it, or ask for pause_migrations, which holds it "
                                      "meanwhile");
  }
  auto promotion = std::make_shared<Promotion>();
  promotion->group = group->id;
  promotion->server = request.server;
  promotion->old_master = group->master();
  promotion->force = request.force;
  promotion->pause_migrations = request.force || request.pause_migrations;
  promotion->created_by = request.created_by;
  promotion->created_at = now;
  ClusterState next = state;
  promotion->id = next.next_promotion_id++;
  next.promotions[promotion->id] = std::move(promotion);
  drop_oldest(next);
  return next;
}

StateOutcome begin_pausing(const ClusterState& state, uint64_t id) {
  return with_promotion(state, id, {PromotionStep::kChecking},
                        [](Promotion& promotion, ClusterState&) -> std::optional<Refusal> {
                          promotion.step = PromotionStep::kPausing;
                          return std::nullopt;
                        });
}

StateOutcome lock_promotion(const ClusterState& state, uint64_t id) {
  return with_promotion(state, id, {PromotionStep::kPausing},
                        [](Promotion& promotion, ClusterState& next) -> std::optional<Refusal> {
                          set_locks(next, promotion.group, true);
                          promotion.step = PromotionStep::kLocking;
                          return std::nullopt;
                        });
}

StateOutcome begin_promoting(const ClusterState& state, uint64_t id) {
  return with_promotion(state, id, {PromotionStep::kLocking},
                        [](Promotion& promotion, ClusterState&) -> std::optional<Refusal> {
                          promotion.step = PromotionStep::kPromoting;
                          return std::nullopt;
                        });
}

StateOutcome switch_master(const ClusterState& state, uint64_t id) {
  return with_promotion(
      state, id, {PromotionStep::kPromoting},
      [](Promotion& promotion, ClusterState& next) -> std::optional<Refusal> {
        for (ClusterServer& server : next.topology.groups.at(promotion.group).servers) {
          server.is_master = server.address == promotion.server;
        }
        set_locks(next, promotion.group, false);
        promotion.step = PromotionStep::kRepointing;
        return std::nullopt;
      });
}

StateOutcome exclude_server(const ClusterState& state, uint64_t id, const Address& server,
                            const std::string& reason) {
  return with_promotion(state, id, {PromotionStep::kRepointing},
                        [&](Promotion& promotion, ClusterState& next) -> std::optional<Refusal> {
                          auto removed = remove_server(next.topology, promotion.group, server);
                          if (!removed) return removed.refusal();
                          next.topology = std::move(*removed);
                          promotion.excluded.push_back({server, reason});
                          return std::nullopt;
                        });
}

StateOutcome warn_promotion(const ClusterState& state, uint64_t id, const std::string& warning) {
  return with_promotion(
      state, id,
      {PromotionStep::kChecking, PromotionStep::kPausing, PromotionStep::kLocking,
       PromotionStep::kPromoting, PromotionStep::kRepointing},
      [&](Promotion& promotion, ClusterState&) -> std::optional<Refusal> {
        auto& warnings = promotion.warnings;
        if (warnings.size() < Promotion::kWarningsMax &&
            std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) {
          warnings.push_back(warning);
        }
        return std::nullopt;
      });
}

StateOutcome complete_promotion(const ClusterState& state, uint64_t id, int64_t now) {
  return with_promotion(state, id, {PromotionStep::kRepointing},
                        [&](Promotion& promotion, ClusterState&) -> std::optional<Refusal> {
                          promotion.step = PromotionStep::kSucceeded;
                          promotion.ended_at = now;
                          return std::nullopt;
                        });
}

StateOutcome fail_promotion(const ClusterState& state, uint64_t id, const std::string& error,
                            int64_t now) {
  return with_promotion(state, id,
                        {PromotionStep::kChecking, PromotionStep::kPausing, PromotionStep::kLocking,
                         PromotionStep::kPromoting},
                        [&](Promotion& promotion, ClusterState& next) -> std::optional<Refusal> {
                          if (promotion.holds_locks()) set_locks(next, promotion.group, false);
                          promotion.step = PromotionStep::kFailed;
                          promotion.error = error;
                          promotion.ended_at = now;
                          return std::nullopt;
                        });
}

}  // namespace pikaproxy
