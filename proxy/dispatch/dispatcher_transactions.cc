// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//
// What a client queues stays with the proxy until EXEC, and goes to the server as one block over
// the connection that all clients share. Only WATCH is state of a connection: it gets one of its
// own, over which the EXEC that ends it goes too. Order is kept by waiting: WATCH, and an EXEC
// after it, are sent when all earlier requests of the client have been answered, and the later ones
// are looked at when they have been.

#include "common/reply_framer.h"
#include "common/resp3.h"
#include "proxy/backend/reply_lift.h"
#include "proxy/client/transaction.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/placement.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kUnwatch = "*1\r\n$7\r\nUNWATCH\r\n";

// Answered by the proxy, but just as well by a server.
bool can_be_queued(const Command& command) {
  return command.action != CommandAction::kLocal || command.name == "ping" ||
         command.name == "echo" || command.name == "time";
}

}  // namespace

void Dispatcher::transaction_command(Request& request) {
  Client& client = request.client;
  const std::string_view name = request.command.name;
  if (name == "exec") {
    if (request.held != nullptr) {
      scripts_needed_ = std::move(request.held->scripts);
      send_block(request, request.held->keys.front().name);
    } else {
      exec(request);
    }
  } else if (name == "multi") {
    if (client.transaction != nullptr) {
      client.reply_error("ERR MULTI calls can not be nested");
      return;
    }
    client.transaction = std::make_unique<Transaction>(worker_.loop().pool());
    client.reply(resp::kOk);
  } else if (name == "discard") {
    if (client.transaction == nullptr) {
      client.reply_error("ERR DISCARD without MULTI");
      return;
    }
    client.transaction.reset();
    end_caching(client);
    drop_watch(client);
    client.reply(resp::kOk);
  } else if (name == "unwatch") {
    drop_watch(client);
    client.reply(resp::kOk);
  } else {
    watch(request);
  }
}

bool Dispatcher::find_transaction_keys(Request& request) {
  Client& client = request.client;
  std::string_view error;
  if (request.command.key_step == 2 && request.args.size() % 2 == 0) {
    client.reply_error(wrong_arity(request.command));
    return false;
  }
  if (request.command.action == CommandAction::kPublish) {
    positions_.assign(1, 1);  // It goes where the channel is subscribed to.
  } else if (!find_keys(request.command, request.args, positions_, error)) {
    client.reply_error("ERR " + std::string(error));
    return false;
  }
  if (positions_.empty()) return true;
  const Router& router = *worker_.topology().router;
  const Transaction* transaction = client.transaction.get();
  const std::string_view first = transaction != nullptr && transaction->has_keys()
                                     ? transaction->first_key()
                                 : client.watch != nullptr ? std::string_view(client.watch->key)
                                                           : request.args[positions_.front()];
  const Place place = router.place(first);
  for (const uint32_t position : positions_) {
    if (router.place(request.args[position]).unit == place.unit) continue;
    worker_.stats().crossslot.add();
    client.reply_error(kCrossSlot);
    return false;
  }
  bool touches_others = goes_to_other_database(request.command, request.args);
  if (request.command.name.starts_with("sort")) {
    const std::string error_of_pattern =
        check_sort_patterns(router, request.args, place, touches_others);
    if (!error_of_pattern.empty()) {
      client.reply_error(error_of_pattern);
      return false;
    }
  }
  if (touches_others && client.transaction != nullptr) client.transaction->touch_others();
  return true;
}

bool Dispatcher::queue(Request& request) {
  using enum CommandAction;
  Client& client = request.client;
  Transaction& transaction = *client.transaction;
  const CommandAction action = request.command.action;
  const bool by_key = action == kForward || action == kSplitMget || action == kSplitMset ||
                      action == kSplitSum || action == kEval || action == kBlock ||
                      action == kPublish;
  if ((request.command.flags & kFlagNoMulti) != 0) {
    client.reply_error("ERR Command not allowed inside a transaction");
  } else if (action == kRefuse) {
    client.reply_error("ERR " + std::string(request.command.refusal));
  } else if (action == kSubscribe || request.command.name.ends_with("unsubscribe")) {
    if (queue_step(request)) return true;
  } else if (!can_be_queued(request.command)) {
    client.reply_error("ERR '" + std::string(request.command.name) +
                       "' is answered by the proxy and cannot be part of a transaction");
  } else if (!by_key && action != kLocal) {
    client.reply_error("ERR '" + std::string(request.command.name) +
                       "' concerns all groups and cannot be part of a transaction");
  } else if (transaction.bytes() + request.raw.size() > worker_.config().proxy.request_max) {
    client.reply_error("ERR the transaction is larger than the limit (proxy.request_max)");
  } else if (!is_out_of_memory(request) && find_transaction_keys(request)) {
    transaction.queue(request.raw, request.args, positions_);
    if (!client.session.is_plain) {
      transaction.add_shape(reply_shape(request.command, request.args));
    }
    if ((request.command.flags & (kFlagWrite | kFlagMayReplicate)) != 0) transaction.note_write();
    if (request.command.name.starts_with("evalsha")) transaction.need_script(request.args[1]);
    if (action == kEval && !request.command.name.starts_with("evalsha")) keep_script(request);
    client.reply("+QUEUED\r\n");
    return true;
  }
  transaction.fail();
  return false;
}

void Dispatcher::exec(Request& request) {
  Client& client = request.client;
  if (client.transaction == nullptr) {
    client.reply_error("ERR EXEC without MULTI");
    return;
  }
  const std::unique_ptr<Transaction> transaction = std::move(client.transaction);
  if (transaction->has_failed()) {
    end_caching(client);
    drop_watch(client);
    client.reply_error("EXECABORT Transaction discarded because of previous errors.");
    return;
  }
  if (client.watch != nullptr && is_broken(*client.watch)) {
    drop_watch(client);
    client.reply(resp::null_array(client.version()));
    return;
  }
  // With watched keys the server has to say whether it is an empty array or nil.
  const bool is_empty = transaction->size() == 0 && client.watch == nullptr;
  if (is_empty && !transaction->has_steps()) {
    client.reply("*0\r\n");
    return;
  }
  const std::string_view block = transaction->finish();
  const std::vector<std::string_view> keys = transaction->keys();
  scripts_needed_ = transaction->scripts();
  Request whole{client, request.command, keys, block, request.db};
  whole.holds_client = client.watch != nullptr || transaction->has_steps();
  whole.task = client.add_task(request.command, request.raw);
  whole.task->is_block = true;
  whole.task->replies_before = transaction->size() + 1;
  if (!client.session.is_plain) {
    whole.task->notes = std::make_unique<TaskNotes>();
    whole.task->notes->block = transaction->shapes();
    note_reads(whole, whole.task);
  }
  if (transaction->has_steps()) {
    if (whole.task->notes == nullptr) whole.task->notes = std::make_unique<TaskNotes>();
    whole.task->notes->steps = transaction->take_steps();
    whole.task->subscribes = true;
  }
  task_of(whole);
  if (is_empty) {
    worker_.complete(whole.task, "*0\r\n");
    return;
  }
  positions_.resize(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) positions_[i] = static_cast<uint32_t>(i);
  if (!keys.empty() && !worker_.topology().router->place(keys.front()).open &&
      !admit(whole, transaction->touches_others())) {
    scripts_needed_.clear();
    return;
  }
  send_block(whole, keys.empty() ? std::string_view() : keys.front());
}

void Dispatcher::send_block(Request& request, std::string_view key) {
  const Topology& topology = worker_.topology();
  GroupIndex group = kNoGroup;
  if (!key.empty() || request.held != nullptr) {
    group = topology.router->place(key).group;
  } else if (!topology.serving_groups.empty()) {
    group = topology.serving_groups.front();  // Nothing but PING and the like.
  }
  if (group == kNoGroup) {
    refuse(request, "CLUSTERDOWN the slot of the transaction's keys is not assigned");
    return;
  }
  Task* task = task_of(request);
  Backend* backend = &worker_.backends().get(group, request.db, request.client.session.lane);
  if (const Client::Watch* watch = request.client.watch.get()) {
    if (is_broken(*watch)) {
      worker_.complete(task, resp::null_array(request.client.version()));
      return;
    }
    backend = watch->backend;
  }
  if (backend->may_be_careless() && !is_block_fit_for_careless(*backend, request)) {
    scripts_needed_.clear();
    return;
  }
  request.client.note_write(group, topology.epoch);
  for (const std::string& sha : scripts_needed_) load_script_first(*backend, sha);
  scripts_needed_.clear();
  if (!backend->accept(task, request.raw.size())) return;
  if (request.held != nullptr) {
    send_held(*backend, *request.held);
  } else {
    backend->write(request.raw);
  }
}

void Dispatcher::watch(Request& request) {
  Client& client = request.client;
  if (client.transaction != nullptr) {
    client.reply_error("ERR WATCH inside MULTI is not allowed");
    return;
  }
  if (request.held == nullptr && !find_transaction_keys(request)) return;
  GroupIndex group = kNoGroup;
  request.holds_client = true;
  if (!place_keys(request, group)) return;
  Task* task = task_of(request);
  if (client.watch == nullptr) {
    Backend* backend = worker_.backends().lend(group, request.db, &client);
    if (backend == nullptr) {
      worker_.fail(task, too_many_connections());
      return;
    }
    client.watch = std::make_unique<Client::Watch>();
    client.watch->backend = backend;
    client.watch->key = request.args[1];
  }
  Backend& backend = *client.watch->backend;
  if (!is_fit_for(backend, request)) return;
  if (!backend.accept(task, request.raw.size())) return;
  backend.write(request.raw);
}

bool Dispatcher::is_broken(const Client::Watch& watch) noexcept {
  // A server that closes idle connections, a reset: the next one would know of no WATCH, and
  // execute whatever has happened.
  return watch.broken || watch.connection != watch.backend->connection();
}

void Dispatcher::drop_watch(Client& client) {
  if (client.watch == nullptr) return;
  Backend* backend = client.watch->backend;
  client.watch.reset();
  if (!backend->is_clean()) {
    worker_.backends().give_up(backend);
    return;
  }
  // Before whatever the next client sends there. Nobody waits for the answer.
  Task* task = worker_.tasks().take();
  task->command = find_command("unwatch");
  task->started = worker_.loop().now();
  task->prefix_size = 0;
  if (backend->accept(task, kUnwatch.size())) backend->write(kUnwatch);
  worker_.backends().take_back(backend);
}

void Dispatcher::watch_answered(Client& client, const Task& task, std::string_view piece) {
  if (client.watch == nullptr) return;
  Backend* backend = client.watch->backend;
  if (task.command->name == "watch") {
    // Refused, or the connection was lost: nothing is watched there any more.
    const std::string_view start = task.reply.size() > 0 ? task.reply.view() : piece;
    if (task.is_error || !start.starts_with('+')) {
      drop_watch(client);
    } else if (!client.watch->connection) {
      client.watch->connection = backend->connection();
    } else if (*client.watch->connection != backend->connection()) {
      client.watch->broken = true;  // What was watched before, over the one that is gone.
    }
    return;
  }
  // EXEC: with its answer nothing is watched any more.
  client.watch.reset();
  return_or_give_up(backend);
}

bool Dispatcher::answered(Task* task, std::string_view& reply) {
  if (task->error_before > 0) {
    const std::string_view kept = task->reply.view();
    const std::string whole = std::string(kept.substr(task->error_before)) + std::string(reply);
    error_ = whole.starts_with('-') ? exec_error(*task, whole) : whole;
    reply = error_;
    task->error_before = 0;
    task->reply.clear(worker_.loop().pool());
  }
  Client* client = task->client;
  if (client == nullptr || !task->holds_client) return true;
  if (task->command->action == CommandAction::kTransaction) {
    watch_answered(*client, *task, reply);
    return !begin_steps(task, reply);
  }
  return !wait_answered(*client, task, reply);
}

void Dispatcher::return_or_give_up(Backend* backend) {
  if (backend->is_clean()) {
    worker_.backends().take_back(backend);
  } else {
    worker_.backends().give_up(backend);
  }
}

std::string Dispatcher::exec_error(const Task& task, std::string_view reply) const {
  // The server refused MULTI or a command. What it said then is more use than what it says of EXEC.
  const std::string_view first = reply_text(task.reply.view().substr(0, task.error_before));
  if (reply.starts_with("-EXECABORT")) {
    return resp::error("EXECABORT Transaction discarded because of: " + std::string(first));
  }
  return resp::error("ERR " + task.backend->label() + " refused MULTI (" + std::string(first) +
                     "): the requests may have been executed one by one");
}

}  // namespace pikaproxy
