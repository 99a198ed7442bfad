#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/config.h"
#include "common/reply_framer.h"
#include "proxy/io/stream.h"
#include "proxy/pubsub/channel_kind.h"
#include "proxy/pubsub/subscription_counts.h"

namespace pikaproxy {

class Resolver;
class Worker;

// The connection over which one server sends a worker the messages that its clients subscribe to.
// Apart from a Backend, since a connection that subscribes takes no other requests.
//
//   subscribe(), unsubscribe()  ->  [ orders_ ]  <- confirmations, in order
//                                                <- messages, at any time
//
// A lost connection is made again, at once if it had been working, then with growing pauses, for as
// long as its host wants it; what to subscribe to is the host's to say, each time. Messages that
// are published meanwhile are lost, as they are for who subscribes at the server itself. Worker's
// thread only.
class SubscriptionLink : public Stream {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // Whether to connect again.
    virtual bool is_wanted() const = 0;
    // Nothing is subscribed to yet.
    virtual void link_ready(SubscriptionLink& link) = 0;
    // A connection that had been ready ended, and with it all subscriptions. Also from shut().
    virtual void link_lost(SubscriptionLink& link) = 0;
    // An attempt failed, or an order was not answered in time. `error`: a whole one.
    virtual void link_failed(SubscriptionLink& link, const std::string& error) = 0;
    // The server's answer to the order with that number.
    virtual void subscribed(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                            std::string_view name) = 0;
    virtual void unsubscribed(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                              std::string_view name) = 0;
    virtual void refused(SubscriptionLink& link, uint64_t order, ChannelKind kind,
                         std::string_view name, std::string_view error) = 0;
    // `name`: of the channel, or of the pattern that it matched. `message`: all of it, as RESP2.
    virtual void message(ChannelKind kind, std::string_view name, std::string_view message) = 0;
  };

  // `worker`, `resolver` and `host` outlive the link. `counts`: of all links to this server.
  SubscriptionLink(Worker& worker, Resolver& resolver, Host& host, const GroupConfig& group,
                   std::shared_ptr<SubscriptionCounts> counts);
  ~SubscriptionLink() override;

  // Connects, unless that is so or under way.
  void open();
  // Closes for good.
  void shut();
  // The group whose server it is may have another name and password by now.
  void set_group(const GroupConfig& group);

  // Only while it is ready. The number of the order.
  uint64_t subscribe(ChannelKind kind, std::string_view name);
  uint64_t unsubscribe(ChannelKind kind, std::string_view name);

  bool is_ready() const noexcept { return state_ == State::kReady; }
  bool is_closed() const noexcept { return state_ == State::kClosed; }
  // The last attempt failed: last_error() says why, whole.
  bool has_failed() const noexcept { return failed_; }
  const std::string& last_error() const noexcept { return last_error_; }
  // Orders up to this number have been answered.
  uint64_t answered() const noexcept { return last_order_ - orders_.size(); }
  uint64_t last_order() const noexcept { return last_order_; }

  const Address& server() const noexcept { return group_.server; }
  SubscriptionCounts& counts() noexcept { return *counts_; }
  // Several times a second: ends what takes too long, asks a silent server whether it lives.
  void check_timeouts();

 private:
  enum class State : uint8_t { kClosed, kResolving, kConnecting, kAuth, kPing, kReady, kWaiting };
  // Something that the server was asked to do.
  struct Demand {
    enum class Verb : uint8_t { kSubscribe, kUnsubscribe, kPing } verb;
    ChannelKind kind;
    std::string name;
    Ticks since;
  };

  void on_data(std::string_view bytes) override;
  void on_connect(int error) override;
  void on_end(int error) override;

  void start_connect();
  void connect_to(const Address& address);
  void authenticate();
  void ping_first();
  void take(std::string_view reply);
  void take_handshake(std::string_view reply);
  // False: not what a subscribed connection is sent.
  bool take_answer(std::string_view reply);
  bool take_push(std::string_view reply);
  uint64_t give(Demand::Verb verb, ChannelKind kind, std::string_view name);
  void drop_partial() noexcept;
  void disconnect();
  // The attempt failed; the next one comes after a pause.
  void attempt_failed(const std::string& reason);
  void lose(const std::string& reason);

  // Constant after construction.
  Worker& worker_;
  Resolver& resolver_;
  Host& host_;
  const std::shared_ptr<SubscriptionCounts> counts_;

  GroupConfig group_;
  std::deque<Demand> orders_;  // Without an answer; oldest first.
  uint64_t last_order_ = 0;
  ReplyFramer framer_;
  std::string partial_;    // Of a message that is on its way.
  bool dropping_ = false;  // That message is too large to be kept.
  std::string last_error_;
  Ticks state_since_ = 0;
  Ticks last_received_ = 0;
  Ticks pause_ = 0;  // Before the next attempt.
  std::optional<EventLoop::TimerId> retry_timer_;
  uint32_t attempt_ = 0;  // Rotates through a name's addresses.
  uint8_t ignored_ = 0;   // Answers to come that do not matter.
  State state_ = State::kClosed;
  bool failed_ = false;
  bool plain_auth_ = false;  // AUTH with the password alone (servers before Redis 6).
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For answers of the resolver.
};

}  // namespace pikaproxy
