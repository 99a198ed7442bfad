// SUBSCRIBE, PUBLISH and their like. What clients subscribe to is kept by Subscriptions.

#include <algorithm>

#include "common/reply_framer.h"
#include "common/resp.h"
#include "proxy/dispatcher.h"
#include "proxy/subscriptions.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

ChannelKind kind_of(const Command& command) {
  if (command.name.starts_with("ps")) return ChannelKind::kPattern;
  if (command.name == "ssubscribe" || command.name == "spublish") return ChannelKind::kShard;
  return ChannelKind::kChannel;
}

}  // namespace

void Dispatcher::subscribe(Request& request) {
  const ChannelKind kind = kind_of(request.command);
  if (kind == ChannelKind::kShard) {
    const Router& router = *worker_.topology().router;
    const uint32_t unit = router.place(request.args[1]).unit;
    for (const std::string_view channel : request.args.subspan(2)) {
      if (router.place(channel).unit == unit) continue;
      worker_.stats().crossslot.add();
      refuse(request, "CROSSSLOT Keys in request don't hash to the same slot");
      return;
    }
  }
  const ClientSubscriptions* present = request.client.subscriptions.get();
  const size_t total = (present == nullptr ? 0 : present->total()) + request.args.size() - 1;
  if (total > worker_.config().proxy.client_subscriptions_max) {
    refuse(request, "ERR too many subscriptions (proxy.client_subscriptions_max)");
    return;
  }
  // Later requests of the client wait until the servers have confirmed: they may publish.
  request.holds_client = true;
  Task* task = task_of(request);
  task->silent = false;  // CLIENT REPLY OFF does not concern confirmations, as in Redis.
  worker_.subscriptions().subscribe(request.client, task, kind, request.args);
}

void Dispatcher::publish(Request& request) {
  const Topology& topology = worker_.topology();
  const std::string_view channel = request.args[1];
  const Place place = topology.router->place(channel);
  if (place.group == kNoGroup) {
    refuse(request, "CLUSTERDOWN slot " + std::to_string(place.unit) + " is not assigned");
    return;
  }
  count_slot(place);
  // Of a slot that is migrating it may go to the target at once: there is no key to be moved, and
  // the workers have subscribed there while the slot was locked.
  if (!place.open && request.held == nullptr &&
      topology.table->slots[slot_of(channel)].state == SlotState::kLocked) {
    positions_.assign(1, 1);
    hold_request(request, false);
    return;
  }
  note_write(request.client, request.command, place.group);
  Gathering& gathering = start_gathering(request, Gathering::Kind::kPublish);
  gathering.request = channel;
  hold(gathering);
  Backend* backend = nullptr;
  if (add_part(gathering, place.group, request.raw.size(), backend)) {
    if (request.held != nullptr) {
      send_held(*backend, *request.held);
    } else {
      backend->write(request.raw);
    }
  }
  release(gathering);
}

void Dispatcher::gathered_publish(Gathering& gathering) {
  const Task& part = *gathering.parts.front();
  scratch_ = part.reply.view();
  int64_t receivers = 0;
  SubscriptionCounts* ours = nullptr;
  if (part.backend != nullptr && reply_integer(scratch_, receivers)) {
    ours = worker_.subscriptions().counts_at(part.backend->group().server);
  }
  if (ours != nullptr) {
    // The server has counted our connections; whom they stand for are our clients.
    int64_t links = 0;
    int64_t clients = 0;
    for (const auto& match :
         ours->matches(kind_of(*gathering.parent->command), gathering.request)) {
      links += static_cast<int64_t>(match.count);
      clients +=
          static_cast<int64_t>(worker_.manager().subscribers().count(match.kind, match.name));
    }
    scratch_ = resp::integer(std::max<int64_t>(receivers - links, 0) + clients);
  }
  finish(gathering, scratch_);
}

}  // namespace pikaproxy
