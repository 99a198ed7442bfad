#include <optional>
#include <thread>
#include <utility>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/cluster/cluster_api.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/cluster/promotion_state.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;

constexpr size_t kServersMax = 16;
constexpr size_t kAddressMax = 280;
constexpr size_t kCredentialMax = 512;

Json facts_json(const ServerFacts& facts, uint64_t lag_bytes) {
  Json movers = Json::array();
  if (facts.has_migrate && facts.has_dump_restore) movers.push_back("migrate");
  if (facts.has_slots_commands) movers.push_back("slots");
  movers.push_back("copy");
  return {{"engine", facts.engine},
          {"version", facts.version},
          {"reported_role", facts.is_master ? "master" : "replica"},
          {"master_addr", facts.is_master ? Json() : Json(facts.master_addr)},
          {"link_up", facts.link_up},
          {"lag_bytes", lag_bytes},
          {"memory_bytes", facts.memory_bytes},
          {"memory_max_bytes", facts.memory_max_bytes},
          {"keys", facts.keys},
          {"ops_per_second", facts.ops_per_second},
          {"clients", facts.clients},
          {"uptime_seconds", facts.uptime_seconds},
          {"loading", facts.loading},
          {"movers", std::move(movers)}};
}

Json group_with_servers(const ClusterParts& parts, const ClusterTopology& topology,
                        const ClusterGroup& group) {
  Json json = group_json(topology, group);
  json["promotion"] = nullptr;
  const auto state = parts.controller.state();
  if (const Promotion* promotion = promotion_of(*state, group.id)) {
    json["promotion"] = {{"id", promotion->id},
                         {"server", promotion->server.to_string()},
                         {"mode", promotion->force ? "force" : "graceful"},
                         {"step", promotion_step_name(promotion->step)}};
  }
  const auto master = parts.board.find(group.master());
  for (size_t i = 0; i < group.servers.size(); ++i) {
    const auto found = parts.board.find(group.servers[i].address);
    const ServerStatus status = found.value_or(ServerStatus());
    Json& server = json["servers"][i];
    server["state"] = server_state_name(status.state);
    server["state_since"] = time_json(status.state_since);
    server["error"] = status.error.empty() ? Json() : Json(status.error);
    if (!status.is_known()) continue;
    const bool lags = master && master->is_known() && !status.facts.is_master;
    server.update(facts_json(status.facts, lags ? replication_lag(*master, status) : 0));
  }
  return json;
}

// The group that the path names.
std::variant<uint32_t, ApiProblem> group_id(const ApiRequest& request) {
  const auto id = path_integer(request, "gid", 1, ClusterGroup::kIdMax);
  if (!id) return not_found("group " + request.path.at("gid"));
  return static_cast<uint32_t>(*id);
}

std::variant<Address, ApiProblem> server_address(const ApiRequest& request) {
  const std::string& text = request.path.at("addr");
  auto address = parse_address(text);
  if (!address) return not_found("server " + text);
  return *address;
}

ApiProblem unreachable(const std::string& pointer, const std::string& detail) {
  ApiProblem problem = impossible("server_unreachable", detail);
  problem.errors.push_back({pointer, problem.code, detail});
  return problem;
}

// Asks all at the same time.
std::vector<Result<ServerFacts>> ask_all(const ClusterParts& parts,
                                         const std::vector<ServerAccess>& servers) {
  std::vector<Result<ServerFacts>> answers(servers.size(), Error{"not asked"});
  std::vector<std::thread> threads;
  for (size_t i = 0; i < servers.size(); ++i) {
    threads.emplace_back([&, i] {
      answers[i] = parts.controller.tools().ask(servers[i], parts.controller.options().ask_timeout);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

// Finds out which of the servers is the master. The rest of `spec` is there.
std::optional<ApiProblem> find_master(const ClusterParts& parts, GroupSpec& spec,
                                      const std::vector<Address>& addresses, Json& warnings) {
  std::vector<ServerAccess> servers;
  for (const Address& address : addresses) {
    servers.push_back({address, spec.username, spec.password});
  }
  const auto answers = ask_all(parts, servers);
  std::optional<size_t> master;
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::string pointer = "/servers/" + std::to_string(i);
    if (!answers[i]) return unreachable(pointer, answers[i].error());
    if (!answers[i]->is_master) continue;
    if (master) {
      ApiProblem problem = impossible(
          "two_masters", addresses[*master].to_string() + " and " + addresses[i].to_string() +
                             " are both masters, and a group has one: make one the replica of the "
                             "other first, or put them into different groups.");
      problem.errors.push_back({pointer, problem.code, problem.detail});
      return problem;
    }
    master = i;
  }
  if (!master) {
    ApiProblem problem = impossible(
        "no_master", "None of the servers is a master; " + addresses[0].to_string() +
                         " is a replica of " + answers[0]->master_addr + ": name that one, too.");
    problem.errors.push_back({"/servers", problem.code, problem.detail});
    return problem;
  }
  spec.master = addresses[*master];
  for (size_t i = 0; i < addresses.size(); ++i) {
    if (i == *master) continue;
    spec.replicas.push_back(addresses[i]);
    // A server may have several addresses, so another one is no proof.
    if (answers[i]->master_addr != spec.master.to_string()) {
      warnings.push_back(addresses[i].to_string() + " says it is a replica of " +
                         answers[i]->master_addr + ", which should be " + spec.master.to_string() +
                         ".");
    }
  }
  return std::nullopt;
}

ApiResult list_groups(const ClusterParts& parts, const ApiRequest& request) {
  QueryReader query(request);
  const size_t limit = query.limit();
  const auto cursor = query.integer("cursor", 0, ClusterGroup::kIdMax).value_or(0);
  if (auto problem = query.finish()) return *problem;
  const auto state = parts.controller.state();
  std::vector<std::pair<uint64_t, Json>> items;
  for (const auto& [id, group] : state->topology.groups) {
    items.push_back({id, group_with_servers(parts, state->topology, group)});
  }
  ApiReply reply;
  reply.headers = etag(state->topology.version);
  reply.body = page_json("groups", std::move(items), limit, static_cast<uint64_t>(cursor));
  reply.body["topology_version"] = state->topology.version;
  return reply;
}

ApiResult get_group(const ClusterParts& parts, const ApiRequest& request) {
  const auto id = group_id(request);
  if (const auto* problem = std::get_if<ApiProblem>(&id)) return *problem;
  const auto state = parts.controller.state();
  const ClusterGroup* group = state->topology.group(std::get<uint32_t>(id));
  if (group == nullptr) return not_found("group " + request.path.at("gid"));
  ApiReply reply;
  reply.headers = etag(state->topology.version);
  reply.body = group_with_servers(parts, state->topology, *group);
  reply.body["topology_version"] = state->topology.version;
  return reply;
}

// The answer to a change of a group; null where it is gone.
ApiReply reply_with_group(const ClusterParts& parts, const Change& change, int status,
                          uint32_t id) {
  const auto json = [&](const ClusterState& state) {
    const ClusterGroup* group = state.topology.group(id);
    return group == nullptr ? Json() : group_json(state.topology, *group);
  };
  const ClusterGroup* group = change.after->topology.group(id);
  ApiReply reply = reply_to_change(
      change, status,
      group == nullptr ? Json() : group_with_servers(parts, change.after->topology, *group));
  reply.object = "groups/" + std::to_string(id);
  reply.before = json(*change.before);
  reply.after = json(*change.after);
  return reply;
}

ApiResult create(const ClusterParts& parts, const ApiRequest& request) {
  BodyReader body(request.body);
  GroupSpec spec;
  if (const auto id = body.optional_integer("id", 1, ClusterGroup::kIdMax)) {
    spec.id = static_cast<uint32_t>(*id);
  }
  spec.name = body.optional_text("name", {.min = 1, .max = 64}).value_or("");
  spec.username = body.optional_text("username", {.max = kCredentialMax}).value_or("");
  spec.password = body.optional_secret("password", {.max = kCredentialMax}).value_or("");
  spec.weight = static_cast<uint32_t>(
      body.optional_integer("weight", 0, ClusterGroup::kWeightMax).value_or(1));
  std::vector<Address> addresses;
  for (const std::string& text :
       body.text_list("servers", {.min = 1, .max = kServersMax}, {.min = 1, .max = kAddressMax})) {
    const auto address = parse_address(text);
    if (address) {
      addresses.push_back(*address);
    } else {
      body.fail("servers", "invalid", address.error());
    }
  }
  if (auto problem = body.finish()) return *problem;
  const auto state = parts.controller.state();
  // What needs no server to be found out comes first.
  GroupSpec first = spec;
  first.master = addresses[0];
  first.replicas.assign(addresses.begin() + 1, addresses.end());
  if (const auto tried = create_group(state->topology, first); !tried) {
    return problem_of(tried.refusal(), state->topology.version);
  }
  Json warnings = Json::array();
  if (auto problem = find_master(parts, spec, addresses, warnings)) return *problem;
  uint32_t id = 0;
  auto made = make_change(parts.controller, request, [&](const ClusterState& now) {
    id = id_for(now.topology, spec);
    return change_topology(
        now, [&](const ClusterTopology& topology) { return create_group(topology, spec); });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  ApiReply reply = reply_with_group(parts, std::get<Change>(made), 201, id);
  if (!request.dry_run) {
    reply.headers.emplace_back("Location", "/api/v1/groups/" + std::to_string(id));
  }
  reply.body["warnings"] = std::move(warnings);
  return reply;
}

ApiResult patch(const ClusterParts& parts, const ApiRequest& request) {
  const auto id = group_id(request);
  if (const auto* problem = std::get_if<ApiProblem>(&id)) return *problem;
  const uint32_t gid = std::get<uint32_t>(id);
  BodyReader body(request.body);
  GroupPatch patch;
  patch.name = body.optional_text("name", {.min = 1, .max = 64});
  patch.username = body.optional_text("username", {.max = kCredentialMax});
  patch.password = body.optional_secret("password", {.max = kCredentialMax});
  if (const auto weight = body.optional_integer("weight", 0, ClusterGroup::kWeightMax)) {
    patch.weight = static_cast<uint32_t>(*weight);
  }
  if (auto problem = body.finish()) return *problem;
  const auto state = parts.controller.state();
  const ClusterGroup* group = state->topology.group(gid);
  if (group == nullptr) return not_found("group " + request.path.at("gid"));
  if (patch.username || patch.password) {
    const ServerAccess access = {group->master(), patch.username.value_or(group->username),
                                 patch.password.value_or(group->password)};
    const auto answer = ask_all(parts, {access});
    if (!answer[0])
      return unreachable(patch.password ? "/password" : "/username", answer[0].error());
  }
  auto made = make_change(parts.controller, request, [&](const ClusterState& now) {
    return change_topology(
        now, [&](const ClusterTopology& topology) { return patch_group(topology, gid, patch); });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  return reply_with_group(parts, std::get<Change>(made), 200, gid);
}

ApiResult remove(const ClusterParts& parts, const ApiRequest& request) {
  const auto id = group_id(request);
  if (const auto* problem = std::get_if<ApiProblem>(&id)) return *problem;
  const uint32_t gid = std::get<uint32_t>(id);
  auto made = make_change(parts.controller, request, [&](const ClusterState& now) {
    return change_topology(
        now, [&](const ClusterTopology& topology) { return delete_group(topology, gid); });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  return reply_with_group(parts, std::get<Change>(made), 200, gid);
}

// Makes a server follow its group's master, unless it does; what went wrong goes to `warnings`.
void follow_master(const ClusterParts& parts, const ClusterGroup& group, const Address& server,
                   const ServerFacts& facts, Json& warnings) {
  const Address master = group.master();
  if (!facts.is_master && facts.master_addr == master.to_string()) return;
  const auto done = parts.controller.tools().replicate(
      {server, group.username, group.password}, &master, parts.controller.options().ask_timeout);
  if (!done) warnings.push_back(done.error());
}

ApiResult join(const ClusterParts& parts, const ApiRequest& request) {
  const auto id = group_id(request);
  if (const auto* problem = std::get_if<ApiProblem>(&id)) return *problem;
  const uint32_t gid = std::get<uint32_t>(id);
  BodyReader body(request.body);
  const std::string text = body.text("addr", {.min = 1, .max = kAddressMax});
  const auto address = parse_address(text);
  if (!text.empty() && !address) body.fail("addr", "invalid", address.error());
  if (auto problem = body.finish()) return *problem;
  const auto state = parts.controller.state();
  const ClusterGroup* group = state->topology.group(gid);
  if (group == nullptr) return not_found("group " + request.path.at("gid"));
  if (const auto tried = add_server(state->topology, gid, *address); !tried) {
    return problem_of(tried.refusal(), state->topology.version);
  }
  const auto answer = ask_all(parts, {{*address, group->username, group->password}});
  if (!answer[0]) return unreachable("/addr", answer[0].error());
  const ServerFacts& facts = *answer[0];
  if (facts.is_master && facts.keys > 0) {
    ApiProblem problem = impossible(
        "server_not_empty", text + " is a master with " + std::to_string(facts.keys) +
                                " keys, which a replica would lose: empty it first, or make it a "
                                "group of its own.");
    problem.errors.push_back({"/addr", problem.code, problem.detail});
    return problem;
  }
  auto made = make_change(parts.controller, request, [&](const ClusterState& now) {
    return change_topology(
        now, [&](const ClusterTopology& topology) { return add_server(topology, gid, *address); });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  const Change& change = std::get<Change>(made);
  Json warnings = Json::array();
  if (!request.dry_run) {
    follow_master(parts, change.after->topology.groups.at(gid), *address, facts, warnings);
  }
  ApiReply reply = reply_with_group(parts, change, 201, gid);
  reply.body["warnings"] = std::move(warnings);
  return reply;
}

ApiResult leave(const ClusterParts& parts, const ApiRequest& request) {
  const auto id = group_id(request);
  if (const auto* problem = std::get_if<ApiProblem>(&id)) return *problem;
  const auto address = server_address(request);
  if (const auto* problem = std::get_if<ApiProblem>(&address)) return *problem;
  const uint32_t gid = std::get<uint32_t>(id);
  auto made = make_change(parts.controller, request, [&](const ClusterState& now) {
    return change_topology(now, [&](const ClusterTopology& topology) {
      return remove_server(topology, gid, std::get<Address>(address));
    });
  });
  if (const auto* problem = std::get_if<ApiProblem>(&made)) return *problem;
  return reply_with_group(parts, std::get<Change>(made), 200, gid);
}

}  // namespace

std::vector<ApiRoute> groups_routes(const ClusterParts& parts) {
  const auto with = [parts](ApiResult (*handler)(const ClusterParts&, const ApiRequest&)) {
    return [parts, handler](const ApiRequest& request) { return handler(parts, request); };
  };
  return {
      {.method = "GET",
       .path = "/groups",
       .operation_id = "listGroups",
       .query = {"limit", "cursor"},
       .handler = with(list_groups)},
      {.method = "POST",
       .path = "/groups",
       .operation_id = "createGroup",
       .role = Role::kOperator,
       .needs_version = true,
       .creates_work = true,
       .handler = with(create)},
      {.method = "GET",
       .path = "/groups/{gid}",
       .operation_id = "getGroup",
       .handler = with(get_group)},
      {.method = "PATCH",
       .path = "/groups/{gid}",
       .operation_id = "updateGroup",
       .role = Role::kOperator,
       .needs_version = true,
       .handler = with(patch)},
      {.method = "DELETE",
       .path = "/groups/{gid}",
       .operation_id = "deleteGroup",
       .role = Role::kOperator,
       .needs_version = true,
       .handler = with(remove),
       .takes_body = false},
      {.method = "POST",
       .path = "/groups/{gid}/servers",
       .operation_id = "addServer",
       .role = Role::kOperator,
       .needs_version = true,
       .creates_work = true,
       .handler = with(join)},
      {.method = "DELETE",
       .path = "/groups/{gid}/servers/{addr}",
       .operation_id = "removeServer",
       .role = Role::kOperator,
       .needs_version = true,
       .handler = with(leave),
       .takes_body = false},
  };
}

}  // namespace pikaproxy
