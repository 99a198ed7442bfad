#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/command_table.h"
#include "proxy/pubsub/channel_kind.h"
#include "proxy/pubsub/subscription_counts.h"
#include "proxy/pubsub/subscription_link.h"
#include "proxy/routing/topology.h"

namespace pikaproxy {

class Client;
class Worker;
struct Task;
struct SubscribeRequest;

// Something that clients of a worker subscribe to.
struct Topic {
  // One of the servers where that is so.
  struct At {
    SubscriptionLink* link;
    enum class State : uint8_t { kSubscribing, kSubscribed, kUnsubscribing } state;
    uint64_t order;        // Of the link: the newest one for this topic.
    bool counted = false;  // In the link's counts: the server has said so.
  };

  ChannelKind kind;
  std::string name;
  SubscriptionLink* owner = nullptr;        // Of the group of its slot; null where that has none.
  bool is_locked = false;                   // That slot is, so its next owner may be any.
  std::vector<Client*> clients;             // Who gets its messages.
  std::vector<SubscribeRequest*> requests;  // Who waits for it to be subscribed to.
  std::vector<At> at;

  bool is_wanted() const noexcept { return !clients.empty() || !requests.empty(); }
};

// A SUBSCRIBE on its way: the servers have not confirmed all of it.
struct SubscribeRequest {
  Client* client;
  Task* task;
  ChannelKind kind;
  std::vector<Topic*> topics;  // In the client's order, with repetitions.
  std::unordered_set<Topic*> unconfirmed;
  std::list<std::unique_ptr<SubscribeRequest>>::iterator place;
};

// What one client subscribes to. Null at the client while it never has.
struct ClientSubscriptions {
  std::array<std::unordered_set<Topic*>, kChannelKinds> topics;  // By kind.
  SubscribeRequest* request = nullptr;                           // The one under way.

  size_t count(ChannelKind kind) const noexcept { return topics[static_cast<size_t>(kind)].size(); }
  // What a confirmation for that kind says: channels and patterns count together.
  size_t confirmed_count(ChannelKind kind) const noexcept {
    if (kind == ChannelKind::kShard) return count(kind);
    return count(ChannelKind::kChannel) + count(ChannelKind::kPattern);
  }
  size_t total() const noexcept {
    return confirmed_count(ChannelKind::kChannel) + count(ChannelKind::kShard);
  }
};

// Who of a worker's clients subscribes to what, and where that is subscribed to for them:
//
//   clients ─> Topic ─> SubscriptionLink: one per server, shared by all clients
//   clients <─ Topic <─ messages, copied into the output of each
//
// A channel is subscribed to at the group that its slot belongs to, where it is published; a
// pattern at every group, since its channels may be anywhere. **A message is published at one
// server, and a topic has one subscription at each server, so no message comes twice**, wherever
// else a topic may be subscribed to. That makes moves simple: a topic is subscribed to at the new
// group first, and left at the old one when that was confirmed; meanwhile messages from both count.
//
//   table          subscribed to at
//   normal(A)      A
//   locked(A)      A and everywhere else: nobody knows yet where the slot goes. PUBLISH is held
//   migrating(A,B) B, and no more elsewhere once B has confirmed. PUBLISH goes to B
//   normal(B)      B
//
// The worker calls a table with locked slots drained only when is_settled(): so whatever PUBLISH at
// B finds the subscriptions of all workers there.
//
// Servers send the keyspace notifications of their own keys, so __keyspace@ and __keyevent@
// channels are subscribed to at every group, like patterns. Worker's thread only.
class Subscriptions : private SubscriptionLink::Host {
 public:
  // `worker` and `resolver` outlive it.
  Subscriptions(Worker& worker, Resolver& resolver) noexcept
      : worker_(worker), resolver_(resolver) {}
  ~Subscriptions() override;

  // Subscribes the client to args[1] and all after it; `task` gets the confirmations when the
  // servers have confirmed, or an error, and then nothing of it holds.
  void subscribe(Client& client, Task* task, ChannelKind kind, Arguments args);
  // Ends the client's subscriptions to args[1] and all after it, to all of the kind without any.
  // The confirmations.
  std::string unsubscribe(Client& client, ChannelKind kind, Arguments args);
  // The client is gone, or begins anew.
  void drop(Client& client);

  // Follows the worker's topology.
  void install(const Topology& topology);
  // Everything that the topology asked for when it came is subscribed to, as far as servers can be
  // reached, or has taken too long.
  bool is_settled() const;
  // Several times a second.
  void check_timeouts();
  void shut();
  // Our connections' subscriptions at a server of the topology, over all workers; null if unknown.
  SubscriptionCounts* counts_at(const Address& server) noexcept;

 private:
  using Topics =
      std::unordered_map<std::string, std::unique_ptr<Topic>, StringHash, std::equal_to<>>;
  // A link, and up to which of its orders is_settled() waits.
  struct Link {
    std::unique_ptr<SubscriptionLink> link;
    uint64_t mark = 0;
  };

  // SubscriptionLink::Host
  bool is_wanted() const override;
  void link_ready(SubscriptionLink& link) override;
  void link_lost(SubscriptionLink& link) override;
  void link_failed(SubscriptionLink& link, const std::string& error) override;
  void subscribed(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                  std::string_view name) override;
  void unsubscribed(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                    std::string_view name) override;
  void refused(SubscriptionLink& link, uint64_t order, ChannelKind kind, std::string_view name,
               std::string_view error) override;
  void message(ChannelKind kind, std::string_view name, std::string_view message) override;

  Topics& topics_of(ChannelKind kind) noexcept { return topics_[static_cast<size_t>(kind)]; }
  Topic* find(ChannelKind kind, std::string_view name);
  Topic& find_or_make(ChannelKind kind, std::string_view name);
  Topic::At* find_at(Topic& topic, const SubscriptionLink& link) noexcept;
  // Of all topics, those that are `meant`.
  template <typename Meant, typename Visit>
  void for_each(Meant meant, Visit visit);
  // Finds out where the topic is to be now; false if that is where it was.
  bool route(Topic& topic) const;
  // Where the topic has to be subscribed to.
  void find_required(const Topic& topic, std::vector<SubscriptionLink*>& links) const;
  enum class Outcome : uint8_t { kWaiting, kConfirmed, kFailed };
  Outcome outcome(const Topic& topic, const std::vector<SubscriptionLink*>& required) const;
  // Makes what is subscribed to what should be, and tells those who wait. May destroy the topic.
  void update(Topic& topic);
  void unsubscribe_at(Topic& topic, Topic::At& at);
  void forget(Topic& topic, Topic::At& at) noexcept;
  void join(Client& client, Topic& topic);
  void leave(Client& client, Topic& topic);

  void finish(SubscribeRequest& request);
  void fail(SubscribeRequest& request, std::string_view error);
  // Takes it out of everything.
  std::unique_ptr<SubscribeRequest> remove(SubscribeRequest& request);

  Worker& worker_;
  Resolver& resolver_;
  std::shared_ptr<const Router> router_;
  std::vector<bool> locked_;                        // By slot; empty without a slot that is locked.
  std::vector<SubscriptionLink*> links_of_groups_;  // By group.
  std::vector<Link> links_;                         // One per server.
  std::array<Topics, kChannelKinds> topics_;        // By kind.
  std::list<std::unique_ptr<SubscribeRequest>> requests_;
  std::vector<Client*> slow_;  // During a delivery: those that do not take their messages.
  Ticks settling_since_ = 0;
  Ticks wanted_at_ = 0;  // When there was a topic last.
};

}  // namespace pikaproxy
