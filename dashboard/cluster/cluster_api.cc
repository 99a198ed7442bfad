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

// Who decides about the cluster: this process is the only one that does.
constexpr char kLeader[] = "local";
// How long an answer waits for proxies to have a change in force.
constexpr std::chrono::milliseconds kInForceTimeout{1'000};

// With a capital and a full stop; refusals are parts of sentences in logs, too.
std::string sentence(std::string text) {
  if (text.empty()) return text;
  // The name of a field, or an address, is written as it is.
  const std::string_view first(text.data(), std::min(text.find(' '), text.size()));
  if (first.find_first_of("_.:") == std::string_view::npos) {
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  }
  if (text.back() != '.') text += '.';
  return text;
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
  for (const auto& [id, group] : state->topology.groups) {
    const auto status = parts.board.find(group.master());
    if (!status || !status->is_known()) continue;
    keys += status->facts.keys;
    memory += status->facts.memory_bytes;
  }
  const ProxyRates rates = parts.stats.rates();
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
                {"leader", kLeader},
                {"slots", std::move(slots)},
                {"groups", state->topology.groups.size()},
                {"proxies", std::move(proxies)},
                {"clients", rates.clients},
                {"keys", keys},
                {"memory_bytes", memory},
                {"ops_per_second", rates.ops_per_second},
                {"p50_us", rates.p50_us},
                {"p99_us", rates.p99_us},
                {"active_migrations", std::move(active)},
                {"problems", parts.monitor.problems_json().size()}};
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
