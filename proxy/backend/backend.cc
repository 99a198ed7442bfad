#include "proxy/backend/backend.h"

#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "common/resp.h"
#include "proxy/backend/reply_lift.h"
#include "proxy/io/resolver.h"
#include "proxy/io/socket_options.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// A reply of which so much has come is passed on while the rest is on its way. Smaller ones are
// kept whole, so that a server's death in mid-reply can be answered with an error.
constexpr size_t kStreamMin = 64 * 1024;
// So much of a value left: worth two system calls that do not copy it.
constexpr uint64_t kRelayMin = 32 * 1024;
// A connection that worked for so long is made again at once when it is lost.
constexpr Ticks kStableUs = 1'000'000;
constexpr size_t kHandshakeReplyMax = 64 * 1024;
// A push message. Redis puts all keys that a turn of its loop has changed into one.
constexpr size_t kPushMax = 64 * 1024 * 1024;
// A connection that tells of changed keys must not be silent for longer.
constexpr Ticks kSilenceMaxUs = 5'000'000;
constexpr Ticks kKillAgainUs = 10'000;
constexpr int kReadsPerLook = 256;
constexpr Ticks kIdleMaxUs = 10'000'000;
constexpr uint8_t kIdentifyReplies = 3;  // To identity_questions().

Ticks to_ticks(Milliseconds duration) {
  return duration.count() * 1000;
}

std::string request(std::initializer_list<std::string_view> args) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(args.size()));
  for (const std::string_view arg : args) resp::append_bulk(out, arg);
  return out;
}

void close_socket(int fd) {
  if (fd >= 0) ::close(fd);
}

// Reads some of what has come and forgets it. True: nothing will come any more.
bool has_ended(int fd) {
  char scratch[16 * 1024];
  for (int reads = 0; reads < kReadsPerLook; ++reads) {
    const ssize_t size = ::recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (size > 0 || (size < 0 && errno == EINTR)) continue;
    return size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
  return false;
}

// Whether a server that answers CLIENT ID so has to be taken for careless. No Redis is: before 5.0
// all answer "ERR Syntax error, try CLIENT (LIST | KILL ...", codis-server too, where Pika names
// other forms of CLIENT LIST; later ones refuse it to users who may not run it.
bool sounds_careless(std::string_view reply) {
  if (reply.starts_with("-NOPERM")) {
    return !reply.starts_with("-NOPERM User ") &&
           reply.find("or its subcommand") == std::string_view::npos;
  }
  return reply.starts_with("-ERR") && reply.find("(LIST | KILL") == std::string_view::npos;
}

std::string describe_error(int error) {
  return error == 0 ? "closed" : std::strerror(error);
}

}  // namespace

Backend::Backend(Worker& worker, Resolver& resolver, const GroupConfig& group, uint32_t db,
                 Lane lane, std::shared_ptr<ServerStats> stats)
    : Stream(worker.loop(), Order::kLast),
      worker_(worker),
      resolver_(resolver),
      group_(group),
      db_(db),
      lane_(lane),
      label_("server " + group.server.to_string() + " of group " + group.name),
      stats_(std::move(stats)) {}

Backend::~Backend() {
  *alive_ = false;
  if (retry_timer_) loop_.cancel_timer(*retry_timer_);
  disconnect();
  for (const Identity& old : given_up_) close_socket(old.fd);
  for (const int fd : ending_) close_socket(fd);
  waiting_.clear(loop_.pool());
}

void Backend::shut() {
  disconnect();
  if (is_tracking(lane_)) worker_.tracking().on_lost(*this);
  state_ = State::kClosed;
  retired_ = true;
  fail_tasks("ERR " + label_ + " was removed from the topology");
}

void Backend::give_up() {
  retired_ = true;
  if (state_ == State::kReady) {
    end_connection("was not needed any more", false);
  } else {
    fail_tasks("ERR " + label_ + " was not needed any more");
  }
}

void Backend::disconnect() noexcept {
  if (!is_open()) return;
  ++connections_ended_;
  stats_->connections.subtract();
  close();
}

bool Backend::serves(const GroupConfig& group) const noexcept {
  return group.name == group_.name && group.server == group_.server && group.user == group_.user &&
         group.password == group_.password;
}

void Backend::set_credentials(const GroupConfig& group) {
  group_.user = group.user;
  group_.password = group.password;
  plain_auth_ = false;
}

bool Backend::accept(Task* task, uint64_t size) {
  const BackendConfig& limits = worker_.config().backend;
  if (retired_) {
    worker_.fail(task, "ERR " + label_ + " was removed from the topology");
    return false;
  }
  if (auth_lost_) {
    worker_.fail(task,
                 "ERR " + label_ + " asks for a password; check the group's user and password");
    return false;
  }
  if (!reachable_) {
    worker_.fail(task, "ERR " + label_ + " is not reachable: " + last_error_);
    return false;
  }
  if (tasks_.size() >= limits.pending_max) {
    worker_.fail(task, "ERR " + label_ + " has too many requests waiting (backend.pending_max)");
    return false;
  }
  const uint64_t queued = output_bytes() + waiting_.bytes();
  if (queued > 0 && queued + size > limits.queue_max) {
    worker_.fail(task, "ERR " + label_ + " has too many bytes waiting (backend.queue_max)");
    return false;
  }
  task->backend = this;
  task->sent = 0;
  tasks_.push(task);
  ++accepted_;
  if (unsent_ == nullptr) unsent_ = task;
  stats_->requests.add();
  stats_->inflight.add();
  if (state_ == State::kClosed) start_connect();
  return true;
}

void Backend::write(std::string_view bytes) {
  if (state_ == State::kReady) {
    send(bytes);
  } else {
    waiting_.append(loop_.pool(), bytes);
  }
}

void Backend::write_own(char* data, size_t begin, size_t end, size_t capacity) {
  if (state_ == State::kReady) {
    send_own(data, begin, end, capacity);
  } else {
    waiting_.adopt(loop_.pool(), data, begin, end, capacity);
  }
}

void Backend::open() {
  if (state_ == State::kClosed) start_connect();
}

void Backend::start_connect() {
  state_since_ = loop_.now();
  ++attempt_;
  if (group_.server.is_unix() || Resolver::is_literal(group_.server.host)) {
    // Not from within the caller: an attempt that fails at once would answer a task that is only
    // being accepted.
    state_ = State::kResolving;
    loop_.add_timer(0, [this, alive = alive_] {
      if (*alive && state_ == State::kResolving) connect_to(group_.server);
    });
    return;
  }
  state_ = State::kResolving;
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

void Backend::connect_to(const Address& address) {
  SocketAddress target;
  if (!target.set(address)) {
    attempt_failed("not an address: " + address.to_string());
    return;
  }
  state_ = State::kConnecting;
  if (!Stream::connect(target.get(), target.size())) {
    attempt_failed(describe_error(errno));
    return;
  }
  stats_->connections.add();
}

void Backend::on_connect(int error) {
  if (error != 0) {
    attempt_failed(describe_error(error));
    return;
  }
  set_socket_options(fd(), worker_.config().proxy.tcp_keepalive);
  framer_.reset(ReplyFramer::Dialect::kResp2);
  handshake_reply_.clear();
  push_.clear();
  is_pushing_ = is_lifting_ = false;
  scripts_.clear();
  state_ = State::kConnecting;
  next_handshake_step();
}

void Backend::next_handshake_step() {
  if (state_ == State::kConnecting && !group_.password.empty()) {
    state_ = State::kAuth;
    // With a user name even where none was given: Pika answers OK to any one-argument AUTH while
    // its userpass is unset; servers before Redis 6 know only that form and say so.
    const std::string_view user = group_.user.empty() ? "default" : std::string_view(group_.user);
    send(plain_auth_ ? request({"AUTH", group_.password})
                     : request({"AUTH", user, group_.password}));
  } else if (state_ < State::kHello && is_resp3(lane_)) {
    state_ = State::kHello;
    framer_.reset(ReplyFramer::Dialect::kResp3);
    send(request({"HELLO", "3"}));
  } else if (state_ < State::kTrack && is_tracking(lane_)) {
    state_ = State::kTrack;
    send(lane_ == Lane::kBroadcast ? request({"CLIENT", "TRACKING", "ON", "BCAST"})
                                   : request({"CLIENT", "TRACKING", "ON"}));
  } else if (state_ != State::kSelect && db_ != 0) {
    state_ = State::kSelect;
    send(request({"SELECT", std::to_string(db_)}));
  } else {
    // A hung server's kernel still accepts connections: only an answer shows that it lives.
    // Along with it goes what makes this connection known, should it have to be killed later. A
    // server that knows none of this says so, and that is fine.
    state_ = State::kPing;
    identified_ = 0;
    is_careless_ = is_unidentified_ = false;
    identity_ = {"", local_name(fd())};
    for (const std::string& question : identity_questions()) send(question);
    send(request({"PING"}));
  }
}

void Backend::on_handshake_reply(std::string_view reply) {
  const std::string text(reply_text(reply));
  if (state_ == State::kSettle) {
    on_kill_reply(reply);
    return;
  }
  if (state_ == State::kHello) {
    on_hello_reply(reply);
    return;
  }
  if (state_ == State::kPing && identified_ < kIdentifyReplies) {
    note_identity(reply);
    return;
  }
  if (state_ == State::kPing) {
    if (is_auth_lost(reply)) {
      attempt_failed("it asks for a password; check the group's user and password");
    } else if (reply == "+PONG\r\n" || (reply.starts_with('-') && !reply.starts_with("-ERR"))) {
      // LOADING, MASTERDOWN and alike are for the clients to see, with each request.
      kill_by_id_ = true;
      settle();
    } else {
      attempt_failed(reply.starts_with('-') ? "it answers PING with: " + text
                                            : "it does not answer PING as a Redis server does");
    }
    return;
  }
  if (state_ == State::kTrack && reply.starts_with("-")) {
    refuse_tracking(text);
    return;
  }
  if (reply.starts_with("+OK")) {
    next_handshake_step();
    return;
  }
  if (state_ == State::kAuth && !plain_auth_ && group_.user.empty() &&
      text.find("wrong number of arguments") != std::string::npos) {
    plain_auth_ = true;
    state_ = State::kConnecting;
    next_handshake_step();
    return;
  }
  attempt_failed(std::string("it refused ") + (state_ == State::kAuth ? "AUTH" : "SELECT") + ": " +
                 text);
}

void Backend::on_hello_reply(std::string_view reply) {
  if (!reply.starts_with('%') && is_tracking(lane_)) {
    refuse_tracking(reply_text(reply));
    return;
  }
  if (!reply.starts_with('%')) {
    // Pika, Redis before 6, a server whose HELLO was renamed: it goes on with RESP2.
    is_lifting_ = true;
    framer_.reset(ReplyFramer::Dialect::kResp2);
  }
  next_handshake_step();
}

void Backend::refuse_tracking(std::string_view answer) {
  const std::string reason = "no client-side caching: " + std::string(answer);
  if (!given_up_.empty()) {
    // Once it had: whatever is there now, what was given up has to be seen to.
    attempt_failed("it has " + reason);
    return;
  }
  disconnect();
  state_ = State::kClosed;
  fail_tasks("ERR unknown subcommand 'TRACKING': " + label_ + " has " + reason);
}

void Backend::note_identity(std::string_view reply) {
  ++identified_;
  int64_t number = 0;
  if (reply_integer(reply, number)) {
    identity_.id = std::to_string(number);
    is_unidentified_ = false;
    return;
  }
  if (identified_ == kIdentifyReplies) {
    is_careless_ = sounds_careless(reply);
    is_unidentified_ = reply.starts_with("-BUSY");
    return;
  }
  // CLIENT INFO (Redis 6.2): "id=7 addr=10.0.0.5:50123 laddr=...". What the server sees as our
  // address is not what we see where addresses are translated on the way.
  constexpr std::string_view kField = " addr=";
  const size_t at = reply.find(kField);
  const bool is_text = reply.starts_with('$') || reply.starts_with('=');
  if (!is_text || at == std::string_view::npos) return;
  const std::string_view rest = reply.substr(at + kField.size());
  identity_.address = rest.substr(0, rest.find(' '));
}

std::array<std::string, 3> Backend::identity_questions() const {
  return {request({"CLIENT", "SETNAME",
                   worker_.manager().connection_name() + std::to_string(worker_.index())}),
          request({"CLIENT", "INFO"}), request({"CLIENT", "ID"})};
}

void Backend::identify_again() {
  identified_ = 0;
  for (const std::string& question : identity_questions()) {
    worker_.ask(*this, question, [this](std::string_view reply) {
      // Not what came of a connection that is gone.
      if (state_ == State::kReady && identified_ < kIdentifyReplies) note_identity(reply);
    });
  }
}

void Backend::settle() {
  if (given_up_.empty()) {
    become_ready();
    return;
  }
  state_ = State::kSettle;
  const Identity& old = given_up_.front();
  if (kill_by_id_ && !old.id.empty()) {
    // With the address too: after a restart the id may be somebody else's.
    send(request({"CLIENT", "KILL", "ID", old.id, "ADDR", old.address}));
  } else {
    // The oldest form, which is all that Pika and servers before Redis 2.8.12 know.
    kill_by_id_ = false;
    send(request({"CLIENT", "KILL", old.address}));
  }
}

void Backend::on_kill_reply(std::string_view reply) {
  if (reply == ":0\r\n" || reply.find("No such client") != std::string_view::npos) {
    settled_one(kill_asked_);
    settle();
  } else if (!reply.starts_with('-')) {
    // Killed. Asked again, since a server may only have taken note of it: it reads nothing more
    // from it when it does not know it any more.
    if (!kill_asked_) {
      log_info("killed a connection that was given up", "server", group_.server.to_string(), "db",
               db_, "address", given_up_.front().address);
    }
    kill_asked_ = true;
    retry_timer_ = loop_.add_timer(kKillAgainUs, [this] {
      retry_timer_.reset();
      if (state_ == State::kSettle) settle();
    });
  } else if (!reply.starts_with("-ERR") && !reply.starts_with("-NOPERM")) {
    attempt_failed("it answers CLIENT KILL with: " + std::string(reply_text(reply)));
  } else if (kill_by_id_ && !given_up_.front().id.empty()) {
    kill_by_id_ = false;
    settle();
  } else {
    log_warn(
        "cannot kill a connection that was given up: waiting for backend.request_timeout to"
        " pass; allow this user CLIENT KILL",
        "server", group_.server.to_string(), "db", db_, "error", std::string(reply_text(reply)));
    unsettled_until_ = loop_.now() + to_ticks(worker_.config().backend.request_timeout);
    while (!given_up_.empty()) settled_one(false);
    become_ready();
  }
}

void Backend::settled_one(bool was_killed) {
  const int fd = given_up_.front().fd;
  given_up_.erase(given_up_.begin());
  kill_by_id_ = true;
  kill_asked_ = false;
  if (fd < 0) return;
  // One that the server does not know by this address ends when it has read all that was sent.
  if (!was_killed) ::shutdown(fd, SHUT_WR);
  ending_.push_back(fd);
  check_ending();
}

void Backend::stay_awake() {
  // Nobody waits for the answer.
  Task* task = worker_.tasks().take();
  task->command = find_command("ping");
  task->started = loop_.now();
  task->prefix_size = 0;
  constexpr std::string_view kPing = "*1\r\n$4\r\nPING\r\n";
  if (accept(task, kPing.size())) write(kPing);
}

void Backend::check_ending() {
  std::erase_if(ending_, [](int fd) {
    if (!has_ended(fd)) return false;
    close_socket(fd);
    return true;
  });
}

std::string Backend::lacks(Need need) const {
  if (need == Need::kClientId && is_unidentified_) {
    return label_ + " is busy running a script, so nothing can wait there now; try again";
  }
  if (need == Need::kClientId) {
    return label_ + " does not know CLIENT ID, so nothing can wait there; poll instead";
  }
  return label_ +
         " breaks its protocol, as Pika does, over a line break in a key, over XREAD of several"
         " streams, and over XREAD and XDEL in a transaction: such requests are refused";
}

void Backend::become_ready() {
  state_ = State::kReady;
  ready_since_ = last_received_ = loop_.now();
  if (!reachable_ || attempt_ > 1) {
    log_info("server connected", "server", group_.server.to_string(), "group", group_.name, "db",
             db_);
  }
  reachable_ = true;
  attempt_ = 0;
  stats_->connects_ok.add();
  if (is_main()) stats_->up.set(1);
  stray_line_ = {};
  const auto is_missed = [&](Need need, bool is_lacking) {
    return is_lacking && (needs_ & static_cast<uint8_t>(need)) != 0;
  };
  // All of them: their bytes stand in one queue.
  if (is_missed(Need::kCare, is_careless_)) {
    fail_tasks("ERR " + lacks(Need::kCare));
  } else if (is_missed(Need::kClientId, identity_.id.empty())) {
    fail_tasks("ERR " + lacks(Need::kClientId));
  }
  needs_ = 0;
  // Whose tasks failed may have had no use for it any more.
  if (state_ == State::kReady) send_queue(waiting_);
  if (is_tracking(lane_) && state_ == State::kReady) worker_.tracking().on_ready(*this);
}

void Backend::attempt_failed(const std::string& reason) {
  const BackendConfig& config = worker_.config().backend;
  disconnect();
  stats_->connects_failed.add();
  if (reachable_ || reason != last_error_) {
    log_warn("server not reachable", "server", group_.server.to_string(), "group", group_.name,
             "db", db_, "error", reason);
  }
  last_error_ = reason;
  reachable_ = false;
  if (is_main()) stats_->up.set(0);
  fail_tasks("ERR " + label_ + " is not reachable: " + reason);
  pause_ = pause_ == 0 ? to_ticks(config.reconnect_min)
                       : std::min(2 * pause_, to_ticks(config.reconnect_max));
  state_ = State::kWaiting;
  state_since_ = loop_.now();
  if (retry_timer_) loop_.cancel_timer(*retry_timer_);
  retry_timer_ = loop_.add_timer(pause_, [this] {
    retry_timer_.reset();
    if (!retired_ || !given_up_.empty()) start_connect();
  });
}

void Backend::lose(const std::string& reason, bool server_closed) {
  if (server_closed && tasks_.empty()) {
    // Servers close what has been idle for long.
    log_debug("server closed an idle connection", "server", group_.server.to_string(), "db", db_);
  } else {
    stats_->lost.add();
    log_warn("server connection lost", "server", group_.server.to_string(), "inflight",
             tasks_.size(), "error", reason, "db", db_);
  }
  end_connection(reason, server_closed);
}

void Backend::end_connection(const std::string& reason, bool server_closed) {
  if (!server_closed && !tasks_.empty()) {
    given_up_.push_back(identity_);
    if (identity_.id.empty()) {
      given_up_.back().fd = release();
      ++connections_ended_;
      stats_->connections.subtract();
    }
  }
  disconnect();
  const bool was_stable = loop_.now() - ready_since_ >= kStableUs || last_received_ > ready_since_;
  if (was_stable) pause_ = 0;
  state_ = State::kClosed;
  auth_lost_ = false;
  if (is_tracking(lane_)) worker_.tracking().on_lost(*this);
  fail_tasks("ERR " + label_ + " " + reason + "; the request may or may not have been executed");
  const bool must_settle = !given_up_.empty();
  if (retired_ && !must_settle) return;
  if (!was_stable) {
    attempt_failed(reason);
  } else if ((is_main() || must_settle) && state_ == State::kClosed) {
    start_connect();
  }
}

void Backend::fail_tasks(const std::string& error) {
  waiting_.clear(loop_.pool());
  needs_ = 0;
  unsent_ = nullptr;
  // What an answer leads to may bring new tasks here; they are not part of this failure.
  BackendTaskQueue failed;
  std::swap(failed, tasks_);
  while (!failed.empty()) {
    stats_->inflight.subtract();
    worker_.fail(failed.pop(), error);
  }
}

void Backend::on_end(int error) {
  switch (state_) {
    case State::kReady:
      lose(error == 0 ? "closed the connection" : "broke the connection: " + describe_error(error),
           error == 0);
      break;
    case State::kConnecting:
    case State::kAuth:
    case State::kHello:
    case State::kTrack:
    case State::kSelect:
    case State::kPing:
    case State::kSettle:
      attempt_failed(error == 0 ? "it closed the connection" : describe_error(error));
      break;
    default:
      break;
  }
}

void Backend::on_flush() {
  if (state_ != State::kReady) return;
  const Ticks now = loop_.now();
  for (Task* task = unsent_; task != nullptr; task = task->next_of_backend) task->sent = now;
  unsent_ = nullptr;
}

void Backend::on_sent() {
  if (output_bytes() > 0) last_sent_part_ = loop_.now();
}

void Backend::on_data(std::string_view bytes) {
  last_received_ = loop_.now();
  while (!bytes.empty() && is_open()) {
    if (is_careless() && framer_.at_start()) {
      if (!stray_line_.take(bytes)) {
        lose("answered something that is not RESP2");
        return;
      }
      if (bytes.empty()) break;
    }
    if (framer_.dialect() == ReplyFramer::Dialect::kResp3 && take_push(bytes)) continue;
    if (state_ == State::kReady && tasks_.empty()) {
      lose("sent a reply that nobody asked for");
      return;
    }
    const bool first = framer_.at_start();
    uint64_t size = 0;
    const ReplyFramer::Status status = framer_.feed(bytes, size);
    if (status == ReplyFramer::Status::kError) {
      const bool is_resp3 = framer_.dialect() == ReplyFramer::Dialect::kResp3;
      end_attempt_or_lose(std::string("answered something that is not RESP") +
                          (is_resp3 ? '3' : '2'));
      return;
    }
    const std::string_view piece = bytes.substr(0, size);
    bytes.remove_prefix(size);
    const bool complete = status == ReplyFramer::Status::kComplete;
    if (state_ == State::kReady) {
      take_reply(piece, first, complete);
      continue;
    }
    handshake_reply_ += piece;
    if (handshake_reply_.size() > kHandshakeReplyMax) {
      attempt_failed("an answer to its handshake is too long");
    } else if (complete) {
      const std::string reply = std::move(handshake_reply_);
      handshake_reply_.clear();
      on_handshake_reply(reply);
    }
  }
  if (auth_lost_ && tasks_.empty() && state_ == State::kReady) {
    lose("asks for a password; check the group's user and password");
  }
}

Stream* Backend::relay_target(uint64_t& bytes) {
  bytes = framer_.body_left();
  if (bytes < kRelayMin || state_ != State::kReady || is_pushing_) return nullptr;
  const Task* task = tasks_.front();
  if (!task->streaming || task->client == nullptr || !task->client->can_relay()) return nullptr;
  return task->client;
}

void Backend::on_relayed(uint64_t bytes) {
  last_received_ = loop_.now();
  framer_.pass(bytes);
  // The client may have left while it was sent to.
  if (Client* client = tasks_.front()->client) client->relayed(bytes);
}

bool Backend::take_reply_before(Task* task, std::string_view piece, bool first, bool complete) {
  if (task->replies_before == 0) return false;
  // OK and QUEUED, and nobody waits for these. The first error says why EXEC will fail.
  if (first && complete && piece[0] == '-' && task->error_before == 0) {
    task->reply.append(loop_.pool(), piece);
    task->error_before = static_cast<uint32_t>(piece.size());
  }
  if (complete) --task->replies_before;
  return true;
}

void Backend::take_reply(std::string_view piece, bool first, bool complete) {
  Task* const task = tasks_.front();
  if (is_careless_) {
    task->from_careless = true;
    if (complete) stray_line_.allow();
  }
  if (take_reply_before(task, piece, first, complete)) return;
  if (first) {
    task->is_error = piece[0] == '-' || piece[0] == '!';
    // EXEC went well after all: what was said of a request before is no use any more.
    if (task->error_before > 0 && !task->is_error) {
      task->reply.clear(loop_.pool());
      task->error_before = 0;
    }
  }
  if (!complete) {
    if (task->streaming) {
      worker_.stream(task, piece);
    } else if (task->is_wanted()) {
      if (worker_.memory_full() && task->reply.size() > kStreamMin) task->dropped = true;
      if (task->dropped) {
        task->reply.clear(loop_.pool());
        return;
      }
      task->reply.append(loop_.pool(), piece);
      // What has to be lifted has to be whole; a string stays as it is.
      const bool stays = !is_lifting_ || task->reply.view()[0] == '$';
      if (task->reply.size() >= kStreamMin && stays && task->error_before == 0) {
        worker_.try_streaming(task);
      }
    }
    return;
  }
  tasks_.pop();
  if (unsent_ == task)
    unsent_ = task->next_of_backend;  // A reply before the request: a broken server.
  stats_->inflight.subtract();
  if (task->sent != 0) {
    task->server_time = loop_.now() - task->sent;
    stats_->latency.record(task->server_time);
  }
  if (task->dropped) {
    worker_.fail(
        task, "OOM the reply is too large for the bytes the proxy may hold now (proxy.memory_max)");
    return;
  }
  if (task->is_error) {
    stats_->error_replies.add();
    if (first && is_auth_lost(piece)) {
      auth_lost_ = true;
      worker_.fail(task,
                   "ERR " + label_ + " asks for a password; check the group's user and password");
      return;
    }
  }
  if (is_lifting_ && !task->streaming && task->is_wanted()) {
    complete_lifted(task, piece);
    return;
  }
  worker_.complete(task, piece);
}

void Backend::complete_lifted(Task* task, std::string_view piece) {
  std::string whole;
  if (task->reply.size() > 0 && !task->is_error) {
    whole = task->reply.view();
    whole += piece;
    task->reply.clear(loop_.pool());
    piece = whole;
  }
  std::string lifted;
  if (task->notes != nullptr && task->is_block) {
    lift_block(piece, task->notes->block, lifted);
  } else {
    lift_reply(piece, task->shape, lifted);
  }
  worker_.complete(task, lifted);
}

bool Backend::take_push(std::string_view& bytes) {
  if (!is_pushing_ && (!framer_.at_start() || bytes[0] != '>')) return false;
  uint64_t size = 0;
  const ReplyFramer::Status status = framer_.feed(bytes, size);
  if (status == ReplyFramer::Status::kError || push_.size() + size > kPushMax) {
    end_attempt_or_lose("sent a push message that is malformed or too long");
    return true;
  }
  push_ += bytes.substr(0, size);
  bytes.remove_prefix(size);
  is_pushing_ = status == ReplyFramer::Status::kNeedMore;
  if (!is_pushing_) {
    const std::string message = std::move(push_);
    push_.clear();
    if (is_tracking(lane_)) worker_.tracking().on_push(*this, message);
  }
  return true;
}

void Backend::end_attempt_or_lose(const std::string& reason) {
  if (state_ == State::kReady) {
    lose(reason);
  } else {
    attempt_failed("it " + reason);
  }
}

bool Backend::is_auth_lost(std::string_view reply) const noexcept {
  // Pika's begins with ERR.
  return reply.starts_with("-NOAUTH ") || reply.starts_with("-ERR NOAUTH ");
}

Milliseconds Backend::handshake_timeout() const noexcept {
  const BackendConfig& config = worker_.config().backend;
  // A server looks at nothing until its script has run for busy-reply-threshold; whoever wants to
  // end the script must be able to wait for that.
  return is_control(lane_) ? std::max(config.connect_timeout, config.request_timeout)
                           : config.connect_timeout;
}

void Backend::check_timeouts() {
  const Ticks now = loop_.now();
  const BackendConfig& config = worker_.config().backend;
  if (!ending_.empty()) check_ending();
  switch (state_) {
    case State::kResolving:
    case State::kConnecting:
    case State::kAuth:
    case State::kHello:
    case State::kTrack:
    case State::kSelect:
    case State::kPing:
    case State::kSettle:
      if (const Milliseconds limit = handshake_timeout(); now - state_since_ >= to_ticks(limit)) {
        attempt_failed("no answer within " + std::to_string(limit.count()) + " ms");
      }
      break;
    case State::kReady:
      if (is_unidentified_ && tasks_.empty()) identify_again();
      if (!tasks_.empty()) {
        const Task* oldest = tasks_.front();
        // A server that takes a large request bit by bit is at work.
        const Ticks since = std::max(
            {oldest->sent == 0 ? oldest->started : oldest->sent, last_received_, last_sent_part_});
        if (patience_ >= 0 && now - since >= to_ticks(config.request_timeout) + patience_) {
          stats_->timeouts.add();
          lose("did not answer within " + std::to_string(config.request_timeout.count()) + " ms");
        }
      } else if (const Ticks silence = now - last_received_;
                 !retired_ && ((is_careless_ && silence >= kIdleMaxUs) ||
                               (is_tracking(lane_) && silence >= kSilenceMaxUs))) {
        stay_awake();
      }
      break;
    case State::kClosed:
    case State::kWaiting:
      break;
  }
}

}  // namespace pikaproxy
