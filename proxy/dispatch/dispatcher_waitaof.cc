// WAITAOF: until what the client has written is on the disk of its masters and of so many replicas.
//
// A server answers it for the connection that asks, and up to that connection's own last write. So
// each server that the client has written to is asked over a connection lent for this, on which
// something is written first: an SPUBLISH that nobody hears, since it is for one channel alone. All
// that the client wrote before has been answered, and stands before it in the replication stream.
//
//   SPUBLISH   the mark
//   WAITAOF    for a moment, and once more if something is missing, until the time is up
//
// For a moment only: a table that comes meanwhile must not wait for it to be over at the server.

#include <algorithm>

#include "common/ascii.h"
#include "common/reply_framer.h"
#include "common/resp.h"
#include "proxy/backend/replica_wait.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kMark = "*3\r\n$8\r\nSPUBLISH\r\n$17\r\npikaproxy:waitaof\r\n$0\r\n\r\n";
constexpr Ticks kRoundUs = 100'000;

std::string waitaof_request(const std::vector<std::string>& args, std::string_view timeout_ms) {
  std::string request;
  resp::append_array(request, 4);
  for (size_t i = 0; i < 3; ++i) resp::append_bulk(request, args[i]);
  resp::append_bulk(request, timeout_ms);
  return request;
}

}  // namespace

void Dispatcher::wait_for_disks(Request& request) {
  const std::vector<GroupIndex> groups = groups_written_by(request.client);
  if (groups.empty()) {
    refuse(request, kNoSlotServed);
    return;
  }
  std::vector<Client::ReplicaWait::Disk> disks;
  for (const GroupIndex group : groups) {
    Backend* backend = worker_.backends().lend(group, 0, nullptr);
    if (backend == nullptr) {
      for (const auto& disk : disks) return_or_give_up(disk.backend);
      refuse(request, too_many_connections());
      return;
    }
    backend->set_patience(kRoundUs);
    disks.push_back({backend, {}});
  }
  int64_t timeout_ms = 0;
  // What is wrong with the arguments the server says.
  const bool is_timeout = parse_integer(request.args[3], timeout_ms) && timeout_ms >= 0 &&
                          timeout_ms <= INT64_MAX / 2000;
  const auto wait = begin_replica_wait(request, groups, is_timeout ? timeout_ms : 0);
  wait->args.assign(request.args.begin(), request.args.end());
  parse_integer(request.args[1], wait->wanted_local);
  parse_integer(request.args[2], wait->wanted);
  if (is_timeout && timeout_ms > 0) wait->until = worker_.loop().now() + timeout_ms * 1000;
  wait->disks = std::move(disks);
  wait->outstanding = wait->disks.size();
  for (size_t number = 0; number < wait->servers.size(); ++number) {
    Backend& backend = *wait->disks[number].backend;
    ask(backend, kMark, [](std::string_view) {});  // What it says is of no interest.
    if (is_timeout) {
      ask_disk(wait, backend, number);
    } else {
      send_waitaof(wait, backend, number, request.args[3]);
    }
  }
}

void Dispatcher::ask_disk(const std::shared_ptr<Client::ReplicaWait>& wait, Backend& backend,
                          size_t number) {
  Ticks round = kRoundUs;
  if (wait->until != 0) round = std::min(round, wait->until - worker_.loop().now());
  send_waitaof(wait, backend, number, std::to_string(std::max<Ticks>(round / 1000, 1)));
}

void Dispatcher::send_waitaof(const std::shared_ptr<Client::ReplicaWait>& wait, Backend& backend,
                              size_t number, std::string_view timeout_ms) {
  ask(backend, waitaof_request(wait->args, timeout_ms),
      [this, backend = &backend, number, weak = std::weak_ptr(wait)](std::string_view reply) {
        const auto waiting = weak.lock();
        const bool goes_on = waiting != nullptr && waiting->client.replica_wait == waiting &&
                             disk_answered(waiting, number, reply);
        if (!goes_on) return_or_give_up(backend);
      });
}

bool Dispatcher::disk_answered(const std::shared_ptr<Client::ReplicaWait>& wait, size_t number,
                               std::string_view reply) {
  Client::ReplicaWait::Disk& disk = wait->disks[number];
  ReplyCursor cursor(reply);
  const bool is_numbers = reply.starts_with('*') && cursor.enter() == 2 &&
                          reply_integer(cursor.next(), disk.local) &&
                          reply_integer(cursor.next(), disk.copies);
  if (!is_numbers) {
    const std::vector<std::string_view> args(wait->args.begin(), wait->args.end());
    if (reply.starts_with("-ERR unknown command")) {
      end_replica_wait(*wait, resp::error(unknown_command(args)));
    } else if (reply.starts_with('-')) {
      end_replica_wait(*wait, reply);
    } else {
      end_replica_wait(*wait, resp::error("ERR " + disk.backend->label() +
                                          " does not answer WAITAOF with two numbers"));
    }
    return false;
  }
  if (disk.connection.empty()) disk.connection = disk.backend->client_id();
  if (!disk.backend->is_clean() || disk.connection != disk.backend->client_id()) {
    end_replica_wait(*wait, resp::error("ERR the connection to " + disk.backend->label() +
                                        " was lost during WAITAOF; try again"));
    return false;
  }
  if (disk.local >= wait->wanted_local && disk.copies >= wait->wanted) {
    if (--wait->outstanding == 0) end_replica_wait(*wait);
    return false;
  }
  ask_disk(wait, *disk.backend, number);
  return true;
}

}  // namespace pikaproxy
