// WAIT: until so many replicas have what the client has written.
//
//   all earlier requests answered
//     -> INFO replication of each group written to: the place to be got to, who has got there
//     -> enough?  answer
//     -> otherwise ask the masters to ask their replicas (see below), and look again, after pauses
//        that grow, until there are enough or the time is up
//
// The client's later requests are held meanwhile, as with any command that blocks. Its connections
// to servers are not: looking takes no longer than any INFO.

#include <algorithm>

#include "common/ascii.h"
#include "common/resp.h"
#include "proxy/backend/replica_wait.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kInfo = "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
// Replicas tell their place once a second by themselves, and at once when the master asks, which it
// does for a WAIT that it cannot answer at once. So it gets one that nothing can satisfy, on a
// connection of its own since it stops that one, and only for a millisecond or until the server's
// next look at the clock. On that connection nothing was written, so the number it answers means
// nothing.
constexpr std::string_view kNudge = "*3\r\n$4\r\nWAIT\r\n$10\r\n2147483647\r\n$1\r\n1\r\n";

constexpr Ticks kFirstPause = 1'000;
constexpr Ticks kLongestPause = 50'000;
constexpr Ticks kNudgeEvery = 200'000;

// What all servers of a WAITAOF have got to.
std::pair<int64_t, int64_t> fewest_on_disk(const Client::ReplicaWait& wait) {
  std::pair<int64_t, int64_t> fewest{INT64_MAX, INT64_MAX};
  for (const auto& disk : wait.disks) {
    fewest.first = std::min(fewest.first, disk.local);
    fewest.second = std::min(fewest.second, disk.copies);
  }
  return fewest;
}

}  // namespace

std::vector<GroupIndex> Dispatcher::groups_written_by(const Client& client) const {
  const Topology& topology = worker_.topology();
  std::vector<GroupIndex> groups;
  for (const GroupIndex group : topology.serving_groups) {
    if (!client.has_written() || client.may_have_written(group, topology.epoch)) {
      groups.push_back(group);
    }
  }
  if (groups.empty()) groups = topology.serving_groups;  // Those written to serve nothing any more.
  return groups;
}

std::shared_ptr<Client::ReplicaWait> Dispatcher::begin_replica_wait(
    Request& request, const std::vector<GroupIndex>& groups, int64_t timeout_ms) {
  Client& client = request.client;
  request.holds_client = true;
  Task* task = task_of(request);
  const auto wait = std::make_shared<Client::ReplicaWait>(
      client, task, ReplicaCount(groups, client.has_written()));
  client.replica_wait = wait;
  worker_.stats().blocked_clients.add();
  for (const GroupIndex group : groups) wait->servers.push_back(worker_.topology().groups[group]);
  if (timeout_ms > 0) {
    worker_.loop().add_timer(timeout_ms * 1000, [this, weak = std::weak_ptr(wait)] {
      if (const auto waiting = weak.lock()) end_replica_wait(*waiting);
    });
  }
  return wait;
}

void Dispatcher::wait_for_replicas(Request& request) {
  int64_t wanted = 0;
  int64_t timeout_ms = 0;
  if (!parse_integer(request.args[1], wanted)) {
    refuse(request, "ERR value is not an integer or out of range");
    return;
  }
  if (!parse_integer(request.args[2], timeout_ms) || timeout_ms > INT64_MAX / 2000) {
    refuse(request, "ERR timeout is not an integer or out of range");
    return;
  }
  if (timeout_ms < 0) {
    refuse(request, "ERR timeout is negative");
    return;
  }
  const std::vector<GroupIndex> groups = groups_written_by(request.client);
  if (groups.empty()) {
    refuse(request, kNoSlotServed);
    return;
  }
  const auto wait = begin_replica_wait(request, groups, timeout_ms);
  wait->wanted = wanted;
  wait->pause = kFirstPause;
  ask_masters(wait);
}

void Dispatcher::ask_masters(const std::shared_ptr<Client::ReplicaWait>& wait) {
  wait->outstanding = wait->servers.size();
  for (size_t number = 0; number < wait->servers.size(); ++number) {
    const GroupIndex group = worker_.backends().index_of(wait->servers[number]);
    const auto note = [this, weak = std::weak_ptr(wait), number](std::string_view reply) {
      if (const auto waiting = weak.lock()) master_answered(waiting, number, reply);
    };
    if (group == kNoGroup) {
      note("-ERR group " + wait->servers[number].name +
           " has got another server; whether that one has the writes is not known\r\n");
    } else {
      ask(worker_.backends().main(group), kInfo, note);
    }
  }
}

void Dispatcher::master_answered(const std::shared_ptr<Client::ReplicaWait>& wait, size_t number,
                                 std::string_view reply) {
  const std::optional<ReplicationReport> report = parse_replication(reply);
  const GroupConfig& group = wait->servers[number];
  if (report && report->is_master) {
    wait->count.note(number, *report);
  } else if (report) {
    wait->error = "ERR server " + group.server.to_string() + " of group " + group.name +
                  " is a replica itself, so WAIT has no meaning there";
  } else if (reply.starts_with('-')) {
    wait->error = reply.substr(1, reply.find('\r') - 1);
  } else {
    wait->error = "ERR server " + group.server.to_string() + " of group " + group.name +
                  " does not tell how far its replicas are";
  }
  if (--wait->outstanding > 0) return;
  if (!wait->error.empty()) {
    end_replica_wait(*wait, resp::error(wait->error));
    return;
  }
  if (static_cast<int64_t>(wait->count.acknowledged()) >= wait->wanted) {
    end_replica_wait(*wait);
    return;
  }
  if (worker_.loop().now() >= wait->nudge_at) {
    wait->nudge_at = worker_.loop().now() + kNudgeEvery;
    for (const GroupConfig& server : wait->servers) nudge(server);
  }
  worker_.loop().add_timer(wait->pause, [this, weak = std::weak_ptr(wait)] {
    const auto waiting = weak.lock();
    if (waiting != nullptr && waiting->client.replica_wait == waiting) ask_masters(waiting);
  });
  wait->pause = std::min(2 * wait->pause, kLongestPause);
}

void Dispatcher::nudge(const GroupConfig& server) {
  const GroupIndex group = worker_.backends().index_of(server);
  // Without one it takes the second until the replicas tell by themselves. Servers that do not know
  // CLIENT ID do not know WAIT either (Pika), or are older than Redis 5.
  if (group == kNoGroup || worker_.backends().main(group).lacks_client_id()) return;
  Backend* backend = worker_.backends().lend(group, 0, nullptr);
  if (backend == nullptr) return;
  ask(*backend, kNudge, [this, backend](std::string_view) { return_or_give_up(backend); });
}

void Dispatcher::end_replica_wait(Client::ReplicaWait& wait, std::string_view reply) {
  if (wait.client.replica_wait.get() != &wait) return;
  // It may end with this.
  const std::shared_ptr<Client::ReplicaWait> last = std::move(wait.client.replica_wait);
  worker_.stats().blocked_clients.subtract();
  std::string count;
  if (wait.disks.empty()) {
    count = resp::integer(static_cast<int64_t>(wait.count.acknowledged()));
  } else {
    const auto [local, copies] = fewest_on_disk(wait);
    resp::append_array(count, 2);
    resp::append_integer(count, local);
    resp::append_integer(count, copies);
  }
  wait.task->is_error = reply.starts_with('-');
  worker_.complete(wait.task, reply.empty() ? std::string_view(count) : reply);
}

}  // namespace pikaproxy
