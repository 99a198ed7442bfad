// SCRIPT LOAD, EVAL and EVALSHA; SCRIPT KILL and alike.
//
// A script lives at every server that ran it, but clients expect EVALSHA to work once SCRIPT LOAD
// or EVAL did. The proxy keeps the bodies it has seen. Before the first EVALSHA of a script on a
// connection it sends SCRIPT LOAD ahead on the same connection, so that order is kept. Should the
// server have lost the script since, the script itself is sent, unless the client has gone on: then
// its later requests would run first, and it gets NOSCRIPT as from Redis.
//
// While a script runs its server answers nothing behind it. What is to end it takes connections
// that carry nothing else (Lane::kControl); all that they are greeted with works there, or is
// answered with -BUSY, which is an answer.

#include "common/resp.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/dispatch/script_cache.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {

void Dispatcher::script_load(Request& request) {
  worker_.manager().scripts().add(request.args[2]);
  fan_out(request, Gathering::Kind::kAllOk);
}

void Dispatcher::keep_script(Request& request) {
  worker_.manager().scripts().add(request.args[1]);
}

void Dispatcher::note_known_scripts(const Request& request, Gathering& gathering) {
  // EVALSHA works with these, wherever its keys are.
  for (const std::string_view sha : request.args.subspan(2)) {
    gathering.known_scripts.push_back(
        worker_.manager().scripts().find(ScriptCache::normalize(sha)) != nullptr);
  }
}

void Dispatcher::eval(Request& request) {
  GroupIndex group = kNoGroup;
  if (!place_keys(request, group)) return;
  ScriptCache& scripts = worker_.manager().scripts();
  const bool by_sha = request.command.name.starts_with("evalsha");
  if (!by_sha) {
    keep_script(request);
    forward_to(request, group);
    return;
  }
  const std::string sha = ScriptCache::normalize(request.args[1]);
  if (scripts.find(sha) == nullptr) {
    forward_to(request, group);
    return;
  }
  Backend& backend = worker_.backends().get(group, request.db, request.client.session.lane);
  if (!is_fit_for(backend, request)) return;
  Gathering& gathering = start_gathering(request, Gathering::Kind::kEvalsha);
  gathering.group = group;
  gathering.request = request.raw;
  note_write(request.client, request.command, group);
  hold(gathering);
  load_script_first(backend, sha);
  send_part(gathering, group, request.raw);
  release(gathering);
}

void Dispatcher::control(Request& request, Gathering::Kind kind) {
  const Topology& topology = worker_.topology();
  if (topology.serving_groups.empty()) {
    refuse(request, kNoSlotServed);
    return;
  }
  // What is only looked at must not overtake what the client has sent before, a FUNCTION LOAD.
  const Client& client = request.client;
  const bool keeps_order = kind == Gathering::Kind::kFunctionStats && !client.has_no_request();
  const Lane lane = keeps_order ? client.session.lane : control_lane(client.session.lane);
  Gathering& gathering =
      start_gathering(task_of(request), kind, keeps_order ? request.db : 0, lane);
  hold(gathering);
  for (const GroupIndex group : topology.serving_groups) send_part(gathering, group, request.raw);
  release(gathering);
}

void Dispatcher::load_script_first(Backend& backend, std::string_view sha) {
  const std::string name(sha);
  if (backend.has_script(name)) return;
  const std::shared_ptr<const std::string> body = worker_.manager().scripts().find(name);
  if (body == nullptr) return;
  // Nobody waits for this reply: a task without a client.
  Task* task = worker_.tasks().take();
  task->command = find_subcommand(*find_command("script"), "load");
  task->started = worker_.loop().now();
  task->prefix_size = 0;
  std::string load;
  resp::append_array(load, 3);
  resp::append_bulk(load, "SCRIPT");
  resp::append_bulk(load, "LOAD");
  resp::append_bulk(load, *body);
  if (!backend.accept(task, load.size())) return;
  backend.write(load);
  backend.add_script(name);
}

void Dispatcher::gathered_evalsha(Gathering& gathering) {
  const std::string_view reply = gathering.parts.back()->reply.view();
  RequestParser parser;
  RequestProgress progress;
  const ProxyConfig& limits = worker_.config().proxy;
  // With another topology the group's number may mean another group: then the client has to repeat.
  if (!gathering.repaired && reply.starts_with("-NOSCRIPT") &&
      gathering.epoch == worker_.topology().epoch &&
      parser.parse(gathering.request, progress, {limits.bulk_max, limits.request_max, true}) ==
          RequestParser::Status::kRequest) {
    const Arguments args = parser.args();
    const std::string sha = ScriptCache::normalize(args[1]);
    const std::shared_ptr<const std::string> body = worker_.manager().scripts().find(sha);
    worker_.backends().get(gathering.group, gathering.db, gathering.lane).forget_script(sha);
    const Task* parent = gathering.parent;
    if (body != nullptr && parent->client != nullptr && parent->client->is_newest(parent)) {
      gathering.repaired = true;
      // EVALSHA -> EVAL, EVALSHA_RO -> EVAL_RO; the arguments stay.
      std::string again;
      resp::append_array(again, static_cast<int64_t>(args.size()));
      resp::append_bulk(again, args[0].size() > 7 ? "EVAL_RO" : "EVAL");
      resp::append_bulk(again, *body);
      for (const std::string_view arg : args.subspan(2)) resp::append_bulk(again, arg);
      hold(gathering);
      send_part(gathering, gathering.group, again);
      release(gathering);
      return;
    }
  }
  scratch_ = reply;
  finish(gathering, scratch_);
}

}  // namespace pikaproxy
