#include "dashboard/cluster/cluster_api.h"

#include <cctype>
#include <iterator>
#include <utility>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/cluster/migration_runner.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;
using Report = ServerWatch::Report;

// How long an answer waits for proxies to have a change in force.
constexpr std::chrono::milliseconds kInForceTimeout{1'000};

// With a capital and a full stop; refusals are parts of sentences in logs, too.
std::string sentence(std::string text) {
  if (text.empty()) return text;
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  if (text.back() != '.' && text.back() != ')') text += '.';
  return text;
}

struct Problem {
  std::string check;
  std::string severity;  // "warning", "critical"
  int64_t since = 0;
  std::string detail;
  std::string hint;
  std::vector<std::string> objects;
};

void find_problems_of_servers(const ClusterParts& parts, const ClusterTopology& topology,
                              std::vector<Problem>& problems) {
  for (const auto& [id, group] : topology.groups) {
    for (const ClusterServer& server : group.servers) {
      const Report report = parts.watch.find(server.address);
      const std::string name = server.address.to_string();
      const std::vector<std::string> objects = {"groups/" + std::to_string(id), "servers/" + name};
      if (report.state == Report::State::kDown) {
        problems.push_back({"server_reachable", server.is_master ? "critical" : "warning",
                            report.since, report.error,
                            server.is_master ? "Requests for this group's slots fail. Start the "
                                               "server, or promote a replica."
                                             : "Start the server, or remove it from the group.",
                            objects});
      }
      if (report.state != Report::State::kUp) continue;
      if (server.is_master && !report.facts.is_master) {
        problems.push_back({"server_role", "critical", report.since,
                            name + " is " + topology.describe(id) +
                                "'s master here, and says it "
                                "is a replica of " +
                                report.facts.master_addr + ".",
                            "Promote the server that is the master, or make this one a master "
                            "again.",
                            objects});
      } else if (!server.is_master && report.facts.is_master) {
        problems.push_back(
            {"server_role", "warning", report.since,
             name + " is a replica of " + topology.describe(id) + " here, and says it is a master.",
             "POST .../servers/" + name + "/replicate makes it follow the master.", objects});
      } else if (!server.is_master && !report.facts.link_up) {
        problems.push_back({"replication", "warning", report.since,
                            name + " has lost the connection to its master.",
                            "Look at its log; its masterauth may be wrong.", objects});
      }
    }
  }
}

std::vector<Problem> find_problems(const ClusterParts& parts, const ClusterState& state) {
  std::vector<Problem> problems;
  find_problems_of_servers(parts, state.topology, problems);
  size_t unassigned = 0;
  for (const ClusterSlot& slot : state.topology.slots) {
    unassigned += slot.state == SlotState::kUnassigned ? 1 : 0;
  }
  if (unassigned > 0) {
    problems.push_back({"slots_assigned",
                        state.topology.groups.empty() ? "warning" : "critical",
                        0,
                        std::to_string(unassigned) + " slots belong to no group: requests for "
                                                     "their keys are refused.",
                        "PUT /api/v1/slots/assignment gives them to a group.",
                        {"slots"}});
  }
  for (const auto& [id, migration] : state.migrations) {
    if (migration->ended()) continue;
    for (const std::string& problem : parts.controller.live(id).problems) {
      problems.push_back({"migration",
                          "warning",
                          0,
                          problem,
                          "It is tried again by itself; POST .../retry does so at once.",
                          {"migrations/" + std::to_string(id)}});
    }
  }
  for (const Publisher::Progress& proxy : parts.controller.publisher().progress()) {
    if (proxy.problem.empty()) continue;
    problems.push_back(
        {"proxy_table",
         "critical",
         0,
         "Proxy " + proxy.name + " does not work by the newest table: " + proxy.problem,
         "The table is pushed again by itself.",
         {"proxies/" + proxy.name}});
  }
  return problems;
}

ApiResult get_cluster(const ClusterParts& parts) {
  const auto state = parts.controller.state();
  Json slots = Json::object();
  for (const SlotState each :
       {SlotState::kUnassigned, SlotState::kNormal, SlotState::kLocked, SlotState::kMigrating}) {
    slots[std::string(slot_state_name(each))] = 0;
  }
  for (const ClusterSlot& slot : state->topology.slots) {
    Json& count = slots[std::string(slot_state_name(slot.state))];
    count = count.get<int>() + 1;
  }
  uint64_t keys = 0;
  uint64_t memory = 0;
  uint64_t ops = 0;
  for (const auto& [id, group] : state->topology.groups) {
    const ServerFacts facts = parts.watch.find(group.master()).facts;
    keys += facts.keys;
    memory += facts.memory_bytes;
    ops += facts.ops_per_second;
  }
  Json active = Json::array();
  for (const auto& [id, migration] : state->migrations) {
    if (!migration->ended())
      active.push_back(migration_json(*migration, parts.controller.live(id)));
  }
  Json proxies = Json::array();
  for (const Publisher::Progress& proxy : parts.controller.publisher().progress()) {
    proxies.push_back({{"name", proxy.name}, {"topology_version", proxy.epoch}});
  }
  ApiReply reply;
  reply.headers = etag(state->topology.version);
  reply.body = {{"name", parts.cluster_name},
                {"topology_version", state->topology.version},
                {"slots", std::move(slots)},
                {"groups", state->topology.groups.size()},
                {"proxies", std::move(proxies)},
                {"keys", keys},
                {"memory_bytes", memory},
                {"ops_per_second", ops},
                {"active_migrations", std::move(active)},
                {"problems", find_problems(parts, *state).size()}};
  return reply;
}

ApiResult get_health(const ClusterParts& parts) {
  Json checks = Json::array();
  for (const Problem& problem : find_problems(parts, *parts.controller.state())) {
    checks.push_back({{"check", problem.check},
                      {"status", "failing"},
                      {"severity", problem.severity},
                      {"since", time_json(problem.since)},
                      {"detail", problem.detail},
                      {"hint", problem.hint},
                      {"objects", problem.objects}});
  }
  ApiReply reply;
  reply.body = {{"healthy", checks.empty()}, {"checks", std::move(checks)}};
  return reply;
}

}  // namespace

ApiProblem problem_of(const Refusal& refusal, uint64_t current_version) {
  ApiProblem problem;
  problem.code = refusal.code;
  problem.detail = sentence(refusal.message);
  switch (refusal.kind) {
    case Refusal::Kind::kNotFound:
      // What the path names is not there; a field that names nothing is a bad field.
      problem.status = refusal.pointer.empty() ? 404 : 422;
      break;
    case Refusal::Kind::kConflict:
      problem.status = 409;
      break;
    case Refusal::Kind::kImpossible:
      problem.status = 422;
      break;
    case Refusal::Kind::kStale:
      problem.status = 412;
      problem.current_version = current_version;
      break;
    case Refusal::Kind::kStore:
      problem.status = 503;
      problem.retry_after_seconds = 5;
      break;
  }
  if (!refusal.pointer.empty()) {
    problem.errors.push_back({refusal.pointer, refusal.code, problem.detail});
  }
  return problem;
}

NamedValues etag(uint64_t version) {
  return {{"ETag", "\"t" + std::to_string(version) + "\""}};
}

std::variant<Change, ApiProblem> make_change(Controller& controller, const ApiRequest& request,
                                             const Controller::Decision& decision,
                                             std::optional<StopPoint> persisted) {
  Change change;
  change.dry_run = request.dry_run;
  Controller::Terms terms;
  terms.expected_version = request.topology_version;
  terms.dry_run = request.dry_run;
  terms.persisted = persisted;
  auto outcome = controller.decide(
      [&](const ClusterState& state) {
        change.before = std::make_shared<const ClusterState>(state);
        return decision(state);
      },
      terms);
  if (!outcome) {
    return problem_of(outcome.refusal(), controller.state()->topology.version);
  }
  change.after = *outcome;
  change.in_force =
      !change.dry_run &&
      controller.publisher().wait(change.after->topology.version, kInForceTimeout).empty();
  return change;
}

ApiReply reply_to_change(const Change& change, int status, nlohmann::json object) {
  ApiReply reply;
  const uint64_t version = change.after->topology.version;
  if (change.dry_run) {
    reply.body = {{"dry_run", true},
                  {"difference", difference_json(change.before->topology, change.after->topology)},
                  {"result", std::move(object)}};
    return reply;
  }
  reply.status = status;
  reply.headers = etag(version);
  reply.body = object.is_null() ? Json::object() : std::move(object);
  reply.body["topology_version"] = version;
  reply.body["in_force"] = change.in_force;
  return reply;
}

nlohmann::json page_json(const char* name, std::vector<std::pair<uint64_t, nlohmann::json>> items,
                         size_t limit, uint64_t cursor) {
  Json list = Json::array();
  Json next;
  uint64_t last = 0;
  for (auto& [id, item] : items) {
    if (id <= cursor) continue;
    if (list.size() == limit) {
      next = std::to_string(last);
      break;
    }
    list.push_back(std::move(item));
    last = id;
  }
  return {{name, std::move(list)}, {"next_cursor", std::move(next)}};
}

std::vector<ApiRoute> cluster_routes(const ClusterParts& parts) {
  return {
      {.method = "GET",
       .path = "/cluster",
       .operation_id = "getCluster",
       .handler = [parts](const ApiRequest&) { return get_cluster(parts); }},
      {.method = "GET",
       .path = "/cluster/health",
       .operation_id = "getClusterHealth",
       .handler = [parts](const ApiRequest&) { return get_health(parts); }},
  };
}

std::vector<ApiRoute> all_cluster_routes(const ClusterParts& parts) {
  std::vector<ApiRoute> all;
  for (const auto& routes : {cluster_routes, groups_routes, slots_routes, plans_routes,
                             migrations_routes, topology_routes}) {
    auto some = routes(parts);
    all.insert(all.end(), std::make_move_iterator(some.begin()),
               std::make_move_iterator(some.end()));
  }
  return all;
}

}  // namespace pikaproxy
