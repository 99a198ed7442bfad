// BLPOP and its like, and XREAD with BLOCK: requests that may wait at the server.
//
// Such a request gets a connection of the client's own. It is sent when all earlier requests of the
// client have been answered, and the later ones are looked at when it has been, as in Redis. When
// the slot of its keys is locked or moves, the server is told to end the wait (CLIENT UNBLOCK):
// then either an element has been delivered, or the request goes on behind the lock with the time
// that is left.

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "common/ascii.h"
#include "common/resp3.h"
#include "common/sabotage.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

// Until a wait is ended again that has not ended.
constexpr Ticks kRecallAgainUs = 10'000;

// Which argument says how long, and its unit.
struct TimeoutPlace {
  size_t position = 0;  // 0: none found.
  bool is_milliseconds = false;
};

TimeoutPlace timeout_place(const Command& command, Arguments args) {
  if (command.name == "blmpop" || command.name == "bzmpop") return {1, false};
  if (!command.name.starts_with("xread")) return {args.size() - 1, false};
  // As the command reads them: a consumer group may be called "block", and the last BLOCK counts.
  TimeoutPlace place;
  for (size_t i = 1; i + 1 < args.size(); ++i) {
    if (equals_ignoring_case(args[i], "streams")) break;
    if (equals_ignoring_case(args[i], "group")) {
      i += 2;
    } else if (equals_ignoring_case(args[i], "count")) {
      ++i;
    } else if (equals_ignoring_case(args[i], "block")) {
      place = {++i, true};
    }
  }
  return place;
}

// Microseconds; 0 = for ever; negative = not a time, the server says so.
Ticks read_timeout(std::string_view text, bool is_milliseconds) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0' || !std::isfinite(value) || value < 0 || value > 1e12) return -1;
  return std::max<Ticks>(static_cast<Ticks>(value * (is_milliseconds ? 1e3 : 1e6)), value > 0);
}

std::string write_timeout(Ticks left, bool is_milliseconds) {
  const Ticks milliseconds = std::max<Ticks>(left / 1000, 1);
  if (is_milliseconds) return std::to_string(milliseconds);
  char text[32];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(milliseconds / 1000),
                static_cast<long long>(milliseconds % 1000));
  return text;
}

constexpr std::string_view kUnblocked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

// Has the server end the wait on that connection.
std::string unblock_request(const Backend& backend, std::string_view how = "TIMEOUT") {
  std::string request;
  resp::append_array(request, 4);
  resp::append_bulk(request, "CLIENT");
  resp::append_bulk(request, "UNBLOCK");
  resp::append_bulk(request, backend.client_id());
  resp::append_bulk(request, how);
  return request;
}

// A reply that came in one piece or, with its earlier ones in `task`, in several.
bool is_null(const Task& task, std::string_view last_piece) {
  if (task.reply.size() >= resp::kNullArray.size()) return false;
  const std::string reply = std::string(task.reply.view()) + std::string(last_piece);
  return reply == resp::kNullArray || reply == resp::kNull || reply == resp::null(RespVersion::k3);
}

}  // namespace

std::string Dispatcher::too_many_connections() const {
  return "ERR too many clients wait for keys or watch them (backend.dedicated_max = " +
         std::to_string(worker_.config().backend.dedicated_max) + " for each worker)";
}

void Dispatcher::block(Request& request) {
  GroupIndex group = kNoGroup;
  request.holds_client = true;
  if (!place_keys(request, group)) return;
  // Without it a wait cannot be ended when its slot moves; and such servers include Pika, which
  // dies of a BLPOP of a key with another type.
  if (const Backend& shared = worker_.backends().main(group); shared.lacks_client_id()) {
    request.holds_client = false;
    refuse(request, "ERR " + shared.lacks(Backend::Need::kClientId));
    return;
  }
  Client& client = request.client;
  Task* task = task_of(request);
  Backend* backend = worker_.backends().lend(group, request.db, &client);
  if (backend == nullptr) {
    worker_.fail(task, too_many_connections());
    return;
  }
  const TimeoutPlace place = timeout_place(request.command, request.args);
  const Ticks timeout =
      place.position == 0 ? -1 : read_timeout(request.args[place.position], place.is_milliseconds);
  backend->set_patience(timeout == 0 ? -1 : std::max<Ticks>(timeout, 0));
  if (client.wait == nullptr) {
    client.wait = std::make_unique<Client::Wait>();
    client.wait->since = worker_.loop().now();
    worker_.stats().blocked_clients.add();
  }
  client.wait->backend = backend;
  client.wait->request = request.raw;
  client.wait->db = request.db;
  client.wait->recalled = false;
  client.wait->unblock_asked = false;
  if (!backend->is_ready()) backend->need(Backend::Need::kClientId);
  note_write(client, request.command, group);
  if (!backend->accept(task, request.raw.size())) return;
  backend->write(client.wait->request);
}

bool Dispatcher::wait_answered(Client& client, Task* task, std::string_view piece) {
  if (client.wait == nullptr) return false;
  Backend* backend = client.wait->backend;
  // Lost before it was sent, it goes on. Lost after that it may have taken an element, which nobody
  // will see: the client is told so.
  const bool is_unsent = !backend->is_clean() && task->sent == 0;
  if (client.wait->unblock_asked && backend->is_clean()) {
    // The request may still be on its way, and would end the wait of the next client there.
    worker_.backends().discard(backend);
  } else {
    return_or_give_up(backend);
  }
  const bool has_nothing = is_null(*task, piece) || is_sabotaged(Sabotage::kPopForgotten);
  const bool goes_on = client.wait->recalled && (is_unsent || has_nothing);
  const std::unique_ptr<Client::Wait> wait = std::move(client.wait);
  worker_.stats().blocked_clients.subtract();
  return goes_on && wait_again(client, task, *wait, is_unsent);
}

bool Dispatcher::wait_again(Client& client, Task* task, const Client::Wait& wait, bool is_unsent) {
  RequestParser parser;
  RequestProgress progress;
  if (parser.parse(wait.request, progress, {UINT64_MAX, UINT64_MAX, true}) !=
      RequestParser::Status::kRequest) {
    return false;
  }
  std::vector<std::string_view> args(parser.args().begin(), parser.args().end());
  const TimeoutPlace place = timeout_place(*task->command, args);
  const Ticks timeout = read_timeout(args[place.position], place.is_milliseconds);
  std::string left;
  if (timeout > 0) {
    const Ticks rest = wait.since + timeout - worker_.loop().now();
    // The time was up anyway: nil is the answer, if a server has looked.
    if (rest <= 0 && !is_unsent) return false;
    left = write_timeout(std::max<Ticks>(rest, 0), place.is_milliseconds);
    args[place.position] = left;
  }
  std::string bytes;
  resp::append_array(bytes, static_cast<int64_t>(args.size()));
  for (const std::string_view arg : args) resp::append_bulk(bytes, arg);
  RequestProgress again;
  parser.parse(bytes, again, {UINT64_MAX, UINT64_MAX, true});
  task->reply.clear(worker_.loop().pool());
  task->is_error = false;
  task->sent = 0;
  Request request{client, *task->command, parser.args(), bytes, wait.db};
  request.task = task;
  block(request);
  return true;
}

void Dispatcher::topology_changed() {
  worker_.backends().for_each_lent([this](Backend& backend, Client* user) {
    if (user == nullptr) return;
    Client& client = *user;
    if (client.watch != nullptr && client.watch->backend == &backend) {
      if (!is_served_by(client.watch->key, backend) && !is_sabotaged(Sabotage::kWatchKept)) {
        client.watch->broken = true;
      }
      return;
    }
    if (client.wait == nullptr || client.wait->recalled) return;
    if (!wait_stays(client, backend)) recall(client, backend);
  });
}

bool Dispatcher::wait_stays(const Client& client, const Backend& backend) {
  if (client.wait == nullptr || client.wait->backend != &backend) return false;
  RequestParser parser;
  RequestProgress progress;
  parser.parse(client.wait->request, progress, {UINT64_MAX, UINT64_MAX, true});
  std::string_view error;
  const Command* command = find_command(parser.args()[0]);
  if (!find_keys(*command, parser.args(), positions_, error) || positions_.empty()) return true;
  return is_served_by(parser.args()[positions_.front()], backend);
}

bool Dispatcher::is_served_by(std::string_view key, const Backend& backend) const {
  const Place place = worker_.topology().router->place(key);
  return place.open && backend.serves(worker_.topology().groups[place.group]);
}

void Dispatcher::recall(Client& client, Backend& backend) {
  if (!client.wait->recalled) {
    // A wait that can only end now has the time of any request for that: its connection may be
    // dead.
    backend.set_patience(worker_.loop().now() - client.wait->since);
  }
  client.wait->recalled = true;
  Backend* control = worker_.backends().counterpart(backend);
  if (control == nullptr || backend.client_id().empty()) {
    // The server cannot be asked to end the wait: the end of the connection does it.
    backend.give_up();
    return;
  }
  client.wait->unblock_asked = true;
  // That of the wait itself tells what has happened. But this request, over another connection, may
  // have overtaken that one, which begins to wait only now; or it was lost.
  ask(*control, unblock_request(backend), [this, backend = &backend](std::string_view reply) {
    if (reply == ":1\r\n") return;
    worker_.loop().add_timer(kRecallAgainUs, [this, backend] { recall_again(backend); });
  });
}

void Dispatcher::recall_again(const Backend* backend) {
  worker_.backends().for_each_lent([&](Backend& lent, Client* user) {
    if (&lent != backend || user == nullptr || user->wait == nullptr) return;
    if (user->wait->backend == backend && user->wait->recalled) recall(*user, lent);
  });
}

void Dispatcher::unblock(Client& client, bool with_error, std::function<void(bool)> done) {
  if (client.replica_wait != nullptr) {
    end_replica_wait(*client.replica_wait, with_error ? kUnblocked : std::string_view());
    done(true);
    return;
  }
  // One that is on its way to another server is not waiting at this moment.
  Backend* control = client.wait == nullptr || client.wait->recalled
                         ? nullptr
                         : worker_.backends().counterpart(*client.wait->backend);
  if (control == nullptr || client.wait->backend->client_id().empty()) {
    done(false);
    return;
  }
  client.wait->unblock_asked = true;
  ask(*control, unblock_request(*client.wait->backend, with_error ? "ERROR" : "TIMEOUT"),
      [done = std::move(done)](std::string_view reply) { done(reply == ":1\r\n"); });
}

void Dispatcher::drop_connections(Client& client) {
  if (client.replica_wait != nullptr) end_replica_wait(*client.replica_wait);
  if (client.wait != nullptr) {
    Backend* backend = client.wait->backend;
    client.wait.reset();
    worker_.stats().blocked_clients.subtract();
    worker_.backends().give_up(backend);
  }
  drop_watch(client);
}

}  // namespace pikaproxy
