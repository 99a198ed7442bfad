// SUBSCRIBE, PUBLISH and their like. What clients subscribe to is kept by Subscriptions.
//
// Within a transaction: the server gets the block without them. When it has executed that, they are
// done one after the other, and what they say is put into EXEC's reply.

#include <algorithm>

#include "common/reply_framer.h"
#include "common/resp.h"
#include "proxy/client/transaction.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/pubsub/subscriptions.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kTooManySubscriptions =
    "ERR too many subscriptions (proxy.client_subscriptions_max)";

ChannelKind kind_of(const Command& command) {
  const std::string_view name = command.name;
  if (name == "psubscribe" || name == "punsubscribe") return ChannelKind::kPattern;
  const bool is_shard = name == "ssubscribe" || name == "sunsubscribe" || name == "spublish";
  return is_shard ? ChannelKind::kShard : ChannelKind::kChannel;
}

// With so many more.
bool has_too_many(Client& client, size_t channels) {
  const ClientSubscriptions* present = client.subscriptions.get();
  const size_t total = (present == nullptr ? 0 : present->total()) + channels;
  return total > client.worker().config().proxy.client_subscriptions_max;
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
      refuse(request, kCrossSlot);
      return;
    }
  }
  if (has_too_many(request.client, request.args.size() - 1)) {
    refuse(request, kTooManySubscriptions);
    return;
  }
  // Later requests of the client wait until the servers have confirmed: they may publish.
  request.holds_client = true;
  Task* task = task_of(request);
  task->silent = false;  // CLIENT REPLY OFF does not concern confirmations, as in Redis.
  worker_.subscriptions().subscribe(request.client, task, kind, request.args);
}

struct Dispatcher::BlockSteps {
  Task* task;         // The EXEC.
  std::string reply;  // The server's.
  std::vector<SubscriptionStep> steps;
  size_t next = 0;
  bool is_running = false;
  bool is_waiting = false;  // For servers to confirm the step before `next`.

  // The reply with what the steps have said.
  std::string merged() const {
    ReplyCursor requests(reply);
    const int64_t count = requests.enter();
    std::string out;
    resp::append_array(out, count + static_cast<int64_t>(steps.size()));
    size_t step = 0;
    for (int64_t i = 0; i <= count; ++i) {
      for (; step < steps.size() && steps[step].before == i; ++step) out += steps[step].reply;
      if (i < count) out += requests.next();
    }
    return out;
  }
};

bool Dispatcher::queue_step(Request& request) {
  Client& client = request.client;
  if (client.transaction->bytes() + request.raw.size() > worker_.config().proxy.request_max) {
    client.reply_error("ERR the transaction is larger than the limit (proxy.request_max)");
    return false;
  }
  if (is_out_of_memory(request)) return false;
  client.transaction->add_step(request.command, request.args);
  client.reply("+QUEUED\r\n");
  return true;
}

bool Dispatcher::begin_steps(Task* task, std::string_view last_piece) {
  if (task->notes == nullptr || task->notes->steps.empty() || task->client == nullptr) return false;
  const auto steps = std::make_shared<BlockSteps>();
  steps->task = task;
  steps->reply = std::string(task->reply.view()) + std::string(last_piece);
  // Nothing of the transaction holds.
  if (ReplyCursor(steps->reply).enter() < 0) return false;
  steps->steps = std::move(task->notes->steps);
  task->notes->steps.clear();
  task->notes->reads.clear();  // They are noted.
  task->reply.clear(worker_.loop().pool());
  run_steps(steps);
  return true;
}

void Dispatcher::run_steps(const std::shared_ptr<BlockSteps>& block) {
  block->is_running = true;
  while (block->next < block->steps.size() && block->task->client != nullptr) {
    Client& client = *block->task->client;
    SubscriptionStep& step = block->steps[block->next++];
    const std::vector<std::string_view> args(step.args.begin(), step.args.end());
    const ChannelKind kind = kind_of(*step.command);
    if (step.command->action != CommandAction::kSubscribe) {
      step.reply = worker_.subscriptions().unsubscribe(client, kind, args);
    } else if (kind == ChannelKind::kShard) {
      step.reply = "-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n";  // As in Redis.
    } else if (has_too_many(client, args.size() - 1)) {
      step.reply = resp::error(kTooManySubscriptions);
    } else {
      block->is_waiting = true;
      Task* confirmed = own_task([this, block, &step](std::string_view reply) {
        step.reply = reply;
        block->is_waiting = false;
        if (!block->is_running) run_steps(block);
      });
      worker_.subscriptions().subscribe(client, confirmed, kind, args);
      if (!block->is_waiting) continue;
      block->is_running = false;
      return;
    }
  }
  // The client may have gone: then nobody sees it.
  worker_.complete(block->task, block->merged());
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
