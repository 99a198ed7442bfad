#include "proxy/pubsub/subscription_link.h"

#include <algorithm>
#include <cstring>

#include "common/log.h"
#include "common/resp.h"
#include "proxy/io/resolver.h"
#include "proxy/io/socket_options.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// A connection that worked for so long is made again at once when it is lost.
constexpr Ticks kStableUs = 1'000'000;
// Beyond this a message that is on its way is only kept while there is memory for it.
constexpr size_t kKeptAlways = 1024 * 1024;
// What stands around the payload of a message, channel and pattern included.
constexpr size_t kEnvelopeMax = 1024 * 1024;

Ticks to_ticks(Milliseconds duration) {
  return duration.count() * 1000;
}

std::string request(std::initializer_list<std::string_view> args) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(args.size()));
  for (const std::string_view arg : args) resp::append_bulk(out, arg);
  return out;
}

std::optional<ChannelKind> kind_of_message(std::string_view word) {
  if (word == "message") return ChannelKind::kChannel;
  if (word == "pmessage") return ChannelKind::kPattern;
  if (word == "smessage") return ChannelKind::kShard;
  return std::nullopt;
}

}  // namespace

SubscriptionLink::SubscriptionLink(Worker& worker, Resolver& resolver, Host& host,
                                   const GroupConfig& group,
                                   std::shared_ptr<SubscriptionCounts> counts)
    : Stream(worker.loop(), Stream::Order::kLast),
      worker_(worker),
      resolver_(resolver),
      host_(host),
      counts_(std::move(counts)),
      group_(group) {}

SubscriptionLink::~SubscriptionLink() {
  *alive_ = false;
  if (retry_timer_) loop_.cancel_timer(*retry_timer_);
  drop_partial();
}

void SubscriptionLink::set_group(const GroupConfig& group) {
  if (group.user != group_.user || group.password != group_.password) plain_auth_ = false;
  group_ = group;
}

void SubscriptionLink::open() {
  if (state_ == State::kClosed) start_connect();
}

void SubscriptionLink::shut() {
  disconnect();
  if (retry_timer_) loop_.cancel_timer(*retry_timer_);
  retry_timer_.reset();
  state_ = State::kClosed;
  failed_ = false;
  pause_ = 0;
}

// ---- Connecting ---------------------------------------------------------------------------------

void SubscriptionLink::start_connect() {
  state_since_ = loop_.now();
  state_ = State::kResolving;
  ++attempt_;
  if (group_.server.is_unix() || Resolver::is_literal(group_.server.host)) {
    // Not from within the caller, who does not expect to hear of a failure now.
    loop_.add_timer(0, [this, alive = alive_] {
      if (*alive && state_ == State::kResolving) connect_to(group_.server);
    });
    return;
  }
  resolver_.resolve(group_.server.host, [this, alive = alive_, attempt = attempt_,
                                         &loop = loop_](Result<std::vector<std::string>> hosts) {
    loop.post([this, alive, attempt, hosts = std::move(hosts)] {
      if (!*alive || state_ != State::kResolving || attempt != attempt_) return;
      if (!hosts) {
        attempt_failed("cannot resolve " + group_.server.host + ": " + hosts.error());
        return;
      }
      Address address = group_.server;
      address.host = (*hosts)[attempt_ % hosts->size()];
      connect_to(address);
    });
  });
}

void SubscriptionLink::connect_to(const Address& address) {
  SocketAddress target;
  if (!target.set(address)) {
    attempt_failed("not an address: " + address.to_string());
    return;
  }
  state_ = State::kConnecting;
  if (!Stream::connect(target.get(), target.size())) attempt_failed(std::strerror(errno));
}

void SubscriptionLink::on_connect(int error) {
  if (error != 0) {
    attempt_failed(std::strerror(error));
    return;
  }
  set_socket_options(fd(), worker_.config().proxy.tcp_keepalive);
  framer_.reset(ReplyFramer::Dialect::kResp2);
  last_received_ = loop_.now();
  if (group_.password.empty()) {
    ping_first();
  } else {
    authenticate();
  }
}

void SubscriptionLink::authenticate() {
  state_ = State::kAuth;
  // As Backend does it, and for the same reason.
  const std::string_view user = group_.user.empty() ? "default" : std::string_view(group_.user);
  send(plain_auth_ ? request({"AUTH", group_.password}) : request({"AUTH", user, group_.password}));
}

void SubscriptionLink::ping_first() {
  // A hung server's kernel still accepts connections: only an answer shows that it lives. The name
  // is for those who read CLIENT LIST there; a server may refuse it.
  state_ = State::kPing;
  ignored_ = 1;
  send(request({"CLIENT", "SETNAME",
                worker_.manager().connection_name() + std::to_string(worker_.index())}));
  send(request({"PING"}));
}

void SubscriptionLink::take_handshake(std::string_view reply) {
  const std::string text(reply_text(reply));
  if (state_ == State::kAuth) {
    if (reply.starts_with("+OK")) {
      ping_first();
    } else if (!plain_auth_ && group_.user.empty() &&
               text.find("wrong number of arguments") != std::string::npos) {
      plain_auth_ = true;
      authenticate();
    } else {
      attempt_failed("it refused AUTH: " + text);
    }
    return;
  }
  if (ignored_ > 0) {
    --ignored_;
    return;
  }
  if (reply.starts_with("-NOAUTH")) {
    attempt_failed("it asks for a password; check the group's user and password");
    return;
  }
  if (reply.starts_with('-') ? reply.starts_with("-ERR") : reply != "+PONG\r\n") {
    attempt_failed("it answers PING with: " + text);
    return;
  }
  if (failed_) log_info("subscriptions connected", "server", group_.server.to_string());
  state_ = State::kReady;
  state_since_ = last_received_ = loop_.now();
  failed_ = false;
  attempt_ = 0;
  host_.link_ready(*this);
}

void SubscriptionLink::disconnect() {
  const bool was_ready = state_ == State::kReady;
  close();
  orders_.clear();
  drop_partial();
  state_ = State::kClosed;
  if (was_ready) host_.link_lost(*this);
}

void SubscriptionLink::attempt_failed(const std::string& reason) {
  const BackendConfig& config = worker_.config().backend;
  if (state_ == State::kReady) worker_.stats().links_lost.add();
  disconnect();
  const std::string error = "ERR server " + group_.server.to_string() + " of group " + group_.name +
                            " is not reachable: " + reason;
  if (!failed_ || error != last_error_) {
    log_warn("cannot subscribe", "server", group_.server.to_string(), "group", group_.name, "error",
             reason);
  }
  last_error_ = error;
  failed_ = true;
  pause_ = pause_ == 0 ? to_ticks(config.reconnect_min)
                       : std::min(2 * pause_, to_ticks(config.reconnect_max));
  state_ = State::kWaiting;
  retry_timer_ = loop_.add_timer(pause_, [this] {
    retry_timer_.reset();
    state_ = State::kClosed;
    if (host_.is_wanted()) {
      start_connect();
    } else {
      failed_ = false;  // Nobody knows whether it still would.
    }
  });
  host_.link_failed(*this, last_error_);
}

void SubscriptionLink::lose(const std::string& reason) {
  log_warn("subscriptions lost", "server", group_.server.to_string(), "group", group_.name, "error",
           reason);
  if (loop_.now() - state_since_ < kStableUs) {
    attempt_failed(reason);
    return;
  }
  pause_ = 0;
  worker_.stats().links_lost.add();
  disconnect();
  if (host_.is_wanted()) start_connect();
}

void SubscriptionLink::on_end(int error) {
  const std::string reason = error == 0 ? "it closed the connection" : std::strerror(error);
  if (state_ == State::kReady) {
    lose(reason);
  } else {
    attempt_failed(reason);
  }
}

void SubscriptionLink::check_timeouts() {
  const BackendConfig& config = worker_.config().backend;
  const Ticks now = loop_.now();
  switch (state_) {
    case State::kResolving:
    case State::kConnecting:
    case State::kAuth:
    case State::kPing:
      if (now - state_since_ >= to_ticks(config.connect_timeout)) {
        attempt_failed("no answer within " + std::to_string(config.connect_timeout.count()) +
                       " ms");
      }
      break;
    case State::kReady: {
      const Ticks limit = to_ticks(config.request_timeout);
      if (orders_.empty()) {
        // Nothing comes from a server where nobody publishes, so it has to be asked.
        if (now - last_received_ >= limit / 2) give(Demand::Verb::kPing, ChannelKind::kChannel, "");
      } else if (now - std::max(last_received_, orders_.front().since) >= limit) {
        attempt_failed("no answer within " + std::to_string(config.request_timeout.count()) +
                       " ms");
      }
      break;
    }
    case State::kClosed:
    case State::kWaiting:
      break;
  }
}

// ---- Orders and what comes back -----------------------------------------------------------------

uint64_t SubscriptionLink::subscribe(ChannelKind kind, std::string_view name) {
  return give(Demand::Verb::kSubscribe, kind, name);
}

uint64_t SubscriptionLink::unsubscribe(ChannelKind kind, std::string_view name) {
  return give(Demand::Verb::kUnsubscribe, kind, name);
}

uint64_t SubscriptionLink::give(Demand::Verb verb, ChannelKind kind, std::string_view name) {
  switch (verb) {
    case Demand::Verb::kSubscribe:
      send(request({subscribe_verb(kind), name}));
      break;
    case Demand::Verb::kUnsubscribe:
      send(request({unsubscribe_verb(kind), name}));
      break;
    case Demand::Verb::kPing:
      send(request({"PING"}));
      break;
  }
  orders_.push_back({verb, kind, std::string(name), loop_.now()});
  return ++last_order_;
}

void SubscriptionLink::on_data(std::string_view bytes) {
  last_received_ = loop_.now();
  while (!bytes.empty() && is_open()) {
    uint64_t size = 0;
    const ReplyFramer::Status status = framer_.feed(bytes, size);
    if (status == ReplyFramer::Status::kError) {
      on_end(EPROTO);
      return;
    }
    const std::string_view piece = bytes.substr(0, size);
    bytes.remove_prefix(size);
    const bool complete = status == ReplyFramer::Status::kComplete;
    if (complete && partial_.empty() && !dropping_) {
      take(piece);
      continue;
    }
    if (!dropping_) {
      partial_ += piece;
      loop_.pool().add_bytes(piece.size());
      dropping_ = partial_.size() > worker_.config().proxy.bulk_max + kEnvelopeMax ||
                  (partial_.size() > kKeptAlways && worker_.memory_full());
      if (dropping_) {
        log_warn("a published message is too large to be kept: dropped", "server",
                 group_.server.to_string(), "bytes", partial_.size());
        drop_partial();
        dropping_ = !complete;
        continue;
      }
    }
    if (!complete) continue;
    if (!std::exchange(dropping_, false)) {
      const std::string whole = std::move(partial_);
      partial_.clear();
      loop_.pool().remove_bytes(whole.size());
      take(whole);
    }
  }
}

void SubscriptionLink::drop_partial() noexcept {
  loop_.pool().remove_bytes(partial_.size());
  std::string().swap(partial_);
  dropping_ = false;
}

void SubscriptionLink::take(std::string_view reply) {
  if (state_ != State::kReady) {
    take_handshake(reply);
  } else if (!take_push(reply) && !take_answer(reply)) {
    lose("it sent something that is no message and no answer");
  }
}

bool SubscriptionLink::take_push(std::string_view reply) {
  ReplyCursor elements(reply);
  if (elements.enter() < 3) return false;
  const std::optional<ChannelKind> kind = kind_of_message(reply_text(elements.next()));
  if (!kind) return false;
  host_.message(*kind, reply_text(elements.next()), reply);
  return true;
}

bool SubscriptionLink::take_answer(std::string_view reply) {
  if (orders_.empty()) return false;
  const uint64_t number = answered() + 1;
  const Demand order = std::move(orders_.front());
  orders_.pop_front();
  ReplyCursor elements(reply);
  const std::string_view word = elements.enter() > 0 ? reply_text(elements.next()) : "";
  switch (order.verb) {
    case Demand::Verb::kPing:
      // As an array where something is subscribed to; what an error says does not matter.
      return word == "pong" || reply.starts_with("+PONG") || reply.starts_with('-');
    case Demand::Verb::kSubscribe:
      if (reply.starts_with('-')) {
        host_.refused(*this, number, order.kind, order.name, reply_text(reply));
        return true;
      }
      if (word != subscribe_verb(order.kind)) return false;
      host_.subscribed(*this, number, order.kind, order.name);
      return true;
    case Demand::Verb::kUnsubscribe:
      if (reply.starts_with('-') || word != unsubscribe_verb(order.kind)) return false;
      host_.unsubscribed(*this, number, order.kind, order.name);
      return true;
  }
  return false;
}

}  // namespace pikaproxy
