#include "dashboard/health/health_api.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/slot_ranges.h"
#include "common/version.h"
#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/json_text.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/api/time_text.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/cluster/codis_import.h"
#include "dashboard/cluster/migration_runner.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

constexpr char kLocalProxy[] = "local";
constexpr std::chrono::milliseconds kResyncTimeout(1'000);
constexpr int64_t kExcludedShownMs = 24 * 3'600'000;

ApiReply json_reply(Json body) {
  ApiReply reply;
  reply.body = std::move(body);
  return reply;
}

std::optional<uint32_t> group_of(const ApiRequest& request) {
  const auto id = path_integer(request, "gid", 1, ClusterGroup::kIdMax);
  if (!id) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

// A server's address in the body.
Address read_address(BodyReader& body, const char* name) {
  const std::string text = body.text(name, {.min = 1});
  auto address = parse_address(text);
  if (!address && !text.empty()) body.fail(name, "invalid", address.error());
  return address ? *address : Address();
}

// ---- Promotions ----

ApiResult promote(const HealthParts& parts, const ApiRequest& request) {
  const auto group = group_of(request);
  BodyReader body(request.body);
  PromotionRequest wanted;
  wanted.group = group.value_or(0);
  wanted.server = read_address(body, "server");
  wanted.expected_master = read_address(body, "expected_master");
  wanted.force = body.choice("mode", {"graceful", "force"}) == "force";
  wanted.pause_migrations = body.optional_boolean("pause_migrations").value_or(false);
  wanted.created_by = request.caller.name;
  if (auto problem = body.finish()) return *problem;
  if (!group) return not_found("group " + request.path.at("gid"));
  Controller::Terms terms;
  terms.dry_run = request.dry_run;
  const auto id = parts.promoter.start(wanted, terms);
  const auto state = parts.controller.state();
  if (!id) return problem_of(id.refusal(), state->topology.version);
  ApiReply reply;
  if (request.dry_run) {
    const StateOutcome next = create_promotion(*state, wanted, parts.controller.now());
    if (!next) return problem_of(next.refusal(), state->topology.version);
    reply.body = promotion_json(*next->promotions.at(state->next_promotion_id), "");
    reply.body["id"] = nullptr;
    return reply;
  }
  const std::string path =
      "groups/" + std::to_string(*group) + "/promotions/" + std::to_string(*id);
  reply.status = 202;
  reply.headers = {{"Location", "/api/v1/" + path}};
  reply.object = path;
  reply.body = promotion_json(*state->promotions.at(*id), parts.promoter.problem(*id));
  return reply;
}

ApiResult list_promotions(const HealthParts& parts, const ApiRequest& request) {
  const auto group = group_of(request);
  const auto state = parts.controller.state();
  if (!group || state->topology.group(*group) == nullptr) {
    return not_found("group " + request.path.at("gid"));
  }
  Json list = Json::array();
  for (auto it = state->promotions.rbegin(); it != state->promotions.rend(); ++it) {
    if (it->second->group != *group) continue;
    list.push_back(promotion_json(*it->second, parts.promoter.problem(it->first)));
  }
  return json_reply({{"promotions", std::move(list)}});
}

ApiResult get_promotion(const HealthParts& parts, const ApiRequest& request) {
  const auto group = group_of(request);
  const auto id = path_integer(request, "id", 1, INT64_MAX);
  const auto state = parts.controller.state();
  const auto found = state->promotions.find(id ? static_cast<uint64_t>(*id) : 0);
  if (!group || found == state->promotions.end() || found->second->group != *group) {
    return not_found("promotion " + request.path.at("id") + " of group " + request.path.at("gid"));
  }
  return json_reply(promotion_json(*found->second, parts.promoter.problem(found->first)));
}

ApiResult replicate_server(const HealthParts& parts, const ApiRequest& request) {
  const auto group = group_of(request);
  const auto address = parse_address(request.path.at("addr"));
  if (!group || !address) {
    return not_found("server " + request.path.at("addr") + " of group " + request.path.at("gid"));
  }
  const auto done = parts.promoter.replicate(*group, *address, request.dry_run);
  if (!done) return problem_of(done.refusal(), parts.controller.state()->topology.version);
  ApiReply reply;
  reply.object = "groups/" + std::to_string(*group) + "/servers/" + address->to_string();
  reply.body = {{"addr", address->to_string()},
                {"role", done->is_master ? "master" : "replica"},
                {"master", done->is_master ? Json() : Json(done->master_addr)},
                {"link_up", done->is_master ? Json() : Json(done->link_up)}};
  return reply;
}

// ---- Proxies ----

Json proxy_json(const HealthParts& parts) {
  const ProxySnapshot snapshot = parts.proxy.snapshot();
  const ProxyRates rates = parts.stats.rates();
  uint64_t version = 0;
  std::string problem;
  for (const Publisher::Progress& proxy : parts.controller.publisher().progress()) {
    if (proxy.name != kLocalProxy) continue;
    version = proxy.epoch;
    problem = proxy.problem;
  }
  const bool is_behind = version < parts.controller.state()->topology.version;
  const int64_t uptime_ms = parts.controller.now() - snapshot.started_unix_ms;
  return {{"id", kLocalProxy},
          {"name", kLocalProxy},
          {"addr", snapshot.listen},
          {"admin_url", nullptr},
          {"state", is_behind ? "behind" : "ready"},
          {"problem", problem.empty() ? Json() : Json(problem)},
          {"topology_version", version},
          {"lease_left_seconds", nullptr},
          {"clients", snapshot.clients},
          {"ops_per_second", rates.ops_per_second},
          {"errors_per_second", rates.errors_per_second},
          {"p50_us", rates.p50_us},
          {"p99_us", rates.p99_us},
          {"memory_bytes", snapshot.memory_bytes},
          {"version", kVersion},
          {"uptime_seconds", std::max<int64_t>(uptime_ms, 0) / 1000}};
}

std::optional<ApiProblem> unknown_proxy(const ApiRequest& request) {
  const std::string& id = request.path.at("id");
  if (id == kLocalProxy) return std::nullopt;
  return not_found("proxy " + id);
}

ApiResult get_proxy(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  return json_reply(proxy_json(parts));
}

ApiResult resync_proxy(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  const Publisher& publisher = parts.controller.publisher();
  if (!request.dry_run) {
    publisher.repeat();
    publisher.wait(parts.controller.state()->topology.version, kResyncTimeout);
  }
  ApiReply reply = json_reply(proxy_json(parts));
  reply.object = std::string("proxies/") + kLocalProxy;
  return reply;
}

ApiResult list_clients(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  QueryReader query(request);
  const size_t limit = query.limit();
  const auto after = query.integer("cursor", 0, INT64_MAX);
  if (auto problem = query.finish()) return *problem;
  const auto clients = parts.proxy.clients();
  if (!clients) return unavailable("proxy_busy", clients.error(), 1);
  Json list = Json::array();
  Json next;
  for (const ProxyClient& client : *clients) {
    if (client.id <= static_cast<uint64_t>(after.value_or(0))) continue;
    if (list.size() == limit) {
      next = std::to_string(list.back()["id"].get<uint64_t>());
      break;
    }
    list.push_back({{"id", client.id},
                    {"addr", client.addr},
                    {"name", client.name},
                    {"user", client.user},
                    {"library", client.library},
                    {"last_command", client.last_command},
                    {"db", client.db},
                    {"age_seconds", client.age_seconds},
                    {"idle_seconds", client.idle_seconds},
                    {"queued_requests", client.queued_requests},
                    {"output_bytes", client.output_bytes}});
  }
  return json_reply({{"clients", std::move(list)}, {"next_cursor", std::move(next)}});
}

ApiResult kill_client(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  const auto id = path_integer(request, "cid", 1, INT64_MAX);
  if (!id) return not_found("client " + request.path.at("cid"));
  ApiReply reply;
  reply.status = 204;
  reply.object = std::string("proxies/") + kLocalProxy + "/clients/" + std::to_string(*id);
  if (request.dry_run) {
    const auto clients = parts.proxy.clients();
    if (!clients) return unavailable("proxy_busy", clients.error(), 1);
    const bool is_there = std::any_of(
        clients->begin(), clients->end(),
        [&](const ProxyClient& client) { return client.id == static_cast<uint64_t>(*id); });
    if (!is_there) return not_found("client " + std::to_string(*id));
    return reply;
  }
  const auto killed = parts.proxy.kill_client(static_cast<uint64_t>(*id));
  if (!killed) return unavailable("proxy_busy", killed.error(), 1);
  if (!*killed) return not_found("client " + std::to_string(*id));
  return reply;
}

ApiResult get_slowlog(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  QueryReader query(request);
  const size_t limit = query.limit();
  if (auto problem = query.finish()) return *problem;
  Json list = Json::array();
  for (const ProxySlowRequest& entry : parts.proxy.slow_requests()) {
    if (list.size() == limit) break;
    list.push_back({{"id", entry.id},
                    {"at", time_text(entry.unix_time * 1000)},
                    {"total_us", entry.total_us},
                    {"server_us", entry.server_us},
                    {"args", entry.args},
                    {"client", entry.client},
                    {"client_name", entry.client_name},
                    {"server", entry.server.empty() ? Json() : Json(entry.server)}});
  }
  return json_reply({{"slowlog", std::move(list)}});
}

ApiResult get_commands(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  Json list = Json::array();
  for (const auto& command : parts.proxy.snapshot().commands) {
    list.push_back({{"name", command.name},
                    {"calls", command.calls},
                    {"errors", command.errors},
                    {"total_us", command.total_us}});
  }
  return json_reply({{"commands", std::move(list)}});
}

ApiResult get_hot_keys(const HealthParts& parts, const ApiRequest& request) {
  if (auto problem = unknown_proxy(request)) return *problem;
  QueryReader query(request);
  const size_t limit = query.limit();
  if (auto problem = query.finish()) return *problem;
  const auto keys = parts.proxy.hot_keys();
  if (!keys) return unavailable("proxy_busy", keys.error(), 1);
  const auto state = parts.controller.state();
  Json list = Json::array();
  for (const ProxyHotKey& hot : *keys) {
    if (list.size() == limit) break;
    const ClusterSlot& slot = state->topology.slots[hot.slot];
    Json json = {{"key_bytes", hot.key_bytes},
                 {"slot", hot.slot},
                 {"group", slot.state == SlotState::kUnassigned ? Json() : Json(slot.group)},
                 {"ops_per_second", std::llround(hot.ops_per_second)}};
    const bool is_text = is_utf8(hot.key);
    json["key"] = is_text ? Json(hot.key) : Json();
    json["key_base64"] = is_text ? Json() : Json(base64(hot.key));
    list.push_back(std::move(json));
  }
  return json_reply({{"hotkeys", std::move(list)}});
}

// ---- Series ----

ApiResult get_series(const HealthParts& parts, const ApiRequest& request) {
  QueryReader query(request);
  const auto name = query.text("metric");
  const auto from = query.time_ms("from");
  const auto step = query.choice("step", {"1", "30"});
  const auto found =
      std::find(kStatMetricNames.begin(), kStatMetricNames.end(), name.value_or(std::string()));
  if (found == kStatMetricNames.end()) {
    query.fail("metric",
               "Must be one of ops_per_second, errors_per_second, p50_us, p99_us, "
               "clients, memory_bytes, keys.");
  }
  if (auto problem = query.finish()) return *problem;
  const bool coarse = step == "30";
  const int64_t hour = 3'600'000;
  const StatSeries::Points points =
      parts.stats.read(static_cast<StatMetric>(found - kStatMetricNames.begin()),
                       from.value_or(parts.controller.now() - hour * (coarse ? 24 : 1)), coarse);
  Json values = Json::array();
  for (const auto& value : points.values) values.push_back(value ? Json(*value) : Json());
  return json_reply({{"metric", *name},
                     {"from", time_text(points.from)},
                     {"step_seconds", points.step / 1000},
                     {"values", std::move(values)}});
}

// ---- codis ----

ApiResult import_codis(const HealthParts& parts, const ApiRequest& request) {
  Json document = request.body;
  std::string username, password;
  for (auto [name, target] : {std::pair{"username", &username}, std::pair{"password", &password}}) {
    const auto found = document.find(name);
    if (found == document.end()) continue;
    if (!found->is_string()) {
      return ApiProblem{.status = 400,
                        .code = "invalid_body",
                        .detail = std::string(name) + " must be a string.",
                        .errors = {{std::string("/") + name, "invalid", "Must be a string."}}};
    }
    *target = found->get<std::string>();
    document.erase(found);
  }
  const auto read = read_codis_dump(document, username, password);
  if (!read) return problem_of(read.refusal(), parts.controller.state()->topology.version);
  Controller::Terms terms;
  terms.expected_version = request.topology_version;
  terms.dry_run = request.dry_run;
  const auto before = parts.controller.state();
  const auto after = parts.controller.decide(
      [&](const ClusterState& state) {
        return change_topology(state, [&](const ClusterTopology& topology) {
          return import_topology(topology, read->topology);
        });
      },
      terms);
  if (!after) return problem_of(after.refusal(), parts.controller.state()->topology.version);
  const ClusterTopology& topology = (*after)->topology;
  ApiReply reply;
  reply.headers = {{"ETag", "\"t" + std::to_string(topology.version) + "\""}};
  reply.object = "topology";
  Json groups = Json::array();
  for (const auto& [id, group] : topology.groups) {
    if (before->topology.group(id) != nullptr) continue;
    std::vector<SlotRange> ranges;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      if (topology.slots[slot].group != id) continue;
      ranges.push_back({static_cast<SlotId>(slot), static_cast<SlotId>(slot)});
    }
    Json servers = Json::array();
    for (const ClusterServer& server : group.servers) {
      servers.push_back({{"addr", server.address.to_string()},
                         {"role", server.is_master ? "master" : "replica"}});
    }
    groups.push_back({{"id", id},
                      {"name", group.name},
                      {"servers", std::move(servers)},
                      {"slots", format_slot_ranges(merge_slot_ranges(std::move(ranges)))}});
  }
  reply.body = {{"topology_version", topology.version},
                {"changed", topology != before->topology},
                {"groups_added", std::move(groups)},
                {"warnings", read->warnings}};
  reply.after = reply.body;
  return reply;
}

}  // namespace

HealthInputs look_at_cluster(const Controller& controller, const ServerStatusBoard& board,
                             std::string store_problem) {
  const auto state = controller.state();
  HealthInputs inputs;
  inputs.now = controller.now();
  inputs.topology = state->topology;
  inputs.servers = board.all();
  inputs.store_problem = std::move(store_problem);
  for (const Publisher::Progress& proxy : controller.publisher().progress()) {
    inputs.proxies.push_back({proxy.name, proxy.epoch, proxy.problem});
  }
  for (const auto& [id, migration] : state->migrations) {
    if (migration->ended()) continue;
    for (const std::string& text : controller.live(id).problems) {
      inputs.migration_problems.push_back({id, text});
    }
  }
  for (const auto& [id, promotion] : state->promotions) {
    if (inputs.now - promotion->created_at > kExcludedShownMs) continue;
    for (const Promotion::Excluded& each : promotion->excluded) {
      if (state->topology.group_of(each.server) != nullptr) continue;
      inputs.excluded.push_back({each.server, promotion->group, id, each.reason});
    }
  }
  return inputs;
}

std::vector<ServerAccess> servers_to_probe(const Controller& controller) {
  const auto state = controller.state();
  std::vector<ServerAccess> servers;
  for (const auto& [id, group] : state->topology.groups) {
    for (const ClusterServer& server : group.servers) {
      servers.push_back({server.address, group.username, group.password});
    }
  }
  for (const auto& [id, promotion] : state->promotions) {
    const ClusterGroup* group = state->topology.group(promotion->group);
    if (group == nullptr || controller.now() - promotion->created_at > kExcludedShownMs) continue;
    for (const Promotion::Excluded& each : promotion->excluded) {
      if (state->topology.group_of(each.server) != nullptr) continue;
      servers.push_back({each.server, group->username, group->password});
    }
  }
  return servers;
}

std::vector<ApiRoute> health_routes(const HealthParts& parts) {
  using Handler = ApiResult (*)(const HealthParts&, const ApiRequest&);
  const auto bind = [parts](Handler handler) {
    return [parts, handler](const ApiRequest& request) { return handler(parts, request); };
  };
  const Handler get_health = [](const HealthParts& all, const ApiRequest&) -> ApiResult {
    return json_reply(all.monitor.to_json());
  };
  const Handler list_proxies = [](const HealthParts& all, const ApiRequest&) -> ApiResult {
    return json_reply({{"proxies", Json::array({proxy_json(all)})}, {"next_cursor", nullptr}});
  };
  return {
      {.method = "GET",
       .path = "/cluster/health",
       .operation_id = "getHealth",
       .handler = bind(get_health)},
      {.method = "POST",
       .path = "/groups/{gid}/promote",
       .operation_id = "promoteServer",
       .role = Role::kOperator,
       .creates_work = true,
       .handler = bind(promote)},
      {.method = "GET",
       .path = "/groups/{gid}/promotions",
       .operation_id = "listPromotions",
       .handler = bind(list_promotions)},
      {.method = "GET",
       .path = "/groups/{gid}/promotions/{id}",
       .operation_id = "getPromotion",
       .handler = bind(get_promotion)},
      {.method = "POST",
       .path = "/groups/{gid}/servers/{addr}/replicate",
       .operation_id = "replicateServer",
       .role = Role::kOperator,
       .handler = bind(replicate_server),
       .takes_body = false},
      {.method = "GET",
       .path = "/proxies",
       .operation_id = "listProxies",
       .handler = bind(list_proxies)},
      {.method = "GET",
       .path = "/proxies/{id}",
       .operation_id = "getProxy",
       .handler = bind(get_proxy)},
      {.method = "GET",
       .path = "/proxies/{id}/clients",
       .operation_id = "listClients",
       .query = {"limit", "cursor"},
       .handler = bind(list_clients)},
      {.method = "DELETE",
       .path = "/proxies/{id}/clients/{cid}",
       .operation_id = "killClient",
       .role = Role::kOperator,
       .handler = bind(kill_client),
       .takes_body = false},
      {.method = "POST",
       .path = "/proxies/{id}/resync",
       .operation_id = "resyncProxy",
       .role = Role::kOperator,
       .handler = bind(resync_proxy),
       .takes_body = false},
      {.method = "GET",
       .path = "/proxies/{id}/slowlog",
       .operation_id = "getSlowlog",
       .query = {"limit"},
       .handler = bind(get_slowlog)},
      {.method = "GET",
       .path = "/proxies/{id}/commands",
       .operation_id = "getCommands",
       .handler = bind(get_commands)},
      {.method = "GET",
       .path = "/proxies/{id}/hotkeys",
       .operation_id = "getHotKeys",
       .query = {"limit"},
       .handler = bind(get_hot_keys)},
      {.method = "GET",
       .path = "/stats/series",
       .operation_id = "getSeries",
       .query = {"metric", "from", "step"},
       .handler = bind(get_series)},
      {.method = "POST",
       .path = "/topology/import-codis",
       .operation_id = "importCodis",
       .role = Role::kAdmin,
       .needs_version = true,
       .handler = bind(import_codis)},
  };
}

}  // namespace pikaproxy
