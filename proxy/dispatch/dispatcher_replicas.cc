// Reads that go to replicas: for clients that want it, while their slot is open and a replica is
// known to be fresh enough. What a replica cannot answer is asked of the master; the request is
// kept until then, and its reply is not passed on in pieces.

#include <algorithm>

#include "common/resp.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

// A master may do better: the replica is not there, or says that it is not ready.
bool needs_master(const Task& part) {
  if (part.failed_here) return true;
  const std::string_view reply = part.reply.view();
  return reply.starts_with("-LOADING ") || reply.starts_with("-MASTERDOWN ") ||
         reply.starts_with("-READONLY ");
}

}  // namespace

bool Dispatcher::wants_replica(const Request& request) const noexcept {
  const CommandAction action = request.command.action;
  return request.client.session.read_from != ReadFrom::kMaster && !request.from_master &&
         request.client.tracking == nullptr &&  // Replicas would have to be watched, too.
         request.held == nullptr && (request.command.flags & kFlagReadonly) != 0 &&
         (request.command.flags & kFlagMayReplicate) == 0 &&
         (action == CommandAction::kForward || action == CommandAction::kSplitMget ||
          action == CommandAction::kSplitSum);
}

Ticks Dispatcher::needed_freshness(const Request& request) const noexcept {
  Ticks not_before = worker_.config().proxy.read_own_writes ? request.client.last_write() : 0;
  const Router& router = *worker_.topology().router;
  for (const uint32_t position : positions_) {
    const uint32_t unit = router.place(request.args[position]).unit;
    not_before = std::max(not_before, worker_.replica_reads().settled(unit));
  }
  return not_before;
}

bool Dispatcher::find_replica(const Request& request, GroupIndex group, Ticks not_before,
                              Backend*& backend) {
  backend = nullptr;
  const Client& client = request.client;
  const bool only_replicas = client.session.read_from == ReadFrom::kReplica;
  ReplicaReads& reads = worker_.replica_reads();
  // What is still on its way to the master, no replica can be known to have.
  if (worker_.config().proxy.read_own_writes && client.may_be_writing()) not_before = INT64_MAX;
  const ReplicaReads::Wish wish{not_before, client.session.replica_max_lag,
                                client.session.read_from == ReadFrom::kNearest};
  const std::optional<size_t> replica = reads.choose(group, wish, client.id());
  // Whether the replica is one that must not be sent such a thing is known of masters only.
  const bool is_fit = is_careful(request);
  if (replica && is_fit) {
    backend = &worker_.backends().replica(group, *replica, request.db, client.session.lane);
    return true;
  }
  if (only_replicas) {
    error_ = is_fit ? "ERR " + reads.why_none(group, wish)
                    : "ERR keys with line ends, and several streams, are not read from replicas";
  }
  return !only_replicas;
}

bool Dispatcher::read_from_replica(Request& request, GroupIndex group) {
  Backend* backend = nullptr;
  if (!find_replica(request, group, needed_freshness(request), backend)) {
    refuse(request, error_);
    return true;
  }
  if (backend == nullptr) return false;
  Gathering& gathering = start_gathering(request, Gathering::Kind::kAllOk);
  gathering.from_replicas = true;
  gathering.request = request.raw;
  hold(gathering);
  if (add_part_to(gathering, *backend, request.raw.size())) backend->write(request.raw);
  release(gathering);
  return true;
}

void Dispatcher::replica_answered(const Task& part) {
  if (part.backend == nullptr || !needs_master(part)) return;
  worker_.replica_reads().avoid(part.backend->group().server);
}

bool Dispatcher::read_again_from_masters(Gathering& gathering) {
  Task* parent = gathering.parent;
  Client* client = parent->client;
  bool again = false;
  for (const Task* part : gathering.parts) {
    if (!needs_master(*part)) continue;
    again = true;
  }
  if (!again || client == nullptr || client->session.read_from == ReadFrom::kReplica) return false;
  const std::string bytes = std::move(gathering.request);
  const uint32_t db = gathering.db;
  for (Task* part : gathering.parts) worker_.free(part);
  recycle(gathering);
  // A parser of its own: that of the worker may be in use further up the stack.
  RequestParser parser;
  RequestProgress progress;
  parser.parse(bytes, progress, {UINT64_MAX, UINT64_MAX, true});
  Request request{*client, *parent->command, parser.args(), bytes, db};
  request.task = parent;
  request.from_master = true;
  act(request);
  return true;
}

}  // namespace pikaproxy
