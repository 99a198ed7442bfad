#include <algorithm>
#include <set>
#include <utility>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/cluster/migration_runner.h"
#include "dashboard/cluster/slot_list.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

constexpr int64_t kIdMax = int64_t{1} << 53;
constexpr int64_t kRateMax = int64_t{1} << 40;

Json document(const ClusterParts& parts, const Migration& migration) {
  return migration_json(migration, parts.controller.live(migration.id));
}

// A limit in the body: null or 0 is none; nothing if it was not sent.
std::optional<uint64_t> read_limit(BodyReader& body, const char* name) {
  if (body.is_null(name)) return 0;
  const auto limit = body.optional_integer(name, 0, kRateMax);
  if (!limit) return std::nullopt;
  return static_cast<uint64_t>(*limit);
}

void read_limits(BodyReader& body, MoveLimits& limits, uint32_t& parallel_slots) {
  if (const auto keys = read_limit(body, "rate_limit_keys_per_second")) {
    limits.keys_per_second = *keys;
  }
  if (const auto bytes = read_limit(body, "rate_limit_bytes_per_second")) {
    limits.bytes_per_second = *bytes;
  }
  if (const auto parallel =
          body.optional_integer("parallel_slots", 1, Migration::kParallelSlotsMax)) {
    parallel_slots = static_cast<uint32_t>(*parallel);
  }
}

// Whether servers answer and have a mover; what can only be found out later is found out later.
std::optional<ApiProblem> probe(const ClusterParts& parts, const ClusterTopology& topology,
                                const std::vector<SlotMove>& moves) {
  const ServerTools& tools = parts.controller.tools();
  std::set<GroupPair> ways;
  std::map<uint32_t, ServerFacts> facts;
  for (const SlotMove& move : moves) ways.insert({move.from, move.to});
  for (const auto& [from, to] : ways) {
    for (const uint32_t id : {from, to}) {
      if (facts.count(id) > 0) continue;
      auto answer =
          tools.ask(Controller::master_of(topology, id), parts.controller.options().ask_timeout);
      if (!answer) return impossible("server_unreachable", answer.error());
      facts[id] = std::move(*answer);
    }
    const auto mover = tools.choose(facts.at(from), facts.at(to));
    if (!mover) return impossible("mover_unavailable", mover.error());
  }
  return std::nullopt;
}

ApiResult create(const ClusterParts& parts, const ApiRequest& request) {
  BodyReader body(request.body);
  MigrationRequest wanted;
  wanted.limits = parts.default_limits();
  wanted.parallel_slots = parts.default_parallel_slots();
  wanted.created_by = request.caller.name;
  const auto plan_id = body.optional_integer("plan_id", 1, kIdMax);
  const auto slots = read_slots(body);
  const auto target = body.optional_integer("target_group", 1, ClusterGroup::kIdMax);
  if (plan_id && (slots || target)) {
    body.fail("plan_id", "invalid", "Name either a plan, or slots and their target_group.");
  } else if (!plan_id && (!slots || !target)) {
    body.fail("", "required", "Name a plan_id, or slots or ranges and their target_group.");
  }
  read_limits(body, wanted.limits, wanted.parallel_slots);
  if (auto problem = body.finish()) return *problem;
  wanted.plan_id = static_cast<uint64_t>(plan_id.value_or(0));

  const auto moves_in = [&](const ClusterState& state) -> Outcome<std::vector<SlotMove>> {
    if (plan_id) return moves_of_plan(state, wanted.plan_id, parts.controller.now());
    std::vector<SlotMove> moves;
    for (const SlotId slot : *slots) {
      // What the target has already need not move.
      const ClusterSlot& entry = state.topology.slots[slot];
      if (entry == ClusterSlot{SlotState::kNormal, static_cast<uint32_t>(*target), 0}) continue;
      moves.push_back({slot, entry.group, static_cast<uint32_t>(*target)});
    }
    return moves;
  };
  const auto decision = [&](const ClusterState& state) -> StateOutcome {
    const auto moves = moves_in(state);
    if (!moves) return moves.refusal();
    MigrationRequest complete = wanted;
    complete.moves = *moves;
    return create_migration(state, complete, parts.controller.now());
  };
  const auto state = parts.controller.state();
  if (const auto tried = decision(*state); !tried) {
    return problem_of(tried.refusal(), state->topology.version);
  }
  const auto moves = moves_in(*state);
  if (auto problem = probe(parts, state->topology, *moves)) return *problem;
  auto made = make_change(parts.controller, request, decision, StopPoint::kMigrationCreated);
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  const Change& change = std::get<Change>(made);
  const uint64_t id = change.before->next_migration_id;
  ApiReply reply;
  reply.object = "migrations/" + std::to_string(id);
  if (request.dry_run) {
    reply.body = migration_json(*change.after->migration(id), {});
    reply.body["dry_run"] = true;
    return reply;
  }
  reply.status = 202;
  reply.headers = {{"Location", "/api/v1/migrations/" + std::to_string(id)}};
  reply.body = document(parts, *change.after->migration(id));
  reply.after = reply.body;
  return reply;
}

const Migration* find(const ClusterState& state, const ApiRequest& request) {
  const auto id = path_integer(request, "id", 1, kIdMax);
  return id ? state.migration(static_cast<uint64_t>(*id)) : nullptr;
}

ApiResult get(const ClusterParts& parts, const ApiRequest& request) {
  const auto state = parts.controller.state();
  const Migration* migration = find(*state, request);
  if (migration == nullptr) return not_found("migration " + request.path.at("id"));
  ApiReply reply;
  reply.body = document(parts, *migration);
  return reply;
}

ApiResult list(const ClusterParts& parts, const ApiRequest& request) {
  QueryReader query(request);
  const size_t limit = query.limit();
  // The newest come first: "before this id".
  const auto cursor = query.integer("cursor", 1, kIdMax).value_or(kIdMax);
  const auto wanted = query.choice(
      "state", {"pending", "running", "paused", "cancelling", "cancelled", "failed", "succeeded"});
  if (auto problem = query.finish()) return *problem;
  const auto state = parts.controller.state();
  Json migrations = Json::array();
  Json next;
  uint64_t last = 0;
  for (auto it = state->migrations.rbegin(); it != state->migrations.rend(); ++it) {
    const Migration& migration = *it->second;
    if (migration.id >= static_cast<uint64_t>(cursor)) continue;
    if (wanted && migration_state_name(migration.state) != *wanted) continue;
    if (migrations.size() == limit) {
      next = std::to_string(last);
      break;
    }
    migrations.push_back(document(parts, migration));
    last = migration.id;
  }
  ApiReply reply;
  reply.body = {{"migrations", std::move(migrations)}, {"next_cursor", std::move(next)}};
  return reply;
}

ApiResult list_slots(const ClusterParts& parts, const ApiRequest& request) {
  const auto state = parts.controller.state();
  const Migration* migration = find(*state, request);
  if (migration == nullptr) return not_found("migration " + request.path.at("id"));
  Json slots = Json::array();
  for (const MigrationSlot& entry : migration->slots) {
    slots.push_back({{"slot", entry.slot},
                     {"from", entry.source},
                     {"to", entry.target},
                     {"step", slot_step_name(entry.step)},
                     {"direction", entry.back ? "back" : "forward"}});
  }
  ApiReply reply;
  reply.body = {{"id", migration->id}, {"slots", std::move(slots)}};
  return reply;
}

// What operators do to a migration that exists.
ApiResult change(const ClusterParts& parts, const ApiRequest& request, int status,
                 const std::function<StateOutcome(const ClusterState&, uint64_t)>& decision,
                 std::optional<StopPoint> persisted = std::nullopt) {
  const auto state = parts.controller.state();
  const Migration* found = find(*state, request);
  if (found == nullptr) return not_found("migration " + request.path.at("id"));
  const uint64_t id = found->id;
  auto made = make_change(
      parts.controller, request, [&](const ClusterState& now) { return decision(now, id); },
      persisted);
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  const Change& change = std::get<Change>(made);
  const auto summary = [&](const ClusterState& of) -> Json {
    const Migration& migration = *of.migration(id);
    return {{"state", migration_state_name(migration.state)},
            {"rate_limit_keys_per_second", migration.limits.keys_per_second},
            {"rate_limit_bytes_per_second", migration.limits.bytes_per_second},
            {"parallel_slots", migration.parallel_slots}};
  };
  ApiReply reply;
  reply.object = "migrations/" + std::to_string(id);
  reply.before = summary(*change.before);
  reply.after = summary(*change.after);
  if (request.dry_run) {
    reply.body = {{"dry_run", true}, {"before", reply.before}, {"after", reply.after}};
    return reply;
  }
  parts.controller.wake_migration(id);
  reply.status = status;
  reply.body = document(parts, *change.after->migration(id));
  return reply;
}

ApiResult patch(const ClusterParts& parts, const ApiRequest& request) {
  // Read into a migration's values at the time of the decision; once before, to see the errors.
  const auto apply = [&](MoveLimits& limits, uint32_t& parallel_slots) {
    BodyReader body(request.body);
    read_limits(body, limits, parallel_slots);
    return body.finish();
  };
  MoveLimits ignored_limits;
  uint32_t ignored_slots = 0;
  if (auto problem = apply(ignored_limits, ignored_slots)) return *problem;
  return change(parts, request, 200, [&](const ClusterState& state, uint64_t id) -> StateOutcome {
    const Migration& migration = *state.migration(id);
    MoveLimits limits = migration.limits;
    uint32_t parallel_slots = migration.parallel_slots;
    apply(limits, parallel_slots);
    return set_migration_limits(state, id, limits, parallel_slots);
  });
}

ApiResult pause(const ClusterParts& parts, const ApiRequest& request) {
  return change(parts, request, 202, pause_migration);
}

ApiResult resume(const ClusterParts& parts, const ApiRequest& request) {
  return change(parts, request, 202, resume_migration);
}

ApiResult retry(const ClusterParts& parts, const ApiRequest& request) {
  return change(parts, request, 202, retry_migration);
}

ApiResult cancel(const ClusterParts& parts, const ApiRequest& request) {
  BodyReader body(request.body);
  const bool rollback =
      body.optional_choice("in_flight", {"rollback", "finish"}).value_or("rollback") == "rollback";
  if (auto problem = body.finish()) return *problem;
  return change(
      parts, request, 202,
      [rollback](const ClusterState& state, uint64_t id) {
        return cancel_migration(state, id, rollback);
      },
      StopPoint::kCancelRequested);
}

}  // namespace

std::vector<ApiRoute> migrations_routes(const ClusterParts& parts) {
  const auto with = [parts](ApiResult (*handler)(const ClusterParts&, const ApiRequest&)) {
    return [parts, handler](const ApiRequest& request) { return handler(parts, request); };
  };
  std::vector<ApiRoute> routes = {
      {.method = "GET",
       .path = "/migrations",
       .operation_id = "listMigrations",
       .query = {"limit", "cursor", "state"},
       .handler = with(list)},
      {.method = "POST",
       .path = "/migrations",
       .operation_id = "createMigration",
       .role = Role::kOperator,
       .takes_version = true,
       .creates_work = true,
       .handler = with(create)},
      {.method = "GET",
       .path = "/migrations/{id}",
       .operation_id = "getMigration",
       .handler = with(get)},
      {.method = "PATCH",
       .path = "/migrations/{id}",
       .operation_id = "updateMigration",
       .role = Role::kOperator,
       .handler = with(patch)},
      {.method = "GET",
       .path = "/migrations/{id}/slots",
       .operation_id = "listMigrationSlots",
       .handler = with(list_slots)},
      {.method = "POST",
       .path = "/migrations/{id}/cancel",
       .operation_id = "cancelMigration",
       .role = Role::kOperator,
       .handler = with(cancel)},
  };
  struct Action {
    const char* word;
    const char* operation;
    ApiResult (*handler)(const ClusterParts&, const ApiRequest&);
  };
  for (const Action& action :
       {Action{"pause", "pauseMigration", pause}, Action{"resume", "resumeMigration", resume},
        Action{"retry", "retryMigration", retry}}) {
    routes.push_back({.method = "POST",
                      .path = std::string("/migrations/{id}/") + action.word,
                      .operation_id = action.operation,
                      .role = Role::kOperator,
                      .handler = with(action.handler),
                      .takes_body = false});
  }
  return routes;
}

}  // namespace pikaproxy
