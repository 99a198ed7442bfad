#include "dashboard/mover/route_state.h"

#include <algorithm>

#include "common/connection_name.h"
#include "common/log.h"
#include "common/sabotage.h"
#include "common/text.h"
#include "dashboard/mover/client_list.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout(1000);
constexpr milliseconds kControlTimeout(2000);
// For answers that have been missed just so.
constexpr milliseconds kAnswerTimeout(500);
constexpr milliseconds kPauseFirst(50);
constexpr milliseconds kPauseLongest(500);
constexpr int kKillChecks = 20;

uint64_t next_link_number() {
  static std::atomic<uint64_t> number{0};
  return ++number;
}

// Kills the connection `entry`. Redis is asked by id, Pika knows only addresses.
Reply kill(ServerLink& control, int64_t id, const std::string& addr) {
  if (id != 0) return control.call({"CLIENT", "KILL", "ID", std::to_string(id)}, kControlTimeout);
  return control.call({"CLIENT", "KILL", addr}, kControlTimeout);
}

std::string refusal(const ServerLink& control, const Reply& reply) {
  if (control.is_broken()) return control.error();
  return "Server " + control.server().address.to_string() +
         " refuses CLIENT LIST or CLIENT KILL (" + printable(reply.text) +
         "): moving keys safely needs them, allow them to its user.";
}

// A command that moves values between servers, or one that goes before it on the same connection.
bool moves_values(std::string_view cmd) {
  return cmd == "restore" || cmd == "restore-asking" || cmd.starts_with("slotsrestore");
}
bool comes_before_values(std::string_view cmd) {
  return cmd == "NULL" || cmd == "select" || cmd == "auth";
}

}  // namespace

RouteState::RouteState(MoveRoute route, const std::string& cluster, std::string instance,
                       StopSignal& stop)
    : route_(std::move(route)),
      name_prefix_(mover_name_prefix(cluster)),
      worker_prefix_(worker_name_prefix(cluster)),
      instance_(std::move(instance)),
      stop_(stop) {}

Result<std::unique_ptr<ServerLink>> RouteState::connect(End end) {
  const std::string name = name_prefix_ + instance_ + "-" + std::to_string(next_link_number());
  return ServerLink::connect(server(end), name, kConnectTimeout, &stop_);
}

void RouteState::give_up(End end, std::unique_ptr<ServerLink> link) {
  if (!link || !link->has_unanswered()) return;
  const std::lock_guard lock(mutex_);
  // Kept open: where connections cannot be killed by id, its answers tell what has run.
  given_up_.push_back({end, std::move(link)});
  settled_.store(false);
}

void RouteState::expect_late_transfer() {
  const std::lock_guard lock(mutex_);
  late_transfer_ = true;
  settled_.store(false);
}

Result<std::shared_lock<std::shared_mutex>> RouteState::enter() {
  while (true) {
    {
      std::shared_lock shared(gate_);
      if (settled_.load()) return shared;
    }
    const std::unique_lock alone(gate_);
    const Result<bool> settled = settle();
    if (!settled) return Error{settled.error()};
  }
}

Result<std::unique_lock<std::shared_mutex>> RouteState::enter_alone() {
  std::unique_lock alone(gate_);
  const Result<bool> settled = settle();
  if (!settled) return Error{settled.error()};
  return alone;
}

Result<std::unique_lock<std::shared_mutex>> RouteState::enter_without(End lost) {
  std::unique_lock alone(gate_);
  const Result<bool> settled = settle_without(lost);
  if (!settled) return Error{settled.error()};
  return alone;
}

Result<bool> RouteState::settle_without(End lost) {
  const End end = lost == End::kSource ? End::kTarget : End::kSource;
  auto control = connect(end);
  if (!control) return Error{control.error()};
  const Result<bool> earlier = kill_earlier(**control);
  if (!earlier) return Error{earlier.error()};
  std::vector<GivenUp> given_up;
  {
    const std::lock_guard lock(mutex_);
    given_up = std::move(given_up_);
    given_up_.clear();
  }
  Result<bool> settled = settle_end(end, given_up, **control);
  // Always: what the lost source had in the sockets is on its way, whether it was answered or not.
  if (settled && end == End::kTarget && route_.mover != MoverKind::kCopy) {
    settled = kill_transfers(**control, server(lost).address.host);
  }
  if (settled) return true;
  const std::lock_guard lock(mutex_);
  for (GivenUp& one : given_up) given_up_.push_back(std::move(one));
  return Error{settled.error()};
}

Result<bool> RouteState::fail(std::string error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  pause_ = std::clamp(pause_ * 2, kPauseFirst, kPauseLongest);
  retry_at_ = ServerLink::Clock::now() + pause_;
  return Error{error_};
}

Result<bool> RouteState::settle() {
  if (settled_.load()) return true;
  if (is_sabotaged(Sabotage::kUnsettled)) {
    const std::lock_guard lock(mutex_);
    given_up_.clear();
    settled_.store(true);
    return true;
  }
  if (stop_.is_raised()) return Error{"The move engine is shutting down."};
  std::vector<GivenUp> given_up;
  bool kill_earlier_links = false;
  bool late_transfer = false;
  {
    const std::lock_guard lock(mutex_);
    // Each try may take seconds with a server that hangs; in between, the answer is known.
    if (ServerLink::Clock::now() < retry_at_) return Error{error_};
    given_up = std::move(given_up_);
    given_up_.clear();
    kill_earlier_links = !earlier_killed_;
    late_transfer = late_transfer_;
  }
  const auto put_back = [&](const std::string& error) {
    {
      const std::lock_guard lock(mutex_);
      for (GivenUp& one : given_up) given_up_.push_back(std::move(one));
    }
    return fail(error);
  };
  // The source first: what it has not begun when its connection is killed, it does not send.
  auto source = connect(End::kSource);
  if (!source) return put_back(source.error());
  auto target = connect(End::kTarget);
  if (!target) return put_back(target.error());
  for (ServerLink* control : {source->get(), target->get()}) {
    if (kill_earlier_links) {
      const Result<bool> killed = kill_earlier(*control);
      if (!killed) return put_back(killed.error());
    }
    const End end = control == source->get() ? End::kSource : End::kTarget;
    const Result<bool> settled = settle_end(end, given_up, *control);
    if (!settled) return put_back(settled.error());
  }
  if (late_transfer && route_.mover != MoverKind::kCopy) {
    const Result<bool> killed = kill_transfers(**target, (*source)->peer_ip());
    if (!killed) return put_back(killed.error());
  }
  const std::lock_guard lock(mutex_);
  earlier_killed_ = true;
  late_transfer_ = false;
  error_.clear();
  pause_ = milliseconds(0);
  retry_at_ = {};
  settled_.store(true);
  return true;
}

Result<bool> RouteState::settle_end(End end, std::vector<GivenUp>& given_up, ServerLink& control) {
  for (GivenUp& one : given_up) {
    if (one.end != end || !one.link) continue;
    ServerLink& link = *one.link;
    if (link.client_id() != 0) {
      // 0 killed: it is gone already. Either way the server is not running a command of it now.
      const Reply killed = kill(control, link.client_id(), link.client_addr());
      if (killed.kind != Reply::Kind::kInteger) return Error{refusal(control, killed)};
    } else if (!link.drain(kAnswerTimeout)) {
      // Pika. It takes a killed connection off its list at once, but closes it only when the thread
      // that runs its commands has done with them; where that hangs, they run when it goes on.
      if (!link.client_addr().empty()) kill(control, 0, link.client_addr());
      if (control.is_broken()) return Error{control.error()};
      if (!link.drain(kControlTimeout)) {
        return Error{"Server " + link.server().address.to_string() +
                     " does not answer and does not end our connection: keys move again when it "
                     "does; restart it if it hangs."};
      }
    }
    one.link.reset();
  }
  return true;
}

bool RouteState::is_earlier(const std::string& name) const {
  if (name.starts_with(worker_prefix_)) {
    return !name.starts_with(worker_prefix_ + process_instance() + ":");
  }
  return name.starts_with(name_prefix_) && !name.starts_with(name_prefix_ + instance_ + "-");
}

// Requests of clients too: what a killed proxy had sent may be waiting in a socket, and must not
// run at a server that the slot has left, or comes back to.
Result<bool> RouteState::kill_earlier(ServerLink& control) {
  for (int check = 0; check < kKillChecks; ++check) {
    const Reply list = control.call({"CLIENT", "LIST"}, kControlTimeout);
    if (!list.is_bulk()) return Error{refusal(control, list)};
    bool found = false;
    for (const ClientListEntry& entry : parse_client_list(list.text)) {
      if (!is_earlier(entry.name)) continue;
      found = true;
      const Reply killed = kill(control, entry.id, entry.addr);
      if (killed.is_error() && (control.is_broken() || entry.id != 0)) {
        return Error{refusal(control, killed)};
      }
      log_info("connection of an earlier process ended", "server",
               control.server().address.to_string(), "client", entry.addr);
    }
    if (!found) return true;
    if (check > 0 && !stop_.sleep_for(kPauseFirst)) break;
  }
  return Error{
      "Server " + control.server().address.to_string() +
      " keeps connections of an earlier process of ours: end that process (its clients are "
      "named " +
      name_prefix_ + "... or " + worker_prefix_ + "...)."};
}

Result<bool> RouteState::kill_transfers(ServerLink& target, const std::string& source_ip) {
  const Reply list = target.call({"CLIENT", "LIST"}, kControlTimeout);
  if (!list.is_bulk()) return Error{refusal(target, list)};
  // A source beside the target comes from the address it connects to.
  const std::string target_ip = target.peer_ip();
  for (const ClientListEntry& entry : parse_client_list(list.text)) {
    if (!entry.name.empty()) continue;
    const std::string_view ip = ip_of(entry.addr);
    const bool from_source = ip == source_ip || ip == target_ip || ip == "127.0.0.1" || ip == "::1";
    // What has already sent values is told by that; its address may have been translated.
    if (!moves_values(entry.cmd) && !(from_source && comes_before_values(entry.cmd))) continue;
    const Reply killed = kill(target, entry.id, entry.addr);
    if (killed.is_error() && (target.is_broken() || entry.id != 0)) {
      return Error{refusal(target, killed)};
    }
    log_debug("transfer that may come late ended", "server", target.server().address.to_string(),
              "client", entry.addr);
  }
  return true;
}

void RouteState::set_unfinished(uint32_t db, const std::string& key, Attempt attempt) {
  const std::lock_guard lock(mutex_);
  unfinished_[{db, key}] = attempt;
  unfinished_count_.store(unfinished_.size());
}

void RouteState::set_finished(uint32_t db, const std::string& key) {
  if (!has_unfinished()) return;
  const std::lock_guard lock(mutex_);
  unfinished_.erase({db, key});
  unfinished_count_.store(unfinished_.size());
}

bool RouteState::unfinished(uint32_t db, const std::string& key, Attempt& attempt) const {
  if (!has_unfinished()) return false;
  const std::lock_guard lock(mutex_);
  const auto found = unfinished_.find({db, key});
  if (found == unfinished_.end()) return false;
  attempt = found->second;
  return true;
}

std::vector<std::pair<RouteState::Key, RouteState::Attempt>> RouteState::unfinished() const {
  const std::lock_guard lock(mutex_);
  return {unfinished_.begin(), unfinished_.end()};
}

}  // namespace pikaproxy
