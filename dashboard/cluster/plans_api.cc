#include <charconv>
#include <utility>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/cluster/planner.h"
#include "dashboard/cluster/slot_list.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

constexpr int64_t kPlanLifetimeMs = 3'600'000;
constexpr int64_t kIdMax = int64_t{1} << 53;

// With how long it would take, where that can be said: keys are known and the rate is limited.
Json plan_with_eta(const ClusterParts& parts, const Plan& plan) {
  Json json = plan_json(plan);
  uint64_t keys = 0;
  for (const PlanMove& move : plan.moves) keys += move.keys;
  const uint64_t rate = parts.default_limits().keys_per_second;
  const bool is_counted =
      plan.strategy == PlanStrategy::kKeys || plan.strategy == PlanStrategy::kBytes;
  json["eta_seconds"] = rate > 0 && is_counted ? Json(keys / rate) : Json();
  return json;
}

PlanKind kind_named(const std::string& name) {
  return name == "drain"  ? PlanKind::kDrain
         : name == "move" ? PlanKind::kMove
                          : PlanKind::kRebalance;
}

PlanStrategy strategy_named(const std::string& name) {
  return name == "keys"    ? PlanStrategy::kKeys
         : name == "bytes" ? PlanStrategy::kBytes
         : name == "ops"   ? PlanStrategy::kOps
                           : PlanStrategy::kSlots;
}

std::variant<PlanRequest, ApiProblem> read_plan(const ApiRequest& request) {
  BodyReader body(request.body);
  PlanRequest wanted;
  wanted.kind = kind_named(body.choice("kind", {"rebalance", "drain", "move"}));
  wanted.strategy = strategy_named(
      body.optional_choice("strategy", {"slots", "keys", "bytes", "ops"}).value_or("slots"));
  if (const auto slots = read_slots(body)) wanted.slots = *slots;
  wanted.target =
      static_cast<uint32_t>(body.optional_integer("target", 1, ClusterGroup::kIdMax).value_or(0));
  const auto drained =
      body.optional_integer_list("drain_groups", {.min = 1, .max = 1000}, 1, ClusterGroup::kIdMax);
  for (const int64_t id : drained.value_or(std::vector<int64_t>())) {
    wanted.drain_groups.push_back(static_cast<uint32_t>(id));
  }
  const auto weights = body.optional_integers_by_name("weights", {.min = 1, .max = 1000}, 0,
                                                      ClusterGroup::kWeightMax);
  for (const auto& [name, weight] :
       weights.value_or(std::vector<std::pair<std::string, int64_t>>())) {
    uint32_t id = 0;
    const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), id);
    if (ec != std::errc() || end != name.data() + name.size()) {
      body.fail("weights", "invalid", "Names must be ids of groups.");
    }
    wanted.weights[id] = static_cast<uint32_t>(weight);
  }
  const auto max_moves = body.optional_integer("max_moves", 1, kSlotCount);
  wanted.max_moves = static_cast<uint32_t>(max_moves.value_or(kSlotCount));
  // What has no meaning for this kind is not ignored: somebody expects something of it.
  const auto belongs = [&](const char* name, bool is_set, bool may, bool must) {
    if (is_set && !may) body.fail(name, "invalid", "This kind of plan does not take it.");
    if (!is_set && must) body.fail(name, "required", "This kind of plan needs it.");
  };
  const bool moves = wanted.kind == PlanKind::kMove;
  const bool drains = wanted.kind == PlanKind::kDrain;
  belongs("slots", !wanted.slots.empty(), moves, moves);
  belongs("target", wanted.target != 0, moves, moves);
  belongs("drain_groups", drained.has_value(), drains, drains);
  belongs("weights", weights.has_value(), !moves, false);
  belongs("max_moves", max_moves.has_value(), !moves && !drains, false);
  if (auto problem = body.finish()) return *problem;
  return wanted;
}

ApiResult create(const ClusterParts& parts, const ApiRequest& request) {
  auto read = read_plan(request);
  if (const auto* problem = std::get_if<ApiProblem>(&read)) return *problem;
  const PlanRequest& wanted = std::get<PlanRequest>(read);
  SlotLoads loads{};
  if (wanted.strategy == PlanStrategy::kKeys || wanted.strategy == PlanStrategy::kBytes) {
    const auto counted =
        parts.survey.count_keys(parts.controller.state()->topology, parts.controller.now());
    if (!counted) return impossible("server_unreachable", counted.error());
    loads = *counted;
  } else if (wanted.strategy == PlanStrategy::kOps) {
    const auto counted = parts.survey.count_ops();
    if (!counted) return impossible("not_counted", counted.error());
    loads = *counted;
  }
  uint64_t id = 0;
  auto made =
      make_change(parts.controller, request, [&](const ClusterState& state) -> StateOutcome {
        auto plan = make_plan(state, wanted, loads);
        if (!plan) return plan.refusal();
        id = state.next_plan_id;
        plan->created_by = request.caller.name;
        plan->created_at = parts.controller.now();
        plan->expires_at = plan->created_at + kPlanLifetimeMs;
        return add_plan(state, std::move(*plan), parts.controller.now());
      });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  const Change& change = std::get<Change>(made);
  ApiReply reply;
  reply.status = request.dry_run ? 200 : 201;
  reply.body = plan_with_eta(parts, *change.after->plans.at(id));
  reply.object = "plans/" + std::to_string(id);
  if (request.dry_run) {
    reply.body["dry_run"] = true;
  } else {
    reply.headers = {{"Location", "/api/v1/plans/" + std::to_string(id)}};
  }
  return reply;
}

const Plan* find_plan(const ClusterParts& parts, const ClusterState& state,
                      const ApiRequest& request) {
  const auto id = path_integer(request, "id", 1, kIdMax);
  if (!id) return nullptr;
  const auto found = state.plans.find(static_cast<uint64_t>(*id));
  const bool is_there =
      found != state.plans.end() && found->second->expires_at > parts.controller.now();
  return is_there ? found->second.get() : nullptr;
}

ApiProblem no_plan(const ApiRequest& request) {
  ApiProblem problem = not_found("plan " + request.path.at("id"));
  problem.detail += " Plans go an hour after they were made.";
  return problem;
}

ApiResult get(const ClusterParts& parts, const ApiRequest& request) {
  const auto state = parts.controller.state();
  const Plan* plan = find_plan(parts, *state, request);
  if (plan == nullptr) return no_plan(request);
  ApiReply reply;
  reply.body = plan_with_eta(parts, *plan);
  reply.body["is_stale"] = plan->topology_version != state->topology.version;
  return reply;
}

ApiResult list(const ClusterParts& parts, const ApiRequest& request) {
  QueryReader query(request);
  const size_t limit = query.limit();
  const auto cursor = query.integer("cursor", 0, kIdMax).value_or(0);
  if (auto problem = query.finish()) return *problem;
  const auto state = parts.controller.state();
  std::vector<std::pair<uint64_t, Json>> items;
  for (const auto& [id, plan] : state->plans) {
    if (plan->expires_at <= parts.controller.now()) continue;
    Json json = plan_with_eta(parts, *plan);
    json["is_stale"] = plan->topology_version != state->topology.version;
    items.push_back({id, std::move(json)});
  }
  ApiReply reply;
  reply.body = page_json("plans", std::move(items), limit, static_cast<uint64_t>(cursor));
  return reply;
}

ApiResult remove(const ClusterParts& parts, const ApiRequest& request) {
  const auto state = parts.controller.state();
  const Plan* plan = find_plan(parts, *state, request);
  if (plan == nullptr) return no_plan(request);
  const uint64_t id = plan->id;
  auto made = make_change(parts.controller, request,
                          [&](const ClusterState& now) { return remove_plan(now, id); });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  ApiReply reply;
  reply.object = "plans/" + std::to_string(id);
  reply.body = {{"id", id}, {"removed", !request.dry_run}};
  if (request.dry_run) reply.body["dry_run"] = true;
  return reply;
}

}  // namespace

std::vector<ApiRoute> plans_routes(const ClusterParts& parts) {
  const auto with = [parts](ApiResult (*handler)(const ClusterParts&, const ApiRequest&)) {
    return [parts, handler](const ApiRequest& request) { return handler(parts, request); };
  };
  return {
      {.method = "GET",
       .path = "/plans",
       .operation_id = "listPlans",
       .query = {"limit", "cursor"},
       .handler = with(list)},
      {.method = "POST",
       .path = "/plans",
       .operation_id = "createPlan",
       .role = Role::kOperator,
       .takes_version = true,
       .creates_work = true,
       .handler = with(create)},
      {.method = "GET", .path = "/plans/{id}", .operation_id = "getPlan", .handler = with(get)},
      {.method = "DELETE",
       .path = "/plans/{id}",
       .operation_id = "deletePlan",
       .role = Role::kOperator,
       .handler = with(remove),
       .takes_body = false},
  };
}

}  // namespace pikaproxy
