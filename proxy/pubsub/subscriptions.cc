#include "proxy/pubsub/subscriptions.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/resp.h"
#include "common/slot.h"
#include "proxy/client/client.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// How long a locked slot waits for its channels to be subscribed to elsewhere: a part of
// proxy.hold_timeout as it usually is.
constexpr Ticks kSettleUs = 500'000;
// A topic and its share of tables, without its name; a client's part in one.
constexpr size_t kTopicCost = sizeof(Topic) + 128;
constexpr size_t kMemberCost = 64;
// Connections are kept for so long after the last subscription.
constexpr Ticks kUnwantedUs = 10'000'000;

bool is_everywhere(const Topic& topic) noexcept {
  return topic.kind == ChannelKind::kPattern ||
         (topic.kind == ChannelKind::kChannel &&
          (topic.name.starts_with("__keyspace@") || topic.name.starts_with("__keyevent@")));
}

// "*3 subscribe <name> <count>", as a push where the client speaks RESP3.
void append_confirmation(std::string& out, const Client& client, std::string_view verb,
                         const std::string_view* name, size_t count) {
  const bool is_push = client.session.protocol >= 3;
  resp::append_header(out, is_push ? '>' : '*', 3);
  resp::append_bulk(out, verb);
  if (name != nullptr) {
    resp::append_bulk(out, *name);
  } else {
    out += is_push ? "_\r\n" : resp::kNull;
  }
  resp::append_integer(out, static_cast<int64_t>(count));
}

}  // namespace

Subscriptions::~Subscriptions() = default;

// ---- Clients ------------------------------------------------------------------------------------

void Subscriptions::subscribe(Client& client, Task* task, ChannelKind kind, Arguments args) {
  if (client.subscriptions == nullptr) {
    client.subscriptions = std::make_unique<ClientSubscriptions>();
  }
  auto owned = std::make_unique<SubscribeRequest>();
  SubscribeRequest& request = *owned;
  request.client = &client;
  request.task = task;
  request.kind = kind;
  request.place = requests_.insert(requests_.end(), std::move(owned));
  client.subscriptions->request = &request;
  for (const std::string_view name : args.subspan(1)) {
    Topic& topic = find_or_make(kind, name);
    request.topics.push_back(&topic);
    if (request.unconfirmed.insert(&topic).second) topic.requests.push_back(&request);
  }
  // When it is complete: each of these may be its end, and even that of its client.
  const std::vector<Topic*> topics(request.unconfirmed.begin(), request.unconfirmed.end());
  for (Topic* topic : topics) {
    if (client.subscriptions == nullptr || client.subscriptions->request != &request) return;
    update(*topic);
  }
}

std::string Subscriptions::unsubscribe(Client& client, ChannelKind kind, Arguments args) {
  const std::string_view verb = unsubscribe_verb(kind);
  std::string out;
  ClientSubscriptions* own = client.subscriptions.get();
  const auto end_one = [&](std::string_view name, Topic* topic) {
    // The topic, and with it the name, may be gone when it was the last to leave.
    const std::string copy(name);
    const std::string_view view = copy;
    if (topic != nullptr) leave(client, *topic);
    append_confirmation(out, client, verb, &view, own == nullptr ? 0 : own->confirmed_count(kind));
  };
  if (args.size() > 1) {
    for (const std::string_view name : args.subspan(1)) {
      Topic* topic = find(kind, name);
      const bool is_member = topic != nullptr && own != nullptr &&
                             own->topics[static_cast<size_t>(kind)].contains(topic);
      end_one(name, is_member ? topic : nullptr);
    }
    return out;
  }
  if (own == nullptr || own->count(kind) == 0) {
    append_confirmation(out, client, verb, nullptr,
                        own == nullptr ? 0 : own->confirmed_count(kind));
    return out;
  }
  while (own->count(kind) > 0) {
    Topic* topic = *own->topics[static_cast<size_t>(kind)].begin();
    end_one(topic->name, topic);
  }
  return out;
}

void Subscriptions::drop(Client& client) {
  if (SubscribeRequest* request = client.subscriptions->request) {
    const std::unique_ptr<SubscribeRequest> owned = remove(*request);
    if (owned->task->gathering != nullptr) {
      worker_.fail(owned->task, "ERR the client has gone");  // Part of a transaction.
    } else {
      worker_.free(owned->task);  // The client's queue has let go of it.
    }
  }
  for (auto& topics : client.subscriptions->topics) {
    while (!topics.empty()) leave(client, **topics.begin());
  }
  client.subscriptions.reset();
}

void Subscriptions::join(Client& client, Topic& topic) {
  if (!client.subscriptions->topics[static_cast<size_t>(topic.kind)].insert(&topic).second) return;
  topic.clients.push_back(&client);
  worker_.manager().subscribers().add(topic.kind, topic.name);
  worker_.loop().pool().add_bytes(kMemberCost);
}

void Subscriptions::leave(Client& client, Topic& topic) {
  client.subscriptions->topics[static_cast<size_t>(topic.kind)].erase(&topic);
  const auto found = std::find(topic.clients.begin(), topic.clients.end(), &client);
  *found = topic.clients.back();
  topic.clients.pop_back();
  worker_.manager().subscribers().remove(topic.kind, topic.name);
  worker_.loop().pool().remove_bytes(kMemberCost);
  if (!topic.is_wanted()) update(topic);
}

std::unique_ptr<SubscribeRequest> Subscriptions::remove(SubscribeRequest& request) {
  std::unique_ptr<SubscribeRequest> owned = std::move(*request.place);
  requests_.erase(request.place);
  request.client->subscriptions->request = nullptr;
  const std::unordered_set<Topic*> topics(request.topics.begin(), request.topics.end());
  for (Topic* topic : topics) std::erase(topic->requests, &request);
  for (Topic* topic : topics) {
    if (!topic->is_wanted()) update(*topic);
  }
  return owned;
}

void Subscriptions::finish(SubscribeRequest& request) {
  Client& client = *request.client;
  std::string out;
  for (Topic* topic : request.topics) {
    join(client, *topic);
    const std::string_view name = topic->name;
    append_confirmation(out, client, subscribe_verb(request.kind), &name,
                        client.subscriptions->confirmed_count(request.kind));
  }
  const std::unique_ptr<SubscribeRequest> owned = remove(request);
  worker_.complete(owned->task, out);
}

void Subscriptions::fail(SubscribeRequest& request, std::string_view error) {
  const std::unique_ptr<SubscribeRequest> owned = remove(request);
  worker_.fail(owned->task, error);
}

// ---- Topics -------------------------------------------------------------------------------------

Topic* Subscriptions::find(ChannelKind kind, std::string_view name) {
  const auto found = topics_of(kind).find(name);
  return found == topics_of(kind).end() ? nullptr : found->second.get();
}

Topic& Subscriptions::find_or_make(ChannelKind kind, std::string_view name) {
  if (Topic* topic = find(kind, name)) return *topic;
  auto topic = std::make_unique<Topic>();
  topic->kind = kind;
  topic->name = name;
  route(*topic);
  worker_.loop().pool().add_bytes(kTopicCost + 2 * name.size());
  return *topics_of(kind).emplace(name, std::move(topic)).first->second;
}

Topic::At* Subscriptions::find_at(Topic& topic, const SubscriptionLink& link) noexcept {
  for (Topic::At& at : topic.at) {
    if (at.link == &link) return &at;
  }
  return nullptr;
}

template <typename Meant, typename Visit>
void Subscriptions::for_each(Meant meant, Visit visit) {
  for (size_t kind = 0; kind < kChannelKinds; ++kind) {
    // By name: a visit may end topics, others than its own too.
    std::vector<std::string> names;
    for (const auto& [name, topic] : topics_[kind]) {
      if (meant(*topic)) names.push_back(name);
    }
    for (const std::string& name : names) {
      if (Topic* topic = find(static_cast<ChannelKind>(kind), name)) visit(*topic);
    }
  }
}

bool Subscriptions::route(Topic& topic) const {
  if (is_everywhere(topic)) return false;
  const Place place = router_->place(topic.name);
  SubscriptionLink* owner = place.group == kNoGroup ? nullptr : links_of_groups_[place.group];
  const bool is_locked = !locked_.empty() && locked_[place.unit];
  const bool is_same = owner == topic.owner && is_locked == topic.is_locked;
  topic.owner = owner;
  topic.is_locked = is_locked;
  return !is_same;
}

void Subscriptions::find_required(const Topic& topic, std::vector<SubscriptionLink*>& links) const {
  links.clear();
  if (is_everywhere(topic) || topic.is_locked) {
    for (const Link& each : links_) links.push_back(each.link.get());
  } else if (topic.owner != nullptr) {
    links.push_back(topic.owner);
  }
}

Subscriptions::Outcome Subscriptions::outcome(
    const Topic& topic, const std::vector<SubscriptionLink*>& required) const {
  bool any = false;
  for (const SubscriptionLink* link : required) {
    const auto at = std::find_if(topic.at.begin(), topic.at.end(),
                                 [link](const Topic::At& one) { return one.link == link; });
    const bool is_there = at != topic.at.end() && at->state == Topic::At::State::kSubscribed;
    any = any || is_there;
    // Nobody can publish at a server that is not there, so a pattern does without it.
    if (!is_there && !link->has_failed()) return Outcome::kWaiting;
  }
  return any ? Outcome::kConfirmed : Outcome::kFailed;
}

void Subscriptions::update(Topic& topic) {
  using State = Topic::At::State;
  std::vector<SubscriptionLink*> required;
  if (topic.is_wanted()) find_required(topic, required);
  for (SubscriptionLink* link : required) {
    Topic::At* at = find_at(topic, *link);
    if (at != nullptr && at->state != State::kUnsubscribing) continue;
    if (!link->is_ready()) {
      link->open();  // And then it asks.
      continue;
    }
    const uint64_t order = link->subscribe(topic.kind, topic.name);
    if (at != nullptr) {
      at->state = State::kSubscribing;
      at->order = order;
    } else {
      topic.at.push_back({link, State::kSubscribing, order});
    }
  }
  const Outcome now = outcome(topic, required);
  if (now == Outcome::kConfirmed || !topic.is_wanted()) {
    for (Topic::At& at : topic.at) {
      const bool is_required =
          std::find(required.begin(), required.end(), at.link) != required.end();
      if (!is_required && at.state != State::kUnsubscribing) unsubscribe_at(topic, at);
    }
  }
  if (!topic.is_wanted()) {
    if (topic.at.empty()) {
      worker_.loop().pool().remove_bytes(kTopicCost + 2 * topic.name.size());
      topics_of(topic.kind).erase(topics_of(topic.kind).find(topic.name));
    }
    return;
  }
  if (now == Outcome::kWaiting || topic.requests.empty()) return;
  std::string error;
  if (now == Outcome::kFailed) {
    error = !required.empty() ? required.front()->last_error()
            : is_everywhere(topic)
                ? "CLUSTERDOWN no slot is assigned"
                : "CLUSTERDOWN slot " + std::to_string(slot_of(topic.name)) + " is not assigned";
  }
  // Over a copy: they leave the list as they end, and the last one may take the topic with it.
  for (SubscribeRequest* request : std::vector(topic.requests)) {
    if (now == Outcome::kFailed) {
      fail(*request, error);
    } else if (request->unconfirmed.erase(&topic) > 0 && request->unconfirmed.empty()) {
      finish(*request);
    }
  }
}

void Subscriptions::unsubscribe_at(Topic& topic, Topic::At& at) {
  at.state = Topic::At::State::kUnsubscribing;
  at.order = at.link->unsubscribe(topic.kind, topic.name);
}

void Subscriptions::forget(Topic& topic, Topic::At& at) noexcept {
  if (at.counted) at.link->counts().remove(topic.kind, topic.name);
  at = topic.at.back();
  topic.at.pop_back();
}

// ---- What links say -----------------------------------------------------------------------------

bool Subscriptions::is_wanted() const {
  return std::any_of(topics_.begin(), topics_.end(),
                     [](const Topics& topics) { return !topics.empty(); });
}

void Subscriptions::link_ready(SubscriptionLink& link) {
  for_each([](const Topic&) { return true; }, [this](Topic& topic) { update(topic); });
  for (Link& each : links_) {
    if (each.link.get() == &link) each.mark = link.last_order();
  }
}

void Subscriptions::link_lost(SubscriptionLink& link) {
  for_each([&](Topic& topic) { return find_at(topic, link) != nullptr; },
           [&](Topic& topic) {
             forget(topic, *find_at(topic, link));
             if (!topic.is_wanted()) update(topic);
           });
}

void Subscriptions::link_failed(SubscriptionLink&, const std::string&) {
  for_each([](const Topic& topic) { return !topic.requests.empty(); },
           [this](Topic& topic) { update(topic); });
}

void Subscriptions::subscribed(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                               std::string_view name) {
  Topic* topic = find(kind, name);
  Topic::At* at = topic == nullptr ? nullptr : find_at(*topic, link);
  if (at == nullptr) return;
  if (!std::exchange(at->counted, true)) link.counts().add(kind, name);
  if (at->order != order) return;
  at->state = Topic::At::State::kSubscribed;
  update(*topic);
}

void Subscriptions::unsubscribed(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                                 std::string_view name) {
  Topic* topic = find(kind, name);
  Topic::At* at = topic == nullptr ? nullptr : find_at(*topic, link);
  if (at == nullptr) return;
  if (std::exchange(at->counted, false)) link.counts().remove(kind, name);
  if (at->order != order) return;
  forget(*topic, *at);
  if (!topic->is_wanted()) update(*topic);
}

void Subscriptions::refused(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                            std::string_view name, std::string_view error) {
  Topic* topic = find(kind, name);
  Topic::At* at = topic == nullptr ? nullptr : find_at(*topic, link);
  if (at == nullptr || at->order != order) return;
  forget(*topic, *at);
  std::vector<SubscriptionLink*> required;
  find_required(*topic, required);
  if (std::find(required.begin(), required.end(), &link) == required.end()) return;
  if (!topic->clients.empty()) {
    log_warn("a server refuses a subscription that it had accepted before", "server",
             link.server().to_string(), "error", error);
  }
  for (SubscribeRequest* request : std::vector(topic->requests)) fail(*request, error);
}

void Subscriptions::message(ChannelKind kind, std::string_view name, std::string_view message) {
  worker_.stats().messages_received.add();
  const Topic* topic = find(kind, name);
  if (topic == nullptr) return;
  worker_.stats().messages_delivered.add(topic->clients.size());
  for (Client* client : topic->clients) {
    if (!client->push(message)) slow_.push_back(client);
  }
  // Not before: it takes them out of the topic, and may end that.
  for (Client* client : slow_) client->shut_for_output();
  slow_.clear();
}

// ---- Topology and time --------------------------------------------------------------------------

void Subscriptions::install(const Topology& topology) {
  router_ = topology.router;
  locked_.clear();
  if (topology.table != nullptr && !topology.leaving_groups.empty()) {
    locked_.resize(kSlotCount);
    for (SlotId slot = 0; slot < kSlotCount; ++slot) {
      locked_[slot] = topology.table->slots[slot].state == SlotState::kLocked;
    }
  }
  std::vector<Link> old = std::move(links_);
  SubscriptionLink::Host& host = *this;
  links_.clear();
  links_of_groups_.clear();
  for (const GroupConfig& group : topology.groups) {
    const auto is_its = [&group](const Link& each) {
      return each.link != nullptr && each.link->server() == group.server;
    };
    auto found = std::find_if(links_.begin(), links_.end(), is_its);
    if (found == links_.end()) {
      Link& link = links_.emplace_back();
      const auto kept = std::find_if(old.begin(), old.end(), is_its);
      if (kept != old.end()) {
        link.link = std::move(kept->link);
      } else {
        link.link = std::make_unique<SubscriptionLink>(
            worker_, resolver_, host, group, worker_.manager().subscriptions_at(group.server));
      }
      found = std::prev(links_.end());
    }
    found->link->set_group(group);
    links_of_groups_.push_back(found->link.get());
  }
  // What they still have to say is not for publishers any more, who go elsewhere by now.
  for (Link& each : old) {
    if (each.link == nullptr) continue;
    each.link->shut();
    worker_.loop().destroy_later(std::move(each.link));
  }
  for_each([this](Topic& topic) { return route(topic) || is_everywhere(topic); },
           [this](Topic& topic) { update(topic); });
  for (Link& each : links_) each.mark = each.link->last_order();
  settling_since_ = worker_.loop().now();
}

bool Subscriptions::is_settled() const {
  if (locked_.empty() || worker_.loop().now() - settling_since_ >= kSettleUs) return true;
  return std::all_of(links_.begin(), links_.end(), [](const Link& each) {
    if (each.link->is_ready()) return each.link->answered() >= each.mark;
    return each.link->is_closed() || each.link->has_failed();
  });
}

void Subscriptions::check_timeouts() {
  const Ticks now = worker_.loop().now();
  if (is_wanted()) wanted_at_ = now;
  for (Link& each : links_) {
    if (now - wanted_at_ >= kUnwantedUs && !each.link->is_closed()) {
      each.link->shut();
    } else {
      each.link->check_timeouts();
    }
  }
}

void Subscriptions::shut() {
  for (Link& each : links_) each.link->shut();
}

SubscriptionCounts* Subscriptions::counts_at(const Address& server) noexcept {
  for (Link& each : links_) {
    if (each.link->server() == server) return &each.link->counts();
  }
  return nullptr;
}

}  // namespace pikaproxy
