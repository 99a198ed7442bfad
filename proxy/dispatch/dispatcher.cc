#include "proxy/dispatch/dispatcher.h"

#include <algorithm>

#include "common/ascii.h"
#include "common/resp.h"
#include "common/slot.h"
#include "proxy/backend/reply_lift.h"
#include "proxy/client/transaction.h"
#include "proxy/commands/local_commands.h"
#include "proxy/dispatch/placement.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/dispatch/script_cache.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr size_t kGatheringsKept = 256;
// Buffers that grew beyond this are not kept.
constexpr size_t kKeptBytes = 64 * 1024;
size_t decimal_digits(size_t value) {
  size_t digits = 1;
  while (value >= 10) {
    value /= 10;
    ++digits;
  }
  return digits;
}

// The bytes "$<length>\r\n<argument>\r\n" that an argument of a RESP request is a view into.
std::string_view encoded_argument(std::string_view arg) {
  const size_t header = 3 + decimal_digits(arg.size());
  return {arg.data() - header, header + arg.size() + 2};
}

// What a client that subscribes may send with RESP2.
bool is_for_subscribers(const Command& command) {
  return command.action == CommandAction::kSubscribe || command.name.ends_with("unsubscribe") ||
         command.name == "ping" || command.name == "quit" || command.name == "reset";
}

}  // namespace

Dispatcher::Dispatcher(Worker& worker) : worker_(worker), gate_(*this) {}

Dispatcher::~Dispatcher() = default;

bool Dispatcher::dispatch(Client& client, RequestParser& parser, std::string_view raw) {
  using Replies = Client::Session::Replies;
  const bool skip = client.session.replies == Replies::kSkipNext;
  if (skip) client.session.replies = Replies::kSkipThis;
  const bool is_done = check_and_run(client, parser, raw);
  if (skip && client.session.replies == Replies::kSkipThis) {
    client.session.replies = is_done ? Replies::kOn : Replies::kSkipNext;
  }
  return is_done;
}

void Dispatcher::reject(Client& client, std::string_view error, const Command* command) {
  if (command != nullptr && command->name == "exec") {
    // As Redis: whatever is wrong with an EXEC, it ends the transaction.
    if (error.starts_with("ERR ")) error.remove_prefix(4);
    client.transaction.reset();
    drop_watch(client);
    client.reply_error("EXECABORT Transaction discarded because of: " + std::string(error));
    return;
  }
  if (client.transaction != nullptr) client.transaction->fail();
  // CLIENT CACHING is for the next request that is none of CLIENT's, as in Redis.
  if (command == nullptr || !command->name.starts_with("client")) end_caching(client);
  client.reply_error(error);
}

bool Dispatcher::changes_lane(const Client& client, const Command& command, Arguments args) {
  if (command.name == "reset") return !client.session.is_plain;
  if (command.action == CommandAction::kTracking) return true;
  int64_t version = 0;
  return command.name == "hello" && client.transaction == nullptr && args.size() > 1 &&
         parse_integer(args[1], version) && version != client.session.protocol;
}

bool Dispatcher::must_be_alone(const Client& client, const Command& command, Arguments args) const {
  if (changes_lane(client, command, args)) return true;
  if (client.transaction != nullptr) {
    return command.name == "exec" && (client.watch != nullptr || client.transaction->has_steps());
  }
  // Databases have connections of their own: FLUSHALL or FUNCTION FLUSH over the next one must not
  // overtake what was sent over the last one.
  if (command.name == "select" || command.name == "reset") return true;
  return command.action == CommandAction::kBlock || command.action == CommandAction::kWait ||
         command.action == CommandAction::kSubscribe || command.name == "watch" ||
         has_block_option(command, args);
}

bool Dispatcher::check_and_run(Client& client, RequestParser& parser, std::string_view raw) {
  Arguments args = parser.args();
  const Command* command = find_command(args[0]);
  if (command == nullptr) {
    worker_.stats().unknown_commands.add();
    if (equals_ignoring_case(args[0], "host:") || equals_ignoring_case(args[0], "post")) {
      // A browser or a forged form, not a Redis client.
      client.shut(Disconnect::kProtocol);
      return true;
    }
    reject(client, unknown_command(args));
    return true;
  }
  if (!command->subcommands.empty() && args.size() >= 2) {
    const Command* subcommand = find_subcommand(*command, args[1]);
    if (subcommand == nullptr) {
      reject(client, unknown_subcommand(*command, args[1]));
      return true;
    }
    command = subcommand;
  }
  if (!arity_fits(*command, args.size())) {
    reject(client, wrong_arity(*command), command);
    return true;
  }
  if (!client.session.authenticated && (command->flags & kFlagNoAuth) == 0) {
    reject(client, "NOAUTH Authentication required.", command);
    return true;
  }
  if (command->proxy_admin && !client.session.admin) {
    worker_.stats().denied_commands.add();
    reject(client, not_permitted(*command));
    return true;
  }
  if (client.session.rights != nullptr && !is_permitted(client, *command, args)) return true;
  if (client.subscriptions != nullptr && client.only_subscribes() &&
      !is_for_subscribers(*command)) {
    reject(client,
           "ERR Can't execute '" + std::string(command->name) +
               "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
               "allowed in this context",
           command);
    return true;
  }
  if (worker_.is_paused() && must_pause(client, *command)) {
    client.hold_for_pause();
    return false;
  }
  const bool is_plain = client.transaction == nullptr && (command->flags & kFlagBlocking) == 0 &&
                        command->action < CommandAction::kTransaction;
  if (!is_plain && !client.has_no_request() && must_be_alone(client, *command, args)) return false;
  if (worker_.monitors().is_on()) worker_.monitors().note(client, *command, args);
  client.note_command(*command);
  if (parser.is_inline()) {
    encoded_.clear();
    resp::append_array(encoded_, static_cast<int64_t>(args.size()));
    for (const std::string_view arg : args) resp::append_bulk(encoded_, arg);
    // The copies' addresses are known only now that the string does not grow any more.
    encoded_args_.clear();
    size_t at = encoded_.find('\n') + 1;
    for (const std::string_view arg : args) {
      at += 3 + decimal_digits(arg.size());
      encoded_args_.emplace_back(encoded_.data() + at, arg.size());
      at += arg.size() + 2;
    }
    args = encoded_args_;
    raw = encoded_;
  }
  Request request{client, *command, args, raw, client.session.db};
  if (client.transaction != nullptr && command->action != CommandAction::kTransaction &&
      command->name != "quit" && command->name != "reset") {
    queue(request);
  } else {
    run(request);
  }
  return true;
}

void Dispatcher::run(Request& request) {
  const CommandAction action = request.command.action;
  if (action == CommandAction::kLocal) {
    WorkerStats::PerCommand& counters = worker_.stats().commands[request.command.index];
    counters.calls.add();
    run_local_command(request.client, request.command, request.args);
    if (!request.client.session.is_plain && !request.command.name.starts_with("client")) {
      end_caching(request.client);
    }
    return;
  }
  if (action != CommandAction::kRefuse && action != CommandAction::kTransaction &&
      is_out_of_memory(request)) {
    return;
  }
  act(request);
}

bool Dispatcher::is_out_of_memory(Request& request) {
  if (!worker_.memory_full()) return false;
  worker_.stats().refused_memory.add();
  refuse(request,
         "OOM the proxy holds as many bytes as it may (proxy.memory_max); try again later");
  return true;
}

void Dispatcher::refuse(Request& request, std::string_view error) {
  end_caching(request.client);
  if (request.held != nullptr || request.task != nullptr) {
    worker_.fail(task_of(request), error);
  } else {
    request.client.reply_error(error);
  }
}

Task* Dispatcher::task_of(Request& request) {
  Task* task = request.held != nullptr ? request.held->task : request.task;
  if (task == nullptr) {
    task = request.task = request.client.add_task(request.command, request.raw);
    if (!request.client.session.is_plain) {
      task->shape = reply_shape(request.command, request.args);
      note_reads(request, task);
    }
  }
  if (request.holds_client) {
    task->holds_client = true;
    request.client.hold();
  }
  return task;
}

void Dispatcher::act(Request& request) {
  using Kind = Gathering::Kind;
  switch (request.command.action) {
    case CommandAction::kForward:
      forward(request);
      break;
    case CommandAction::kForwardAnyGroup:
      forward_to_any(request);
      break;
    case CommandAction::kSplitMget:
      split(request, Kind::kMget, 1);
      break;
    case CommandAction::kSplitMset:
      split(request, Kind::kAllOk, 2);
      break;
    case CommandAction::kSplitSum:
      split(request, Kind::kSum, 1);
      break;
    case CommandAction::kFanOutSum:
      fan_out(request, Kind::kSum);
      break;
    case CommandAction::kFanOutConcat:
      fan_out(request, Kind::kConcat);
      break;
    case CommandAction::kFanOutAllOk:
      fan_out(request, Kind::kAllOk);
      break;
    case CommandAction::kKill:
      control(request, Kind::kKill);
      break;
    case CommandAction::kFunctionStats:
      control(request, Kind::kFunctionStats);
      break;
    case CommandAction::kRandomKey:
      random_key(request);
      break;
    case CommandAction::kScan:
      scan(request);
      break;
    case CommandAction::kScriptLoad:
      script_load(request);
      break;
    case CommandAction::kScriptExists:
      fan_out(request, Kind::kScriptExists);
      break;
    case CommandAction::kScriptFlush:
      worker_.manager().forget_scripts();
      fan_out(request, Kind::kAllOk);
      break;
    case CommandAction::kEval:
      eval(request);
      break;
    case CommandAction::kTransaction:
      transaction_command(request);
      break;
    case CommandAction::kBlock:
      block(request);
      break;
    case CommandAction::kTracking:
      tracking(request);
      break;
    case CommandAction::kSubscribe:
      subscribe(request);
      break;
    case CommandAction::kPublish:
      publish(request);
      break;
    case CommandAction::kWait:
      if (request.command.name == "waitaof") {
        wait_for_disks(request);
      } else {
        wait_for_replicas(request);
      }
      break;
    case CommandAction::kRefuse:
      refuse(request, "ERR " + std::string(request.command.refusal));
      break;
    case CommandAction::kLocal:
      break;
  }
}

void Dispatcher::shrink() {
  if (scratch_.capacity() > kKeptBytes) std::string().swap(scratch_);
  if (encoded_.capacity() > kKeptBytes) std::string().swap(encoded_);
  if (positions_.capacity() > kKeptBytes) std::vector<uint32_t>().swap(positions_);
  if (key_uses_.capacity() > kKeptBytes) std::vector<KeyUse>().swap(key_uses_);
  if (key_groups_.capacity() > kKeptBytes) std::vector<GroupIndex>().swap(key_groups_);
  if (encoded_args_.capacity() > kKeptBytes) std::vector<std::string_view>().swap(encoded_args_);
}

void Dispatcher::count_slot(Place place) noexcept {
  // A server on the ring is a unit, too; what is counted for it then is read by nobody.
  worker_.stats().slots[place.unit % kSlotCount].add();
}

void Dispatcher::count_key(Place place, std::string_view key) noexcept {
  count_slot(place);
  HotKeys& hot_keys = worker_.hot_keys();
  if (hot_keys.is_due()) hot_keys.note(key, place.unit, HotKeys::Clock::now());
}

bool Dispatcher::must_pause(const Client& client, const Command& command) const noexcept {
  // Whoever may end the pause must be able to, and to log in for that.
  const bool is_administration = command.action == CommandAction::kLocal &&
                                 (command.proxy_admin || (command.flags & kFlagNoAuth) != 0);
  if (is_administration) return false;
  if (!worker_.is_pause_for_writes()) return true;
  if ((command.flags & (kFlagWrite | kFlagMayReplicate)) != 0) return true;
  return command.name == "exec" && client.transaction != nullptr && client.transaction->writes();
}

void Dispatcher::note_write(Client& client, const Command& command, GroupIndex group) noexcept {
  if ((command.flags & (kFlagWrite | kFlagMayReplicate)) != 0) {
    client.note_write(group, worker_.topology().epoch);
  }
}

// ---- To one group -------------------------------------------------------------------------------

void Dispatcher::forward(Request& request) {
  GroupIndex group = kNoGroup;
  if (request.command.single_key != 0) {
    // Every command with one key at a fixed place: nearly all traffic.
    const std::string_view key = request.args[request.command.single_key];
    const Place place = worker_.topology().router->place(key);
    count_key(place, key);
    if (!place.open) {
      positions_.assign(1, request.command.single_key);
      // The other database's key of that name has to be where this one is.
      if (!admit(request, goes_to_other_database(request.command, request.args))) return;
    }
    group = place.group;
    if (request.client.session.read_from != ReadFrom::kMaster && place.open &&
        wants_replica(request)) {
      positions_.assign(1, request.command.single_key);
      if (read_from_replica(request, group)) return;
    }
  } else if (has_block_option(request.command, request.args)) {
    block(request);
    return;
  } else if (!place_keys(request, group)) {
    return;
  } else if (wants_replica(request) && !positions_.empty() &&
             worker_.topology().router->place(request.args[positions_.front()]).open &&
             read_from_replica(request, group)) {
    return;
  }
  forward_to(request, group);
}

bool Dispatcher::place_keys(Request& request, GroupIndex& group) {
  Placement placement;
  const std::string error =
      place_request(worker_.topology(), request.command, request.args, positions_, placement);
  if (placement.has_keys) count_key(placement.place, request.args[positions_.front()]);
  if (!error.empty()) {
    if (error == kCrossSlot) worker_.stats().crossslot.add();
    refuse(request, error);
    return false;
  }
  if (!placement.place.open && !admit(request, placement.touches_others)) return false;
  group = placement.place.group;
  return true;
}

void Dispatcher::forward_to(Request& request, GroupIndex group) {
  Backend& backend = worker_.backends().get(group, request.db, request.client.session.lane);
  if (!is_fit_for(backend, request)) return;
  Task* task = task_of(request);
  note_write(request.client, request.command, group);
  if (!backend.accept(task, request.raw.size())) return;
  if (request.held != nullptr) {
    send_held(backend, *request.held);
    return;
  }
  size_t capacity = 0;
  if (char* memory = request.client.take_request_memory(request.raw, capacity)) {
    backend.write_own(memory, 0, request.raw.size(), capacity);
  } else {
    backend.write(request.raw);
  }
}

void Dispatcher::forward_to_any(Request& request) {
  const Topology& topology = worker_.topology();
  for (const GroupIndex group : topology.serving_groups) {
    if (worker_.backends().get(group, request.db, request.client.session.lane).is_reachable()) {
      forward_to(request, group);
      return;
    }
  }
  if (topology.serving_groups.empty()) {
    refuse(request, kNoSlotServed);
  } else {
    forward_to(request, topology.serving_groups.front());
  }
}

// ---- To several groups --------------------------------------------------------------------------

Gathering& Dispatcher::start_gathering(Request& request, Gathering::Kind kind) {
  return start_gathering(task_of(request), kind, request.db, request.client.session.lane);
}

Gathering& Dispatcher::start_gathering(Task* parent, Gathering::Kind kind, uint32_t db, Lane lane) {
  std::unique_ptr<Gathering> gathering;
  if (free_gatherings_.empty()) {
    gathering = std::make_unique<Gathering>();
  } else {
    gathering = std::move(free_gatherings_.back());
    free_gatherings_.pop_back();
  }
  gathering->kind = kind;
  gathering->parent = parent;
  gathering->db = db;
  gathering->lane = lane;
  gathering->epoch = worker_.topology().epoch;
  return *gathering.release();  // Owned by itself until finish().
}

Task* Dispatcher::new_part(Gathering& gathering) {
  Task* part = worker_.tasks().take();
  part->gathering = &gathering;
  part->command = gathering.parent->command;
  part->shape = gathering.parent->shape;
  part->started = worker_.loop().now();
  part->prefix_size = 0;
  gathering.parts.push_back(part);
  ++gathering.outstanding;
  return part;
}

Task* Dispatcher::add_part_to(Gathering& gathering, Backend& backend, uint64_t size) {
  Task* part = new_part(gathering);
  return backend.accept(part, size) ? part : nullptr;
}

void Dispatcher::fail_part(Gathering& gathering, std::string_view error) {
  worker_.fail(new_part(gathering), error);
}

Task* Dispatcher::add_part(Gathering& gathering, GroupIndex group, uint64_t size,
                           Backend*& backend) {
  backend = &worker_.backends().get(group, gathering.db, gathering.lane);
  return add_part_to(gathering, *backend, size);
}

void Dispatcher::ask(Backend& backend, std::string_view request,
                     std::function<void(std::string_view)> answer) {
  Task* task = own_task(std::move(answer));
  if (backend.accept(task, request.size())) backend.write(request);
}

Task* Dispatcher::own_task(std::function<void(std::string_view)> answer) {
  auto gathering = std::make_unique<Gathering>();
  gathering->kind = Gathering::Kind::kOwn;
  gathering->answer = std::move(answer);
  gathering->outstanding = 1;
  Task* part = worker_.tasks().take();
  part->gathering = gathering.get();
  part->command = find_command("info");  // Not counted, as no part is.
  part->started = worker_.loop().now();
  part->prefix_size = 0;
  gathering->parts.push_back(part);
  gathering.release();  // Owned by itself until gathered().
  return part;
}

void Dispatcher::send_part(Gathering& gathering, GroupIndex group, std::string_view request) {
  Backend* backend = nullptr;
  Task* part = add_part(gathering, group, request.size(), backend);
  if (part == nullptr) return;
  if (gathering.parent->notes != nullptr) {
    // EVALSHA: the reply that reads the keys is the part's.
    part->notes = std::make_unique<TaskNotes>();
    part->notes->reads = gathering.parent->notes->reads;
    part->notes->epoch = gathering.parent->notes->epoch;
  }
  backend->write(request);
}

void Dispatcher::release(Gathering& gathering) {
  if (--gathering.outstanding == 0) gathered(gathering);
}

void Dispatcher::finish(Gathering& gathering, std::string_view reply) {
  Ticks server_time = 0;
  for (Task* part : gathering.parts) {
    server_time = std::max(server_time, part->server_time);
    worker_.free(part);
  }
  Task* parent = gathering.parent;
  parent->server_time = server_time;
  parent->is_error = reply.starts_with('-');
  recycle(gathering);
  worker_.complete(parent, reply);
}

void Dispatcher::recycle(Gathering& gathering) {
  gathering.parts.clear();
  gathering.part_of_key.clear();
  gathering.known_scripts.clear();
  gathering.groups_left.clear();
  gathering.request.clear();
  gathering.repaired = gathering.from_replicas = false;
  gathering.is_flush = gathering.second_round = gathering.was_moving = false;
  std::unique_ptr<Gathering> owned(&gathering);
  const bool is_small =
      gathering.part_of_key.capacity() + gathering.request.capacity() < kKeptBytes;
  if (is_small && free_gatherings_.size() < kGatheringsKept) {
    free_gatherings_.push_back(std::move(owned));
  }
}

void Dispatcher::gathered(Gathering& gathering) {
  switch (gathering.kind) {
    case Gathering::Kind::kScan:
      gathered_scan(gathering);
      return;
    case Gathering::Kind::kRandomKey:
      gathered_random_key(gathering);
      return;
    case Gathering::Kind::kEvalsha:
      gathered_evalsha(gathering);
      return;
    case Gathering::Kind::kTracking:
      gathered_tracking(gathering);
      return;
    case Gathering::Kind::kPublish:
      gathered_publish(gathering);
      return;
    case Gathering::Kind::kOwn: {
      const std::unique_ptr<Gathering> owned(&gathering);
      Task* part = gathering.parts.front();
      gathering.answer(part->reply.view());
      worker_.free(part);
      return;
    }
    default:
      if (gathering.is_flush && flush_again(gathering)) return;
      if (gathering.from_replicas && read_again_from_masters(gathering)) return;
      scratch_.clear();
      merge_replies(gathering, scratch_);
      finish(gathering, scratch_);
  }
}

void Dispatcher::split(Request& request, Gathering::Kind kind, size_t args_per_key) {
  const Topology& topology = worker_.topology();
  const size_t keys = (request.args.size() - 1) / args_per_key;
  if (keys * args_per_key + 1 != request.args.size()) {
    refuse(request, wrong_arity(request.command));
    return;
  }
  key_groups_.clear();
  bool one_group = true;
  bool all_open = true;
  for (size_t key = 0; key < keys; ++key) {
    const std::string_view name = request.args[1 + key * args_per_key];
    const Place place = topology.router->place(name);
    count_key(place, name);
    all_open = all_open && place.open;
    key_groups_.push_back(place.group);
    one_group = one_group && place.group == key_groups_.front();
  }
  if (!all_open) {
    positions_.clear();
    for (size_t key = 0; key < keys; ++key) {
      positions_.push_back(static_cast<uint32_t>(1 + key * args_per_key));
    }
    if (!admit(request, false)) return;
  }
  const bool from_replicas = all_open && wants_replica(request);
  if (from_replicas) {
    positions_.clear();
    for (size_t at = 1; at < request.args.size(); ++at) {
      positions_.push_back(static_cast<uint32_t>(at));
    }
  }
  if (one_group) {
    if (from_replicas && read_from_replica(request, key_groups_.front())) return;
    forward_to(request, key_groups_.front());
    return;
  }

  // The length of a group's request comes before its keys, so they are counted first.
  shares_.clear();
  share_of_group_.assign(topology.groups.size(), kNoGroup);
  for (const GroupIndex group : key_groups_) {
    uint16_t& share = share_of_group_[group];
    if (share == kNoGroup) {
      share = static_cast<uint16_t>(shares_.size());
      shares_.push_back({group, 0, nullptr, nullptr});
    }
    ++shares_[share].keys;
  }
  for (const Share& share : shares_) {
    if (!is_fit_for(worker_.backends().get(share.group, request.db, request.client.session.lane),
                    request))
      return;
  }
  Gathering& gathering = start_gathering(request, kind);
  hold(gathering);
  Ticks not_before = 0;
  if (from_replicas) {
    gathering.from_replicas = true;
    gathering.request = request.raw;
    not_before = needed_freshness(request);
  }
  const std::string_view name = encoded_argument(request.args[0]);
  for (Share& share : shares_) {
    note_write(request.client, request.command, share.group);
    share.part = nullptr;
    share.backend = nullptr;
    if (from_replicas && !find_replica(request, share.group, not_before, share.backend)) {
      fail_part(gathering, error_);
      continue;
    }
    if (share.backend == nullptr) {
      share.backend = &worker_.backends().get(share.group, gathering.db, gathering.lane);
    }
    share.part = add_part_to(gathering, *share.backend, request.raw.size());
    if (share.part == nullptr) {
      share.backend = nullptr;
      continue;
    }
    scratch_.clear();
    resp::append_array(scratch_, static_cast<int64_t>(1 + share.keys * args_per_key));
    scratch_ += name;
    share.backend->write(scratch_);
  }
  // Each group has a connection of its own, so their requests can be written side by side.
  for (size_t key = 0; key < keys; ++key) {
    const uint16_t share = share_of_group_[key_groups_[key]];
    if (kind == Gathering::Kind::kMget) gathering.part_of_key.push_back(share);
    if (shares_[share].backend == nullptr) continue;
    if (const TaskNotes* notes = gathering.parent->notes.get()) {
      std::unique_ptr<TaskNotes>& of_part = shares_[share].part->notes;
      if (of_part == nullptr) of_part = std::make_unique<TaskNotes>();
      of_part->reads.emplace_back(request.args[1 + key * args_per_key]);
      of_part->epoch = notes->epoch;
    }
    const std::string_view first = encoded_argument(request.args[1 + key * args_per_key]);
    const std::string_view last = encoded_argument(request.args[(key + 1) * args_per_key]);
    shares_[share].backend->write(
        {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())});
  }
  release(gathering);
}

void Dispatcher::fan_out(Request& request, Gathering::Kind kind) {
  const Topology& topology = worker_.topology();
  if (topology.serving_groups.empty()) {
    refuse(request, kNoSlotServed);
    return;
  }
  // A flush that is sent while a slot is locked may have to follow the slot to its new group.
  const bool is_flush = request.command.name.starts_with("flush");
  const bool was_moving = !topology.leaving_groups.empty();
  if (topology.serving_groups.size() == 1 && !(is_flush && was_moving)) {
    const GroupIndex group = topology.serving_groups.front();
    // KEYS of a Pika shows what is not the users'.
    const bool is_looked_at =
        kind == Gathering::Kind::kConcat &&
        worker_.backends().get(group, request.db, request.client.session.lane).may_be_careless();
    if (!is_looked_at) {
      forward_to(request, group);
      return;
    }
  }
  Gathering& gathering = start_gathering(request, kind);
  if (kind == Gathering::Kind::kScriptExists) note_known_scripts(request, gathering);
  if (is_flush) {
    gathering.is_flush = true;
    gathering.was_moving = was_moving;
    gathering.request = request.raw;
  }
  hold(gathering);
  for (const GroupIndex group : topology.serving_groups) {
    note_write(request.client, request.command, group);
    send_part(gathering, group, request.raw);
  }
  release(gathering);
}

bool Dispatcher::flush_again(Gathering& gathering) {
  // A key that was on its way from group to group may have been at neither end when its server
  // flushed. Now it is at one of them.
  const Topology& topology = worker_.topology();
  const bool moved =
      gathering.was_moving || (topology.table != nullptr && gathering.epoch != topology.epoch);
  if (gathering.second_round || !moved || topology.serving_groups.empty()) return false;
  gathering.second_round = true;
  for (Task* part : gathering.parts) worker_.free(part);
  gathering.parts.clear();
  hold(gathering);
  for (const GroupIndex group : topology.serving_groups) {
    send_part(gathering, group, gathering.request);
  }
  release(gathering);
  return true;
}

}  // namespace pikaproxy
