// CLIENT TRACKING: client-side caching, see tracking.h.
//
// ON asks every group's server first, over the connections that the client's requests will take: a
// client must not believe that it will be told of changes where no server would tell. Like a HELLO
// that changes the version, it waits for the client's earlier requests and holds the later ones.

#include <algorithm>

#include "common/ascii.h"
#include "common/resp3.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kNoRedirection = "ERR The client ID you want redirect to does not exist";
constexpr std::string_view kPing = "*1\r\n$4\r\nPING\r\n";

std::string overlap(std::string_view prefix, std::string_view kind, std::string_view other) {
  return "ERR Prefix '" + std::string(prefix) + "' overlaps with " + std::string(kind) +
         " prefix '" + std::string(other) + "'. Prefixes for a single client must not overlap.";
}

bool overlaps(std::string_view one, std::string_view other) {
  const size_t common = std::min(one.size(), other.size());
  return one.substr(0, common) == other.substr(0, common);
}

// Of the new prefixes with those there are and with each other; empty if there is none.
std::string find_overlap(const ClientTracking* present, const std::vector<std::string>& prefixes) {
  for (size_t i = 0; i < prefixes.size(); ++i) {
    if (present != nullptr) {
      for (const std::string& other : present->prefixes) {
        if (overlaps(prefixes[i], other)) return overlap(prefixes[i], "an existing", other);
      }
    }
    for (size_t j = i + 1; j < prefixes.size(); ++j) {
      if (overlaps(prefixes[i], prefixes[j])) {
        return overlap(prefixes[i], "another provided", prefixes[j]);
      }
    }
  }
  return {};
}

// The options behind ON or OFF. The text of an error, or nothing.
//   Source of the rules and texts: Redis 7.0, CLIENT TRACKING.
std::string parse_options(Arguments args, const ClientTracking* present, ClientTracking& wanted) {
  bool opt_in = false, opt_out = false;
  for (size_t i = 3; i < args.size(); ++i) {
    const bool has_value = i + 1 < args.size();
    if (equals_ignoring_case(args[i], "REDIRECT") && has_value) {
      int64_t id = 0;
      if (wanted.redirect != 0) return "ERR A client can only redirect to a single other client";
      if (!parse_integer(args[++i], id)) return "ERR value is not an integer or out of range";
      if (id <= 0) return std::string(kNoRedirection);
      wanted.redirect = static_cast<uint64_t>(id);
    } else if (equals_ignoring_case(args[i], "BCAST")) {
      wanted.broadcast = true;
    } else if (equals_ignoring_case(args[i], "OPTIN")) {
      opt_in = true;
    } else if (equals_ignoring_case(args[i], "OPTOUT")) {
      opt_out = true;
    } else if (equals_ignoring_case(args[i], "NOLOOP")) {
      wanted.no_loop = true;
    } else if (equals_ignoring_case(args[i], "PREFIX") && has_value) {
      wanted.prefixes.emplace_back(args[++i]);
    } else {
      return "ERR syntax error";
    }
  }
  if (!equals_ignoring_case(args[2], "ON")) return {};
  if (!wanted.broadcast && !wanted.prefixes.empty()) {
    return "ERR PREFIX option requires BCAST mode to be enabled";
  }
  if (present != nullptr && present->broadcast != wanted.broadcast) {
    return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  if (wanted.broadcast && (opt_in || opt_out)) {
    return "ERR OPTIN and OPTOUT are not compatible with BCAST";
  }
  if (opt_in && opt_out) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  if (opt_in) wanted.choice = ClientTracking::Choice::kOptIn;
  if (opt_out) wanted.choice = ClientTracking::Choice::kOptOut;
  return {};
}

// What of the options does not fit what is on already; on success they are added to it.
std::string add_to_present(const ClientTracking& present, ClientTracking& wanted) {
  using Choice = ClientTracking::Choice;
  if (present.choice != Choice::kAll && wanted.choice != Choice::kAll &&
      present.choice != wanted.choice) {
    return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and "
           "then re-enabling it with a different mode.";
  }
  std::string error = find_overlap(&present, wanted.prefixes);
  if (!error.empty()) return error;
  wanted.prefixes.insert(wanted.prefixes.end(), present.prefixes.begin(), present.prefixes.end());
  return {};
}

}  // namespace

void Dispatcher::note_reads(Request& request, Task* task) {
  const ClientTracking* tracking = request.client.tracking.get();
  if (tracking == nullptr) return;
  if (tracking->no_loop && request.client.session.lane == Lane::kTracking &&
      request.command.is_write()) {
    std::string_view error;
    std::vector<uint32_t> positions;
    if (find_keys(request.command, request.args, positions, error) && positions.size() == 1) {
      if (task->notes == nullptr) task->notes = std::make_unique<TaskNotes>();
      task->notes->written.emplace_back(request.args[positions.front()]);
    }
  }
  const bool takes = tracking->takes_next();
  end_caching(request.client);
  const Command& command = request.command;
  const bool is_block = command.name == "exec";
  const bool reads = is_block || (command.flags & kFlagReadonly) != 0 ||
                     command.command_class == CommandClass::kScript;
  if (!takes || !reads) return;
  std::vector<std::string> keys;
  if (is_block) {
    keys.assign(request.args.begin(), request.args.end());
  } else {
    std::string_view error;
    std::vector<uint32_t> positions;
    if (!find_keys(command, request.args, positions, error)) return;
    for (const uint32_t position : positions) keys.emplace_back(request.args[position]);
  }
  if (keys.empty()) return;
  if (task->notes == nullptr) task->notes = std::make_unique<TaskNotes>();
  task->notes->reads = std::move(keys);
  worker_.tracking().note_sent(request.client, *task->notes);
}

void Dispatcher::end_caching(Client& client) {
  if (client.tracking != nullptr && client.transaction == nullptr) {
    client.tracking->caching = ClientTracking::Caching::kUnset;
  }
}

void Dispatcher::tracking(Request& request) {
  Client& client = request.client;
  auto wanted = std::make_unique<ClientTracking>();
  std::string error = parse_options(request.args, client.tracking.get(), *wanted);
  const bool on = equals_ignoring_case(request.args[2], "ON");
  if (error.empty() && !on && !equals_ignoring_case(request.args[2], "OFF")) {
    error = "ERR syntax error";
  }
  if (error.empty() && on) {
    const bool had_none = wanted->prefixes.empty();
    error = client.tracking != nullptr ? add_to_present(*client.tracking, *wanted)
                                       : find_overlap(nullptr, wanted->prefixes);
    // In this order, and with this name for every key, CLIENT TRACKINGINFO shows them.
    if (wanted->broadcast && had_none) wanted->prefixes.emplace_back();
    std::sort(wanted->prefixes.begin(), wanted->prefixes.end());
    const auto last = std::unique(wanted->prefixes.begin(), wanted->prefixes.end());
    wanted->prefixes.erase(last, wanted->prefixes.end());
  }
  if (!error.empty()) {
    client.reply_error(error);
    return;
  }
  if (!on && wanted->redirect == 0) {
    if (client.tracking != nullptr) client.set_tracking(nullptr);
    client.reply(resp::kOk);
    return;
  }
  request.holds_client = true;
  Task* task = task_of(request);
  task->notes = std::make_unique<TaskNotes>();
  task->notes->tracking = std::move(wanted);
  const uint64_t redirect = task->notes->tracking->redirect;
  if (redirect == 0) {
    probe_tracking(task);
    return;
  }
  worker_.manager().find_worker(
      worker_,
      [redirect](Worker& worker) { return worker.tracking().accept_redirection(redirect); },
      [this, task, on](const Worker* found) {
        if (found == nullptr) {
          worker_.fail(task, kNoRedirection);
          return;
        }
        if (!on) {
          task->notes->tracking.reset();
          tracking_on(task);
          worker_.complete(task, resp::kOk);
          return;
        }
        task->notes->tracking->redirect_worker = found->index();
        probe_tracking(task);
      });
}

void Dispatcher::probe_tracking(Task* task) {
  const Client* client = task->client;
  const ClientTracking& wanted = *task->notes->tracking;
  const bool is_resp2 = client != nullptr && client->version() == RespVersion::k2;
  const std::vector<GroupIndex>& groups = worker_.topology().serving_groups;
  // RESP2 without REDIRECT has no way to tell of anything, as with Redis.
  if (client == nullptr || groups.empty() || (is_resp2 && wanted.redirect == 0)) {
    tracking_on(task);
    worker_.complete(task, resp::kOk);
    return;
  }
  const bool broadcast = is_resp2 || wanted.broadcast;
  const uint32_t db = is_resp2 ? 0 : client->session.db;
  Gathering& gathering = start_gathering(task, Gathering::Kind::kTracking, db,
                                         broadcast ? Lane::kBroadcast : Lane::kTracking);
  hold(gathering);
  for (const GroupIndex group : groups) send_part(gathering, group, kPing);
  release(gathering);
}

void Dispatcher::gathered_tracking(Gathering& gathering) {
  for (const Task* part : gathering.parts) {
    if (!part->is_error) continue;
    scratch_ = part->reply.view();
    finish(gathering, scratch_);
    return;
  }
  tracking_on(gathering.parent);
  finish(gathering, resp::kOk);
}

void Dispatcher::tracking_on(Task* task) {
  std::unique_ptr<ClientTracking> wanted = std::move(task->notes->tracking);
  task->notes.reset();
  if (task->client == nullptr) return;
  if (wanted != nullptr || task->client->tracking != nullptr) {
    task->client->set_tracking(std::move(wanted));
  }
}

}  // namespace pikaproxy
