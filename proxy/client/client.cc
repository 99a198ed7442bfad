#include "proxy/client/client.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include "common/log.h"
#include "common/resp.h"
#include "proxy/client/tracking.h"
#include "proxy/client/transaction.h"
#include "proxy/client/users.h"
#include "proxy/io/socket_options.h"
#include "proxy/pubsub/subscriptions.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// An incomplete request up to this size is carried in the loop's scratch memory while it grows;
// a larger one gets memory of its own, which then goes to the backend without being copied.
constexpr size_t kCarriedMax = 32 * 1024;
constexpr size_t kOwnStepMin = 1024 * 1024;
// Room beyond what is known to be missing, so that many small arguments do not each cost a call.
constexpr size_t kOwnRoomMin = 64 * 1024;
// A new client may have so many requests in flight; more once it is known how large its replies
// are.
constexpr size_t kWindowStart = 128;
constexpr size_t kWindowMin = 16;
// Less than the loop's scratch memory: what is kept is put there before more is received behind it.
constexpr size_t kWaitingInputMax = kScratchBytes / 2;
constexpr uint32_t kLingerSeconds = 2;
constexpr uint32_t kAnsweredMax = 1u << 20;
// Pieces that are sent at once when possible, instead of being copied into the output first.
constexpr size_t kLargePiece = 16 * 1024;

// Whether the other side has finished sending, whatever is unread before that.
bool has_left(int fd) {
  pollfd polled{fd, POLLRDHUP, 0};
  return ::poll(&polled, 1, 0) > 0;
}

char* allocate(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<char*>(memory);
}

}  // namespace

Client::Client(Worker& worker, uint64_t id, uint8_t listener)
    : Stream(worker.loop(), Order::kFirst),
      worker_(worker),
      id_(id),
      listener_(listener),
      created_s_(worker.now_s()) {
  active_s_ = sent_s_ = created_s_;
  reset_session();
}

Client::~Client() {
  drop_input();
}

bool Client::start(int fd) {
  set_socket_options(fd, worker_.config().proxy.tcp_keepalive);
  return attach(fd);
}

void Client::reset_session() {
  transaction.reset();
  worker_.drop_connections(*this);
  if (tracking != nullptr) set_tracking(nullptr);
  end_monitor();
  session = Session{};
  const RedisUserPtr& user = worker_.users().default_user();
  set_user(user, user->is_open);
  settle_reads();
  names_.reset();
}

void Client::set_user(RedisUserPtr user, bool is_authenticated) {
  // Other settings than the user's are for connections made from then on.
  const bool other_reads = user_ != nullptr && user_->config.reads != user->config.reads;
  user_ = std::move(user);
  session.authenticated = is_authenticated;
  session.admin = is_authenticated && user_->config.admin;
  session.rights = user_->rights ? &*user_->rights : nullptr;
  if (other_reads) settle_reads();
}

void Client::follow_users() {
  RedisUserPtr now = worker_.users().find(user_->name());
  if (now == nullptr) {
    log_info("client closed: its user was removed", "id", id_, "user", user_->name());
    shut(Disconnect::kKilled);
    return;
  }
  const RedisUserPtr before = user_;
  // As in Redis: who has logged in stays so, whatever becomes of the password.
  set_user(now, session.authenticated || now->is_open);
  if (now->is_same(*before)) return;
  // What was queued may not be allowed any more.
  if (transaction != nullptr) transaction->fail();
  if (subscriptions == nullptr || session.rights == nullptr) return;
  for (size_t kind = 0; kind < kChannelKinds; ++kind) {
    for (const Topic* topic : subscriptions->topics[kind]) {
      if (session.rights->may_use_channel(topic->kind, topic->name)) continue;
      log_info("client closed: its user may not subscribe to that any more", "id", id_, "user",
               now->name());
      shut(Disconnect::kKilled);
      return;
    }
  }
}

void Client::set_version(RespVersion version) noexcept {
  session.protocol = static_cast<uint8_t>(version);
  choose_lane();
}

void Client::set_tracking(std::unique_ptr<ClientTracking> wanted) {
  tracking = std::move(wanted);
  choose_lane();
  if (tracking != nullptr) {
    worker_.tracking().started(*this);
  } else {
    worker_.tracking().stopped(*this);
  }
}

void Client::choose_lane() noexcept {
  if (version() == RespVersion::k2) {
    session.lane = Lane::kResp2;
  } else if (tracking == nullptr) {
    session.lane = Lane::kResp3;
  } else {
    session.lane = tracking->broadcast ? Lane::kBroadcast : Lane::kTracking;
  }
  session.is_plain = session.lane == Lane::kResp2 && tracking == nullptr;
}

const Client::Names& Client::names() const noexcept {
  static const Names kNone;
  return names_ != nullptr ? *names_ : kNone;
}

Client::Names& Client::edit_names() {
  if (names_ == nullptr) names_ = std::make_unique<Names>();
  return *names_;
}

// ---- Requests -----------------------------------------------------------------------------------

std::span<char> Client::receive_space(std::span<char> scratch) {
  if (input_ == nullptr) return scratch;
  if (input_->wanted <= kCarriedMax) {
    std::memcpy(scratch.data(), input_->data, input_->size);
    input_->received_in_place = false;
    return scratch.subspan(input_->size);
  }
  if (input_->size == input_->capacity) {
    // About as much again as has been sent: a length alone must not cost memory.
    const size_t step =
        std::min(input_->wanted, std::max(2 * input_->capacity, input_->size + kOwnStepMin));
    const size_t capacity = std::max(step, input_->size + kOwnRoomMin);
    auto* grown = static_cast<char*>(std::realloc(input_->data, capacity));
    if (grown == nullptr) throw std::bad_alloc();
    loop_.pool().add_bytes(capacity - input_->capacity);
    input_->data = grown;
    input_->capacity = capacity;
  }
  input_->received_in_place = true;
  return {input_->data + input_->size, input_->capacity - input_->size};
}

void Client::on_data(std::string_view bytes) {
  worker_.stats().received_bytes.add(bytes.size());
  if (closing_) return;
  if (input_ == nullptr) {
    process(bytes, RequestProgress{});
    return;
  }
  const RequestProgress progress = input_->progress;
  if (input_->received_in_place) {
    input_->size += bytes.size();
    if (input_->size < input_->wanted) return;
    process({input_->data, input_->size}, progress);
  } else {
    const size_t carried = input_->size;
    drop_input();
    process({bytes.data() - carried, bytes.size() + carried}, progress);
  }
}

void Client::process(std::string_view bytes, RequestProgress progress) {
  RequestParser& parser = worker_.parser();
  RequestLimits limits{worker_.config().proxy.bulk_max, worker_.config().proxy.request_max,
                       session.authenticated};
  active_s_ = worker_.now_s();
  size_t wanted = 0;
  while (!bytes.empty() && !closing_) {
    if (must_pause()) {
      paused_ = true;
      // Who waits at a server is read from all the same, up to a bound, so that its end is noticed.
      if (!is_waiting() || bytes.size() > kWaitingInputMax) set_reading(false);
      break;
    }
    limits.authenticated = session.authenticated;
    const RequestParser::Status status = parser.parse(bytes, progress, limits);
    if (status == RequestParser::Status::kNeedMore) {
      wanted = parser.size_hint();
      break;
    }
    if (status == RequestParser::Status::kError) {
      worker_.stats().protocol_errors.add();
      log_debug("protocol error", "client", id_, "error", parser.error());
      reply(resp::error("ERR Protocol error: " + std::string(parser.error())));
      bytes = {};
      close_lingering();
      break;
    }
    const size_t size = parser.size();
    if (status == RequestParser::Status::kRequest) {
      if (!worker_.dispatch(*this, parser, bytes.substr(0, size))) {
        deferred_ = paused_ = true;
        if (!is_waiting() || bytes.size() > kWaitingInputMax) set_reading(false);
        break;
      }
      if (!is_open()) return;
    }
    progress = {};
    bytes.remove_prefix(size);
  }
  if (bytes.empty() || closing_) {
    drop_input();
  } else {
    keep_input(bytes, wanted, progress);
  }
}

void Client::keep_input(std::string_view bytes, size_t wanted, const RequestProgress& progress) {
  const bool in_place = input_ != nullptr && input_->data == bytes.data();
  if (!in_place) {
    auto kept = std::make_unique<Input>();
    kept->capacity = bytes.size();
    kept->data = allocate(kept->capacity);
    std::memcpy(kept->data, bytes.data(), bytes.size());
    loop_.pool().add_bytes(kept->capacity);
    drop_input();
    input_ = std::move(kept);
  }
  input_->size = bytes.size();
  input_->wanted = wanted;
  input_->progress = progress;
}

void Client::drop_input() noexcept {
  if (input_ == nullptr) return;
  if (input_->data != nullptr) {
    loop_.pool().remove_bytes(input_->capacity);
    std::free(input_->data);
  }
  input_.reset();
}

char* Client::take_request_memory(std::string_view request, size_t& capacity) {
  if (input_ == nullptr || input_->data != request.data() || request.size() <= kCarriedMax) {
    return nullptr;
  }
  // The bytes behind the request stay readable until the loop writes, at the end of the turn;
  // process() has copied them by then.
  capacity = input_->capacity;
  loop_.pool().remove_bytes(capacity);
  return std::exchange(input_->data, nullptr);
}

bool Client::must_pause() const noexcept {
  if (held_) return true;
  if (output_bytes() + kept_bytes_ > worker_.config().proxy.client_output_max / 4) return true;
  const size_t pipeline_max = worker_.config().proxy.client_pipeline_max;
  return queue_.size() >= std::min(kWindowMin, pipeline_max) && queue_.size() >= window();
}

size_t Client::window() const noexcept {
  // As TCP does it: a small window at first, opened by every answer, and never so wide that the
  // replies to come, if they are like the last ones, exceed what may be queued.
  const ProxyConfig& limits = worker_.config().proxy;
  const size_t opened = kWindowStart + 2 * static_cast<size_t>(answered_);
  const size_t fitting = limits.client_output_max / 4 / std::max<size_t>(reply_bytes_, 64);
  return std::min(
      {static_cast<size_t>(limits.client_pipeline_max), opened, std::max(fitting, kWindowMin)});
}

void Client::release() {
  held_ = false;
  settle();
}

ReadPolicy Client::configured_reads() const noexcept {
  const Config& config = worker_.config();
  ReadPolicy policy = user_->config.reads;
  const auto fill = [&policy](const ReadPolicy& next) {
    if (!policy.read_from) policy.read_from = next.read_from;
    if (!policy.replica_max_lag) policy.replica_max_lag = next.replica_max_lag;
  };
  if (listener_ > 0 && listener_ <= config.listeners.size()) {
    fill(config.listeners[listener_ - 1].reads);
  }
  fill({config.proxy.read_from, Milliseconds(0)});
  return policy;
}

void Client::settle_reads() noexcept {
  const ReadPolicy policy = configured_reads();
  session.replica_max_lag = policy.replica_max_lag->count() * 1000;
  if (!session.chose_reads && session.read_from != *policy.read_from) read_from(*policy.read_from);
}

void Client::choose_reads(bool from_replicas) noexcept {
  session.chose_reads = true;
  if (!from_replicas) {
    read_from(ReadFrom::kMaster);
  } else {
    // Who is to read nearby is not sent away by a library that says READONLY of its own accord.
    const bool is_nearest = *configured_reads().read_from == ReadFrom::kNearest;
    read_from(is_nearest ? ReadFrom::kNearest : ReadFrom::kPreferReplica);
  }
}

void Client::read_from(ReadFrom where) noexcept {
  session.read_from = where;
  if (has_written()) wrote_at_ = loop_.now();
}

void Client::end_pause() {
  if (!std::exchange(paused_by_command_, false)) return;
  release();
}

const std::string& Client::peer() {
  std::string& peer = edit_names().peer;
  if (peer.empty()) peer = peer_name(fd());
  return peer;
}

void Client::resume() {
  resuming_ = false;
  if (!paused_) return;
  paused_ = deferred_ = false;
  set_reading(true);
  if (input_ == nullptr) return;
  // A buffer of its own now: parsed where it lies.
  process({input_->data, input_->size}, input_->progress);
}

// ---- Replies ------------------------------------------------------------------------------------

void Client::reply(std::string_view resp) {
  if (session.replies == Session::Replies::kOn) reply_always(resp);
}

void Client::reply_always(std::string_view resp) {
  if (queue_.empty()) {
    output(resp);
    return;
  }
  Task* task = worker_.tasks().take();
  task->client = this;
  task->command = nullptr;
  task->done = true;
  task->reply.append(loop_.pool(), resp);
  kept_bytes_ += resp.size();
  queue_.push(task);
}

void Client::reply_error(std::string_view text) {
  reply(resp::error(text));
}

Task* Client::add_task(const Command& command, std::string_view request) {
  Task* task = worker_.tasks().take();
  task->client = this;
  task->command = &command;
  task->started = loop_.now();
  task->silent = session.replies != Session::Replies::kOn;
  task->set_prefix(request);
  queue_.push(task);
  return task;
}

void Client::complete(Task* task, std::string_view piece) {
  const auto bytes =
      static_cast<int64_t>(std::min<uint64_t>(task->reply.size() + piece.size(), UINT32_MAX / 2));
  reply_bytes_ = static_cast<uint32_t>(reply_bytes_ + (bytes - reply_bytes_) / 8);
  if (answered_ < kAnsweredMax) ++answered_;
  if (session.read_from != ReadFrom::kMaster &&
      (task->is_block || (task->command->flags & (kFlagWrite | kFlagMayReplicate)) != 0)) {
    wrote_at_ = loop_.now();
  }
  if (queue_.front() != task) {
    task->done = true;
    if (task->silent) return;
    task->reply.append(loop_.pool(), piece);
    kept_bytes_ += task->reply.size();
    if (has_too_much_output()) shut_for_output();
    return;
  }
  if (!task->silent) {
    if (!task->streaming && has_too_much_output()) {
      task->done = true;  // Freed with the rest of the queue.
      shut_for_output();
      return;
    }
    if (task->reply.size() > 0) output(task->reply.view());
    output(piece);
  }
  queue_.pop();
  if (task->holds_client) held_ = false;
  worker_.free(task);
  while (!queue_.empty() && queue_.front()->done) {
    Task* next = queue_.pop();
    kept_bytes_ -= next->silent ? 0 : next->reply.size();
    if (!next->silent) output(next->reply.view());
    worker_.free(next);
  }
  settle();
}

void Client::push_message(std::string_view message, Task* behind) {
  if (!is_open()) return;
  if (behind == nullptr) {
    output(message);
  } else {
    Task* task = worker_.tasks().take();
    task->client = this;
    task->command = nullptr;
    task->done = true;
    task->reply.append(loop_.pool(), message);
    kept_bytes_ += message.size();
    queue_.push_behind(behind, task);
  }
  if (has_too_much_output()) shut_for_output();
}

Task* Client::last_answered(const Backend* source) const noexcept {
  Task* last = nullptr;
  for (Task* task = queue_.front(); task != nullptr; task = task->next_of_client) {
    const bool is_over = task->done && (source == nullptr || task->backend == source);
    if (task->backend == nullptr || is_over || task->streaming) last = task;
  }
  return last;
}

bool Client::push(std::string_view message) {
  if (closing_) return true;
  if (has_too_much_output()) return false;
  const bool is_resp3 = session.protocol >= 3;
  const std::string_view type = is_resp3 ? ">" : message.substr(0, 1);
  const std::string_view rest = message.substr(1);
  if (queue_.empty() || !(queue_.front()->streaming || queue_.front()->subscribes)) {
    if (is_resp3) output(type);
    output(is_resp3 ? rest : message);
    return true;
  }
  // In the middle of a large reply, or while a transaction subscribes: behind that reply, and
  // before the next one.
  Task* task = queue_.front()->next_of_client;
  if (task == nullptr || !task->is_push) {
    task = worker_.tasks().take();
    task->client = this;
    task->command = nullptr;
    task->done = task->is_push = true;
    queue_.push_behind(queue_.front(), task);
  }
  task->reply.append(loop_.pool(), type);
  task->reply.append(loop_.pool(), rest);
  kept_bytes_ += message.size();
  return true;
}

bool Client::subscribes() const noexcept {
  return subscriptions != nullptr && subscriptions->total() > 0;
}

bool Client::only_subscribes() const noexcept {
  return session.protocol < 3 && subscribes();
}

void Client::try_streaming(Task* task) {
  if (queue_.front() != task || has_too_much_output()) return;
  output(task->reply.view());
  task->reply.clear(loop_.pool());
  task->streaming = true;
}

void Client::stream(std::string_view piece) {
  output(piece);
  // One reply may be larger than client_output_max, but not than what all together may hold.
  if (worker_.memory_full() && output_bytes() > kOwnStepMin) shut_for_output();
}

void Client::relayed(uint64_t bytes) {
  worker_.stats().sent_bytes.add(bytes);
}

void Client::output(std::string_view bytes) {
  if (bytes.size() >= kLargePiece) {
    send_large(bytes);
  } else {
    send(bytes);
  }
  worker_.stats().sent_bytes.add(bytes.size());
}

bool Client::has_too_much_output() const noexcept {
  // One large reply alone may be larger than the limit, so this is asked before a reply is added.
  const uint64_t queued = output_bytes() + kept_bytes_;
  return queued > worker_.config().proxy.client_output_max ||
         (worker_.memory_full() && queued > kOwnStepMin);
}

void Client::shut_for_output() {
  log_warn("client does not read its replies: closed", "client", peer(), "id", id_, "queued_bytes",
           output_bytes() + kept_bytes_, "limit_bytes", worker_.config().proxy.client_output_max);
  shut(Disconnect::kOutput);
}

void Client::settle() {
  if (!is_open()) return;
  if (paused_ && !resuming_ && !held_) {
    const ProxyConfig& limits = worker_.config().proxy;
    if (queue_.size() <= (deferred_ ? 0 : window() / 2) &&
        output_bytes() + kept_bytes_ <= limits.client_output_max / 8) {
      resuming_ = true;
      worker_.resume_later(this);
    }
  }
  finish_closing();
}

void Client::on_sent() {
  sent_s_ = worker_.now_s();
  settle();
}

// ---- End ----------------------------------------------------------------------------------------

void Client::on_end(int error) {
  if (error != 0) {
    shut(Disconnect::kError);
  } else if (lingering_ && is_idle()) {
    shut(Disconnect::kProtocol);
  } else {
    // The client may only have finished sending ("printf ... | nc"): it still gets its replies.
    close_after_replies();
  }
}

void Client::close_after_replies() {
  if (wait != nullptr || replica_wait != nullptr) {
    // As Redis: who has gone gets nothing any more, so nothing must be taken from a list for it.
    shut(Disconnect::kClient);
    return;
  }
  closing_ = true;
  lingering_ = false;
  set_reading(false);
  finish_closing();
}

void Client::close_lingering() {
  closing_ = true;
  lingering_ = true;
  finish_closing();
}

void Client::finish_closing() {
  if (!closing_ || !is_idle() || !is_open()) return;
  if (!lingering_) {
    shut(Disconnect::kClient);
    return;
  }
  // The client sees the end at once; check_timeouts() or its own end closes the rest.
  ::shutdown(fd(), SHUT_WR);
  sent_s_ = worker_.now_s();
}

void Client::shut(Disconnect why) {
  if (!is_open()) return;
  while (!queue_.empty()) {
    Task* task = queue_.pop();
    if (task->done) {
      worker_.free(task);
    } else if (task->held != nullptr) {
      worker_.drop_held(task);
    } else {
      task->client = nullptr;  // Abandoned: freed when its reply comes.
    }
  }
  worker_.drop_connections(*this);
  end_monitor();
  worker_.remove_client(this, why);
}

void Client::end_monitor() {
  if (!std::exchange(session.monitor, false)) return;
  worker_.monitors().remove(*this);
  for (const auto& worker : worker_.manager().workers()) {
    worker->loop().post([&monitors = worker->monitors()] { monitors.change(-1); });
  }
}

void Client::check_timeouts(uint32_t now_s) {
  // Whole seconds: what is seen as 2 may have been little more than 1, so "more than" is never
  // early.
  if (lingering_ && is_idle() && now_s - sent_s_ >= kLingerSeconds) {
    shut(Disconnect::kProtocol);
    return;
  }
  // Who waits with much sent behind it is not read from, so its end would not be seen.
  if (is_waiting() && paused_ && has_left(fd())) {
    shut(Disconnect::kClient);
    return;
  }
  const ProxyConfig& limits = worker_.config().proxy;
  if (output_bytes() == 0) {
    if (!lingering_) sent_s_ = now_s;
  } else if (limits.client_output_timeout.count() > 0 &&
             (now_s - sent_s_) * 1000ll > limits.client_output_timeout.count()) {
    log_warn("client does not read its replies: closed", "client", peer(), "id", id_,
             "queued_bytes", output_bytes(), "stalled_s", now_s - sent_s_);
    shut(Disconnect::kOutput);
    return;
  }
  if (limits.client_idle_timeout.count() > 0 && is_idle() && !subscribes() &&
      (now_s - active_s_) * 1000ll > limits.client_idle_timeout.count()) {
    log_debug("client idle for too long: closed", "id", id_);
    shut(Disconnect::kIdle);
  }
}

uint64_t Client::age_s() const noexcept {
  return worker_.now_s() - created_s_;
}

ProxyClient Client::inspect() const {
  const Names& names = this->names();
  const uint32_t now_s = worker_.now_s();
  ProxyClient client;
  client.id = id_;
  client.addr = peer_name(fd());
  client.name = names.name;
  client.user = user_->name();
  client.library = names.lib_name;
  if (!names.lib_version.empty()) client.library += " " + names.lib_version;
  if (last_command_ != nullptr) client.last_command = last_command_->name;
  client.db = session.db;
  client.age_seconds = now_s - created_s_;
  client.idle_seconds = now_s - active_s_;
  client.queued_requests = queue_.size();
  client.output_bytes = output_bytes();
  return client;
}

std::string Client::describe() const {
  const Names& names = this->names();
  const uint32_t now_s = worker_.now_s();
  const auto subscribed = [this](ChannelKind kind) {
    return std::to_string(subscriptions == nullptr ? 0 : subscriptions->count(kind));
  };
  std::string flags;
  if (subscribes()) flags += 'P';
  if (peer_name(fd()).starts_with("unix:")) flags += 'U';
  if (wait != nullptr || replica_wait != nullptr) flags += 'b';
  if (closing_) flags += 'c';
  if (session.monitor) flags += 'O';
  if (session.no_evict) flags += 'e';
  if (tracking != nullptr) flags += 't';
  if (tracking != nullptr && tracking->redirect_broken) flags += 'R';
  if (tracking != nullptr && tracking->broadcast) flags += 'B';
  if (session.no_touch) flags += 'T';
  if (flags.empty()) flags = "N";
  std::string line = "id=" + std::to_string(id_);
  line += " addr=" + peer_name(fd());
  line += " laddr=" + local_name(fd());
  line += " fd=" + std::to_string(fd());
  line += " name=" + names.name;
  line += " age=" + std::to_string(now_s - created_s_);
  line += " idle=" + std::to_string(now_s - active_s_);
  line += " flags=" + flags;
  line += " db=" + std::to_string(session.db);
  line += " sub=" + subscribed(ChannelKind::kChannel);
  line += " psub=" + subscribed(ChannelKind::kPattern);
  line += " ssub=" + subscribed(ChannelKind::kShard);
  line += " multi=-1";
  line += " qbuf=" + std::to_string(input_ != nullptr ? input_->size : 0);
  line += " qbuf-free=" + std::to_string(input_ != nullptr ? input_->capacity - input_->size : 0);
  line += " argv-mem=0 multi-mem=0 rbs=0 rbp=0";
  line += " obl=" + std::to_string(kept_bytes_);
  line += " oll=" + std::to_string(queue_.size());
  line += " omem=" + std::to_string(output_bytes());
  line += " tot-mem=" + std::to_string(sizeof(Client) + output_bytes() + kept_bytes_ +
                                       (input_ != nullptr ? input_->capacity : 0));
  line += " events=r cmd=";
  line += last_command_ != nullptr ? last_command_->name : "NULL";
  line += " user=" + user_->name();
  line += " redir=";
  line += tracking != nullptr ? std::to_string(tracking->redirect) : "-1";
  line += " resp=" + std::to_string(session.protocol) + " lib-name=" + names.lib_name +
          " lib-ver=" + names.lib_version + "\n";
  return line;
}

}  // namespace pikaproxy
