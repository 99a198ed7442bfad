#include "dashboard/http/http_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace pikaproxy {
namespace {

constexpr size_t kReadBytes = 64 << 10;
static_assert(kReadBytes >= HttpSocket::kReadBytesMin);
constexpr int kEventsPerTurn = 256;
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};
// Events that follow each other within so long reach the streams together: with a thousand streams
// each wake-up is work.
constexpr std::chrono::milliseconds kWakePause{20};

// epoll's names for what are not connections; connections count from kFirstConnection on.
constexpr uint64_t kListener = 0;
constexpr uint64_t kMailbox = 1;
constexpr uint64_t kFirstConnection = 2;

bool add_to_epoll(int epoll, int fd, uint64_t id, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

HttpLoop::HttpLoop(const HttpServerConfig& config, const HttpRoutes& routes, TcpListener listener,
                   HttpMailbox& mailbox, Submit submit)
    : config_(config),
      routes_(routes),
      host_check_(config.allowed_hosts),
      submit_(std::move(submit)),
      mailbox_(mailbox),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      listener_(std::move(listener.fd)),
      next_id_(kFirstConnection),
      scratch_(kReadBytes) {
  const bool is_ready = epoll_.is_open() &&
                        add_to_epoll(epoll_.get(), mailbox_.fd(), kMailbox, EPOLLIN) &&
                        add_to_epoll(epoll_.get(), listener_.get(), kListener, EPOLLIN);
  if (!is_ready) setup_error_ = errno;
}

void HttpLoop::run() {
  std::array<epoll_event, kEventsPerTurn> events;
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, wait_ms());
    now_ = Clock::now();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kListener) {
        accept_some();
      } else if (event.data.u64 == kMailbox) {
        take_mail();
      } else if (const auto found = connections_.find(event.data.u64);
                 found != connections_.end()) {
        on_event(found->second, event.events);
      }
    }
    expire();
    if (is_stopping_ && (connections_.empty() || now_ >= stop_at_)) return;
  }
}

void HttpLoop::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn && listener_.is_open(); ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    FileDescriptor fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size,
                                SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.is_open()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // The listener stays readable: without a pause the loop would spin until something is free.
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
        accept_again_at_ = now_ + kAcceptPause;
        return;
      }
      if (would_block(errno)) return;
      continue;  // That client has gone already.
    }
    Peer peer = describe_peer(from);
    const auto of_peer = connections_by_peer_.find(peer.network);
    if (of_peer != connections_by_peer_.end() &&
        of_peer->second >= config_.connections_per_peer_max) {
      refuse_connection(fd.get(), "Your address has too many connections open here: close some.");
    } else if (connections_.size() >= config_.connections_max && !make_room()) {
      refuse_connection(fd.get(), "All connections of the server are busy: try again.");
    } else {
      add_connection(std::move(fd), std::move(peer));
    }
  }
}

// Idle connections must not keep others out. Closes the one that waits nearest to its deadline.
bool HttpLoop::make_room() {
  for (const auto& [deadline, id] : deadlines_) {
    Connection& connection = connections_.at(id);
    const bool is_idle = connection.state == State::kLingering ||
                         connection.state == State::kHandshaking ||
                         (connection.state == State::kReading && !connection.has_started);
    if (is_idle) {
      close(connection);
      return true;
    }
  }
  return false;
}

// A fresh socket's buffer takes these few bytes at once; a client that has written already may get
// a reset instead, which says the same. One that expects TLS would not understand them: for it the
// end must do.
void HttpLoop::refuse_connection(int fd, std::string detail) {
  if (config_.tls != nullptr) return;
  HttpResponse response = problem_response({503, "too_many_connections", std::move(detail)});
  response.headers.emplace_back("Retry-After", "1");
  const std::string bytes = serialize(response, {.keep_alive = false});
  [[maybe_unused]] const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  ::shutdown(fd, SHUT_WR);
}

void HttpLoop::add_connection(FileDescriptor fd, Peer peer) {
  const uint64_t id = next_id_++;
  Connection& connection =
      connections_.try_emplace(id, config_.limits, std::move(fd), config_.tls.get()).first->second;
  if (!add_to_epoll(epoll_.get(), connection.socket.fd(), id, EPOLLIN)) {
    connections_.erase(id);
    return;
  }
  connection.id = id;
  connection.peer = std::move(peer);
  connection.armed_events = EPOLLIN;
  ++connections_by_peer_[connection.peer.network];
  if (connection.socket.is_tls()) {
    connection.state = State::kHandshaking;
    set_deadline(connection, now_ + config_.handshake_timeout);
  } else {
    set_deadline(connection, now_ + config_.idle_timeout);
  }
}

void HttpLoop::on_event(Connection& connection, uint32_t events) {
  switch (connection.state) {
    case State::kHandshaking:
      return shake_hands(connection);
    case State::kReading:
      // Only "100 Continue" is output in this state.
      if (connection.output.empty()) return read_some(connection);
      return advance(connection);
    case State::kHandling:
      // Nobody is left to answer to, which is reported until epoll forgets the socket. The
      // connection stays until its handler is done, so that connections_max bounds the jobs as
      // well.
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket.fd(), nullptr);
        return;
      }
      // The next request, or the end of the client's: it waits until this one is answered.
      return watch(connection, 0);
    case State::kStreaming:
    case State::kWaiting:
      if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close(connection);
      if ((events & EPOLLIN) != 0) return watch_for_end(connection);
      return advance(connection);
    case State::kWriting:
      return advance(connection);
    case State::kLingering:
      return discard_some(connection);
  }
}

void HttpLoop::shake_hands(Connection& connection) {
  if (!connection.has_started) {
    connection.has_started = true;
    if (connection.socket.drop_to_plain()) return refuse_plain_http(connection);
  }
  switch (connection.socket.handshake()) {
    case HttpSocket::Status::kDone:
      connection.state = State::kReading;
      connection.has_started = false;
      set_deadline(connection, now_ + config_.idle_timeout);
      return watch(connection, EPOLLIN);
    case HttpSocket::Status::kWantsInput:
      return watch(connection, EPOLLIN);
    case HttpSocket::Status::kWantsOutput:
      return watch(connection, EPOLLOUT);
    case HttpSocket::Status::kClosed:
      return close(connection);
  }
}

// Whoever forgot the "s" of "https" shall read why it does not work.
void HttpLoop::refuse_plain_http(Connection& connection) {
  HttpResponse response;
  response.status = 400;
  response.body = "This port speaks HTTPS: write https:// instead of http:// in the address.\n";
  respond(connection, serialize(response, {.keep_alive = false}), false);
  advance(connection);
}

HttpLoop::Intake HttpLoop::take_input(Connection& connection) {
  const auto received = connection.socket.receive(scratch_.data(), scratch_.size());
  switch (received.status) {
    case HttpSocket::Status::kDone:
      connection.input.append(scratch_.data(), received.size);
      connection.buffered += received.size;
      buffered_ += received.size;
      return Intake::kSome;
    case HttpSocket::Status::kWantsInput:
      watch(connection, EPOLLIN);
      return Intake::kNone;
    case HttpSocket::Status::kWantsOutput:
      // TLS has something to say first. What it does not read yet would be reported on and on.
      watch(connection, EPOLLOUT);
      return Intake::kNone;
    case HttpSocket::Status::kClosed:
      break;
  }
  return Intake::kEnd;
}

void HttpLoop::read_some(Connection& connection) {
  switch (take_input(connection)) {
    case Intake::kSome:
      return advance(connection);
    case Intake::kNone:
      return;
    case Intake::kEnd:
      // A client that stops in the middle of a request gets no answer: it did not ask anything.
      return close(connection);
  }
}

// A client whose body is under way has nothing to say but that it goes. A request sent ahead waits,
// so its connection is not read from any more, and its end is noticed when something is sent.
void HttpLoop::watch_for_end(Connection& connection) {
  switch (take_input(connection)) {
    case Intake::kSome:
      return watch(connection, 0);
    case Intake::kNone:
      return;
    case Intake::kEnd:
      return close(connection);
  }
}

void HttpLoop::discard_some(Connection& connection) {
  const auto status = connection.socket.discard(scratch_.data(), scratch_.size());
  if (status == HttpSocket::Status::kClosed) close(connection);
}

// Carries the connection as far as it goes without waiting. It may be closed then.
void HttpLoop::advance(Connection& connection) {
  while (true) {
    if (!connection.output.empty()) {
      const Flush result = flush(connection);
      if (result == Flush::kBroken) return close(connection);
      if (result == Flush::kBlocked) {
        if (connection.state == State::kStreaming && connection.deadline == Clock::time_point{}) {
          set_deadline(connection, now_ + config_.response_timeout);
        }
        return watch(connection, EPOLLOUT);
      }
      if (connection.state == State::kStreaming) {
        clear_deadline(connection);
        if (connection.is_source_done) {
          end_source(connection);
          return linger(connection);
        }
      }
      if (connection.state == State::kWriting) {
        if (!connection.keep_alive) return linger(connection);
        begin_next_request(connection);
      }
    }
    // While a handler runs, epoll is left watching for input: mostly there is none, which saves two
    // system calls per request.
    if (connection.state == State::kHandling) return;
    if (connection.state == State::kStreaming || connection.state == State::kWaiting) {
      // A client that has taken all is asked for more at once: the source may hold some back.
      return pull(connection);
    }
    if (!has_input(connection)) {
      connection.input = {};
      connection.input_used = 0;
      return watch(connection, EPOLLIN);
    }
    consume(connection);
  }
}

HttpLoop::Flush HttpLoop::flush(Connection& connection) {
  while (connection.output_sent < connection.output.size()) {
    const auto sent =
        connection.socket.send(std::string_view(connection.output).substr(connection.output_sent));
    if (sent.status == HttpSocket::Status::kWantsOutput) return Flush::kBlocked;
    // Without renegotiation TLS never has to read before it can write.
    if (sent.status != HttpSocket::Status::kDone) return Flush::kBroken;
    connection.output_sent += sent.size;
  }
  connection.output = {};
  connection.output_sent = 0;
  return Flush::kDone;
}

bool HttpLoop::has_input(const Connection& connection) const noexcept {
  return connection.input_used < connection.input.size();
}

// Uses some input, which leads to a job, to output, or to no input being left.
void HttpLoop::consume(Connection& connection) {
  if (!connection.has_started) {
    connection.has_started = true;
    set_deadline(connection, now_ + config_.request_timeout);
  }
  HttpRequestReader& reader = connection.reader;
  connection.input_used +=
      reader.read(std::string_view(connection.input).substr(connection.input_used));
  if (reader.state() == HttpRequestReader::State::kFailed) {
    return refuse(connection, reader.problem(), false);
  }
  if (reader.state() == HttpRequestReader::State::kHead) return;
  if (!connection.has_judged) judge(connection);
  // Heads are small and let through: what asks how the server is must not starve.
  if (connection.state == State::kReading && reader.body_size() > 0 &&
      buffered_ > config_.buffered_max) {
    return refuse(connection,
                  {503, "out_of_memory", "The server holds too many bytes of requests: try again."},
                  false);
  }
  if (connection.state == State::kReading &&
      reader.state() == HttpRequestReader::State::kComplete) {
    submit(connection);
  }
}

// Refuses a request by its head, before its body is read. A connection with a body on its way
// cannot be kept then.
void HttpLoop::judge(Connection& connection) {
  connection.has_judged = true;
  HttpRequestReader& reader = connection.reader;
  const HttpRequest& request = reader.request();
  const bool keep_alive = request.keep_alive && reader.body_size() == 0;
  // A 1.0 client may send no Host at all; no browser is one.
  if (!request.host.empty() || !request.is_http_1_0) {
    if (!host_check_.allows(request.host)) {
      return refuse(connection,
                    {421, "host_not_allowed",
                     "The Host header names a host that this server does not answer to: use its IP "
                     "address, or add the name to admin.allowed_hosts."},
                    keep_alive);
    }
  }
  HttpRoutes::Match match = routes_.find(request.method, request.path, request.raw_path);
  if (match.route == nullptr && match.allow.empty()) {
    return refuse(connection,
                  {404, "not_found", "Nothing is served at this path: GET / lists what is."},
                  keep_alive);
  }
  if (match.route == nullptr) {
    return refuse(connection,
                  {405, "method_not_allowed", "This path is served for " + match.allow + " only."},
                  keep_alive, match.allow);
  }
  connection.route = match.route;
  reader.request().path_parameters = std::move(match.parameters);
  if (reader.expects_continue() && !has_input(connection)) {
    connection.output = "HTTP/1.1 100 Continue\r\n\r\n";
  }
}

void HttpLoop::submit(Connection& connection) {
  connection.state = State::kHandling;
  clear_deadline(connection);
  HttpJob job;
  job.connection = connection.id;
  job.route = connection.route;
  job.request = std::move(connection.reader.request());
  job.request.peer = connection.peer.address;
  job.request.is_tls = connection.socket.is_tls();
  submit_(std::move(job));
}

void HttpLoop::respond(Connection& connection, std::string_view bytes, bool keep_alive) {
  connection.state = State::kWriting;
  connection.keep_alive = keep_alive && !is_stopping_;
  connection.output += bytes;  // Behind a "100 Continue" that is still on its way.
  set_deadline(connection, now_ + config_.response_timeout);
}

void HttpLoop::refuse(Connection& connection, const HttpProblem& problem, bool keep_alive,
                      std::string allow) {
  const HttpRequest& request = connection.reader.request();
  HttpResponse response = problem_response(problem);
  if (!allow.empty()) response.headers.emplace_back("Allow", std::move(allow));
  if (problem.status == 503) response.headers.emplace_back("Retry-After", "1");
  HttpFraming framing{keep_alive, request.is_http_1_0, request.method == "HEAD"};
  framing.is_tls = connection.socket.is_tls();
  respond(connection, serialize(response, framing), keep_alive);
}

void HttpLoop::begin_next_request(Connection& connection) {
  connection.state = State::kReading;
  connection.reader = HttpRequestReader(config_.limits);
  connection.has_started = false;
  connection.has_judged = false;
  connection.route = nullptr;
  const size_t left = connection.input.size() - connection.input_used;
  buffered_ -= connection.buffered - left;
  connection.buffered = left;
  set_deadline(connection, now_ + config_.idle_timeout);
}

// Closing a socket with bytes unread makes the kernel send a reset, which can overtake the
// response. So the client is told that no more comes, and what it still sends is thrown away for a
// while.
void HttpLoop::linger(Connection& connection) {
  if (is_stopping_ || !connection.socket.finish()) return close(connection);
  connection.state = State::kLingering;
  connection.input = {};
  connection.input_used = 0;
  connection.reader = HttpRequestReader(config_.limits);
  buffered_ -= std::exchange(connection.buffered, 0);
  set_deadline(connection, now_ + config_.linger_timeout);
  watch(connection, EPOLLIN);
}

void HttpLoop::close(Connection& connection) {
  clear_deadline(connection);
  pulls_.erase({connection.pull_at, connection.id});
  buffered_ -= connection.buffered;
  const auto of_peer = connections_by_peer_.find(connection.peer.network);
  if (--of_peer->second == 0) connections_by_peer_.erase(of_peer);
  connections_.erase(connection.id);
}

void HttpLoop::watch(Connection& connection, uint32_t events) {
  if (connection.armed_events == events) return;
  connection.armed_events = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = connection.id;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.fd(), &event);
}

void HttpLoop::clear_deadline(Connection& connection) {
  deadlines_.erase({connection.deadline, connection.id});
  connection.deadline = {};
}

void HttpLoop::set_deadline(Connection& connection, Clock::time_point deadline) {
  deadlines_.erase({connection.deadline, connection.id});
  connection.deadline = deadline;
  deadlines_.emplace(deadline, connection.id);
}

void HttpLoop::take_mail() {
  HttpMailbox::Mail mail = mailbox_.take();
  if (mail.stop && !is_stopping_) begin_stop();
  for (HttpJobResult& result : mail.results) {
    const auto found = connections_.find(result.connection);
    if (found == connections_.end()) continue;
    if (result.source != nullptr) {
      begin_source(found->second, result);
      continue;
    }
    respond(found->second, result.bytes, result.keep_alive);
    advance(found->second);
  }
  if (mail.wake) wake_at_ = std::min(wake_at_, std::max(now_, woken_at_ + kWakePause));
}

void HttpLoop::begin_source(Connection& connection, HttpJobResult& result) {
  if (pulls_.size() >= config_.sources_max || is_stopping_) {
    return refuse_source(connection, result.framing);
  }
  connection.state = result.is_stream ? State::kStreaming : State::kWaiting;
  connection.source = std::move(result.source);
  connection.pending = std::move(result.pending);
  connection.framing = result.framing;
  connection.keep_alive = result.keep_alive;
  connection.is_source_done = false;
  connection.output += result.bytes;
  set_pull(connection, Clock::time_point::max());
  watch(connection, EPOLLIN);
  advance(connection);
}

void HttpLoop::refuse_source(Connection& connection, const HttpFraming& framing) {
  HttpResponse response = problem_response(
      {503, "too_many_streams", "Too many event streams are open: close some, or try again."});
  response.headers.emplace_back("Retry-After", "5");
  HttpFraming own{framing.keep_alive, framing.is_http_1_0, false};
  own.is_tls = framing.is_tls;
  respond(connection, serialize(response, own), framing.keep_alive);
  advance(connection);
}

// Asks the source and sends what it gives. The connection may be closed then.
void HttpLoop::pull(Connection& connection) {
  if (!connection.output.empty() || connection.is_source_done) return;
  const bool is_stream = connection.state == State::kStreaming;
  std::string& out = is_stream ? connection.output : connection.pending.body;
  const HttpBodySource::Pull next = connection.source->pull(out, now_);
  connection.is_source_done = next.is_end;
  set_pull(connection, next.is_end ? Clock::time_point::max() : next.again_at);
  if (is_stream) {
    if (!connection.output.empty()) return advance(connection);
    if (!next.is_end) return watch(connection, EPOLLIN);
    end_source(connection);
    return linger(connection);
  }
  if (!next.is_end) return;
  const HttpResponse response = std::move(connection.pending);
  const HttpFraming framing = connection.framing;
  end_source(connection);
  respond(connection, serialize(response, framing), connection.keep_alive);
  advance(connection);
}

void HttpLoop::end_source(Connection& connection) {
  pulls_.erase({connection.pull_at, connection.id});
  connection.source.reset();
  connection.pending = {};
}

void HttpLoop::pull_all() {
  woken_at_ = now_;
  wake_at_ = Clock::time_point::max();
  std::vector<uint64_t> ids;
  ids.reserve(pulls_.size());
  for (const auto& [at, id] : pulls_) ids.push_back(id);
  for (const uint64_t id : ids) {
    if (const auto found = connections_.find(id); found != connections_.end()) pull(found->second);
  }
}

void HttpLoop::set_pull(Connection& connection, Clock::time_point at) {
  pulls_.erase({connection.pull_at, connection.id});
  connection.pull_at = at;
  pulls_.emplace(at, connection.id);
}

void HttpLoop::begin_stop() {
  is_stopping_ = true;
  stop_at_ = now_ + config_.stop_timeout;
  accept_again_at_ = Clock::time_point::max();
  listener_.reset();
  for (auto next = connections_.begin(); next != connections_.end();) {
    Connection& connection = (next++)->second;
    connection.keep_alive = false;
    if (connection.state != State::kHandling && connection.state != State::kWriting) {
      close(connection);
    }
  }
}

void HttpLoop::expire() {
  if (now_ >= accept_again_at_) {
    accept_again_at_ = Clock::time_point::max();
    add_to_epoll(epoll_.get(), listener_.get(), kListener, EPOLLIN);
  }
  if (now_ >= wake_at_) pull_all();
  while (!pulls_.empty() && pulls_.begin()->first <= now_) {
    Connection& connection = connections_.at(pulls_.begin()->second);
    // A client that has not taken the last piece yet is asked about when it has.
    set_pull(connection, Clock::time_point::max());
    pull(connection);
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_) {
    Connection& connection = connections_.at(deadlines_.begin()->second);
    if (connection.state == State::kReading && connection.has_started) {
      refuse(connection,
             {408, "request_timeout",
              "The request was not complete within " +
                  std::to_string(config_.request_timeout.count()) + " ms."},
             false);
      advance(connection);
    } else {
      close(connection);
    }
  }
}

int HttpLoop::wait_ms() const {
  Clock::time_point next = std::min({accept_again_at_, stop_at_, wake_at_});
  if (!pulls_.empty()) next = std::min(next, pulls_.begin()->first);
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  if (next == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

}  // namespace pikaproxy
