#include "dashboard/cluster/planner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

namespace pikaproxy {
namespace {

// Below this part of the average, differences of load are noise and no reason to move anything.
constexpr double kTolerance = 0.02;

Refusal impossible(std::string code, std::string message, std::string pointer = {}) {
  return {Refusal::Kind::kImpossible, std::move(code), std::move(message), std::move(pointer)};
}

// The work on one plan: who has which slot, and who may give or take.
class Planner {
 public:
  Planner(const ClusterState& state, const PlanRequest& request, const SlotLoads& loads)
      : state_(state), request_(request), loads_(loads) {
    for (const auto& [id, group] : state.topology.groups) {
      const auto weight = request.weights.find(id);
      weights_[id] = weight == request.weights.end() ? group.weight : weight->second;
      slots_[id];
    }
    std::set<SlotId> busy;
    for (const auto& [id, migration] : state.migrations) {
      if (migration->ended()) continue;
      for (const MigrationSlot& entry : migration->slots) busy.insert(entry.slot);
    }
    for (size_t number = 0; number < kSlotCount; ++number) {
      const auto slot = static_cast<SlotId>(number);
      const ClusterSlot& entry = state.topology.slots[slot];
      if (entry.state == SlotState::kUnassigned) continue;
      uint32_t owner = entry.owner();
      if (const Migration* migration = busy.count(slot) > 0 ? state.migration_of(slot) : nullptr) {
        const MigrationSlot& moving = *migration->find(slot);
        const bool home =
            moving.back || (migration->state == MigrationState::kCancelling && migration->rollback);
        owner = home ? moving.source : moving.target;
        ++busy_;
      } else {
        movable_[owner].push_back(slot);
      }
      owner_[slot] = home_[slot] = owner;
      slots_[owner].push_back(slot);
    }
  }

  std::optional<Refusal> work() {
    for (const auto& [id, weight] : request_.weights) {
      if (state_.topology.group(id) == nullptr) {
        return impossible("invalid_value", "there is no group " + std::to_string(id), "/weights");
      }
    }
    switch (request_.kind) {
      case PlanKind::kMove:
        return move();
      case PlanKind::kDrain:
        return drain();
      case PlanKind::kRebalance:
        return rebalance();
    }
    return std::nullopt;
  }

  Plan plan() const {
    Plan plan;
    plan.topology_version = state_.topology.version;
    plan.kind = request_.kind;
    plan.strategy = request_.strategy;
    plan.before = shares(home_);
    plan.after = shares(owner_);
    std::map<GroupPair, PlanMove> moves;
    for (const auto& [slot, owner] : owner_) {
      const uint32_t home = home_.at(slot);
      if (home == owner) continue;
      PlanMove& move = moves[{home, owner}];
      move.from = home;
      move.to = owner;
      move.slots.push_back(slot);
      move.keys += loads_[slot].keys;
      move.bytes += loads_[slot].bytes;
    }
    for (auto& [way, move] : moves) plan.moves.push_back(std::move(move));
    plan.warnings = warnings_;
    if (busy_ > 0) {
      plan.warnings.push_back(std::to_string(busy_) +
                              " slots are part of migrations that go on, and were left to these");
    }
    if (const size_t none = kSlotCount - home_.size(); none > 0) {
      plan.warnings.push_back(std::to_string(none) +
                              " slots are not assigned to any group: PUT "
                              "/api/v1/slots/assignment gives them to one");
    }
    if (plan.moves.empty()) plan.warnings.push_back("nothing has to be moved");
    return plan;
  }

 private:
  std::map<uint32_t, GroupShare> shares(const std::map<SlotId, uint32_t>& owners) const {
    std::map<uint32_t, GroupShare> result;
    for (const auto& [id, weight] : weights_) result[id];
    for (const auto& [slot, owner] : owners) {
      GroupShare& share = result[owner];
      ++share.slots;
      share.keys += loads_[slot].keys;
      share.bytes += loads_[slot].bytes;
      share.ops_per_second += loads_[slot].ops_per_second;
    }
    return result;
  }

  uint64_t load_of(SlotId slot) const {
    switch (request_.strategy) {
      case PlanStrategy::kSlots:
        return 1;
      case PlanStrategy::kKeys:
        return loads_[slot].keys;
      case PlanStrategy::kBytes:
        return loads_[slot].bytes;
      case PlanStrategy::kOps:
        return loads_[slot].ops_per_second;
    }
    return 1;
  }

  double load_of_group(uint32_t id) const {
    double sum = 0;
    for (const auto& [slot, owner] : owner_) {
      if (owner == id) sum += static_cast<double>(load_of(slot));
    }
    return sum;
  }

  std::optional<Refusal> move() {
    if (state_.topology.group(request_.target) == nullptr) {
      return impossible("invalid_value", "there is no group " + std::to_string(request_.target),
                        "/target");
    }
    for (const SlotId slot : request_.slots) {
      if (state_.migration_of(slot) != nullptr) {
        return Refusal{Refusal::Kind::kConflict, "slot_busy",
                       "slot " + std::to_string(slot) + " is part of migration " +
                           std::to_string(state_.migration_of(slot)->id) +
                           ": wait until that has ended, or cancel it",
                       "/slots"};
      }
      if (owner_.count(slot) == 0) {
        return impossible("slot_unassigned",
                          "slot " + std::to_string(slot) +
                              " is not assigned to any group, so there is nothing to move: PUT "
                              "/api/v1/slots/assignment gives it to one",
                          "/slots");
      }
      owner_[slot] = request_.target;
    }
    return std::nullopt;
  }

  std::optional<Refusal> no_takers() const {
    const bool any = std::any_of(weights_.begin(), weights_.end(),
                                 [](const auto& entry) { return entry.second > 0; });
    if (any) return std::nullopt;
    return impossible("nobody_takes",
                      "no group may take slots: every group has weight 0 or is to be drained",
                      "/weights");
  }

  std::optional<Refusal> drain() {
    std::vector<SlotId> homeless;
    for (const uint32_t id : request_.drain_groups) {
      if (state_.topology.group(id) == nullptr) {
        return impossible("invalid_value", "there is no group " + std::to_string(id),
                          "/drain_groups");
      }
      weights_[id] = 0;
      homeless.insert(homeless.end(), movable_[id].begin(), movable_[id].end());
    }
    if (auto refusal = no_takers()) return refusal;
    std::sort(homeless.begin(), homeless.end());
    homeless.erase(std::unique(homeless.begin(), homeless.end()), homeless.end());
    // Heavy ones first: the light ones then even out what these leave.
    std::stable_sort(homeless.begin(), homeless.end(),
                     [this](SlotId a, SlotId b) { return load_of(a) > load_of(b); });
    std::map<uint32_t, double> load;
    for (const auto& [id, weight] : weights_) load[id] = load_of_group(id);
    for (const SlotId slot : homeless) {
      uint32_t best = 0;
      double best_level = 0;
      for (const auto& [id, weight] : weights_) {
        if (weight == 0) continue;
        const double level = (load[id] + static_cast<double>(load_of(slot))) / weight;
        if (best == 0 || level < best_level) {
          best = id;
          best_level = level;
        }
      }
      owner_[slot] = best;
      load[best] += static_cast<double>(load_of(slot));
    }
    return std::nullopt;
  }

  std::optional<Refusal> rebalance() {
    if (auto refusal = no_takers()) return refusal;
    if (request_.strategy == PlanStrategy::kSlots) {
      rebalance_slots();
    } else {
      rebalance_load();
    }
    return std::nullopt;
  }

  // How many slots each group should have: its share rounded down, and one more for as many groups
  // as that leaves slots over. These go first to groups that have them already, which is what makes
  // the number of moves the smallest.
  std::map<uint32_t, size_t> quotas() const {
    const size_t total = owner_.size();
    uint64_t weight_sum = 0;
    for (const auto& [id, weight] : weights_) weight_sum += weight;
    std::map<uint32_t, size_t> quota;
    std::vector<uint32_t> rounded;  // Groups whose share was rounded down.
    size_t given = 0;
    for (const auto& [id, weight] : weights_) {
      const uint64_t product = static_cast<uint64_t>(total) * weight;
      quota[id] = product / weight_sum;
      given += quota[id];
      if (product % weight_sum != 0) rounded.push_back(id);
    }
    std::stable_sort(rounded.begin(), rounded.end(), [&](uint32_t a, uint32_t b) {
      const bool a_has = slots_.at(a).size() > quota[a];
      const bool b_has = slots_.at(b).size() > quota[b];
      return a_has && !b_has;
    });
    for (size_t i = 0; given < total; ++i, ++given) ++quota[rounded[i]];
    return quota;
  }

  void rebalance_slots() {
    const auto quota = quotas();
    std::map<uint32_t, int64_t> surplus;
    for (const auto& [id, wanted] : quota) {
      surplus[id] = static_cast<int64_t>(slots_.at(id).size()) - static_cast<int64_t>(wanted);
    }
    // The largest surplus meets the largest lack: few pairs of groups, so few ways to watch.
    for (uint32_t moved = 0; moved < request_.max_moves;) {
      uint32_t from = 0;
      uint32_t to = 0;
      for (const auto& [id, count] : surplus) {
        if (count > 0 && !movable_[id].empty() && (from == 0 || count > surplus[from])) from = id;
        if (count < 0 && (to == 0 || count < surplus[to])) to = id;
      }
      if (from == 0 || to == 0) {
        break;
      }
      const auto count =
          std::min({static_cast<size_t>(surplus[from]), static_cast<size_t>(-surplus[to]),
                    movable_[from].size(), static_cast<size_t>(request_.max_moves - moved)});
      // From the end of what it has: neighbours stay neighbours.
      for (size_t i = 0; i < count; ++i) {
        owner_[movable_[from].back()] = to;
        movable_[from].pop_back();
      }
      surplus[from] -= static_cast<int64_t>(count);
      surplus[to] += static_cast<int64_t>(count);
      moved += static_cast<uint32_t>(count);
    }
    warn_of_limit(std::any_of(surplus.begin(), surplus.end(), [this](const auto& entry) {
      return entry.second > 0 && !movable_.at(entry.first).empty();
    }));
  }

  void rebalance_load() {
    double weight_sum = 0;
    std::map<uint32_t, double> load;
    double total = 0;
    for (const auto& [id, weight] : weights_) {
      weight_sum += weight;
      load[id] = load_of_group(id);
      total += load[id];
    }
    if (total == 0) {
      warnings_.push_back("there is no load to balance by: balance by slots instead");
      return;
    }
    const double tolerance = kTolerance * total / static_cast<double>(weights_.size());
    uint32_t moved = 0;
    bool limited = false;
    std::set<uint32_t> stuck;  // Nothing that these could give makes it better.
    while (true) {
      uint32_t from = 0;
      uint32_t to = 0;
      const auto above = [&](uint32_t id) { return load[id] - total * weights_[id] / weight_sum; };
      for (const auto& [id, weight] : weights_) {
        if (stuck.count(id) == 0 && (from == 0 || above(id) > above(from))) from = id;
        if (weight > 0 && (to == 0 || above(id) < above(to))) to = id;
      }
      if (from == 0 || from == to || (above(from) <= tolerance && weights_[from] > 0)) break;
      // Moving x helps while it is less than the gap between the two; the best is half of that, and
      // never more than what `from` has too much where a smaller one would do.
      const double gap = above(from) - above(to);
      const double ideal = std::min(above(from), -above(to));
      SlotId best = kSlotCount;
      double best_miss = 0;
      for (const SlotId slot : movable_[from]) {
        const auto x = static_cast<double>(load_of(slot));
        if (weights_[from] > 0 && (x == 0 || x >= gap)) continue;
        const double miss = std::abs(x - ideal);
        if (best == kSlotCount || miss < best_miss) {
          best = slot;
          best_miss = miss;
        }
      }
      if (best == kSlotCount) {
        stuck.insert(from);
        continue;
      }
      if (moved == request_.max_moves) {
        limited = true;
        break;
      }
      ++moved;
      owner_[best] = to;
      std::erase(movable_[from], best);  // A slot moves once.
      const auto x = static_cast<double>(load_of(best));
      load[from] -= x;
      load[to] += x;
    }
    warn_of_limit(limited);
  }

  void warn_of_limit(bool limited) {
    if (limited) {
      warnings_.push_back(
          "max_moves ends this before the groups have their shares: plan again "
          "after it is done");
    }
  }

  const ClusterState& state_;
  const PlanRequest& request_;
  const SlotLoads& loads_;
  std::map<uint32_t, uint32_t> weights_;
  std::map<uint32_t, std::vector<SlotId>> slots_;    // At the start.
  std::map<uint32_t, std::vector<SlotId>> movable_;  // Not yet moved, not in a migration.
  size_t busy_ = 0;                                  // Slots of migrations.
  std::map<SlotId, uint32_t> home_;                  // At the start.
  std::map<SlotId, uint32_t> owner_;                 // By the plan.
  std::vector<std::string> warnings_;
};

}  // namespace

std::string_view plan_kind_name(PlanKind kind) noexcept {
  switch (kind) {
    case PlanKind::kRebalance:
      return "rebalance";
    case PlanKind::kDrain:
      return "drain";
    case PlanKind::kMove:
      return "move";
  }
  return "";
}

std::string_view plan_strategy_name(PlanStrategy strategy) noexcept {
  switch (strategy) {
    case PlanStrategy::kSlots:
      return "slots";
    case PlanStrategy::kKeys:
      return "keys";
    case PlanStrategy::kBytes:
      return "bytes";
    case PlanStrategy::kOps:
      return "ops";
  }
  return "";
}

Outcome<Plan> make_plan(const ClusterState& state, const PlanRequest& request,
                        const SlotLoads& loads) {
  Planner planner(state, request, loads);
  if (auto refusal = planner.work()) return *refusal;
  return planner.plan();
}

}  // namespace pikaproxy
