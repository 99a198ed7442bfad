#include "dashboard/cluster/promoter.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/log.h"
#include "dashboard/cluster/cluster_json.h"
#include "dashboard/health/server_status.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kLookInterval(5);

std::string bytes(uint64_t count) {
  return std::to_string(count) + (count == 1 ? " byte" : " bytes");
}

std::shared_ptr<const Promotion> find(const Controller& controller, uint64_t id) {
  const auto state = controller.state();
  const auto found = state->promotions.find(id);
  return found == state->promotions.end() ? nullptr : found->second;
}

}  // namespace

Promoter::Promoter(Controller& controller, PromoterOptions options, EventBus* events)
    : controller_(controller), options_(options), events_(events) {
  const auto state = controller.state();
  for (const auto& [id, promotion] : state->promotions) {
    if (promotion->ended()) continue;
    log_info("promotion goes on", "id", id, "step", promotion_step_name(promotion->step));
    const std::lock_guard lock(mutex_);
    launch(id, true);
  }
}

Promoter::~Promoter() {
  stop();
}

void Promoter::stop() {
  std::map<uint64_t, std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    threads.swap(threads_);
  }
  stop_.raise();
  for (auto& [id, thread] : threads) thread.join();
}

void Promoter::launch(uint64_t id, bool is_inherited) {
  threads_[id] = std::thread([this, id, is_inherited] {
    if (is_inherited) undo_early(id);
    run(id);
  });
}

void Promoter::undo_early(uint64_t id) {
  const auto promotion = find(controller_, id);
  if (promotion->step < PromotionStep::kPromoting) {
    fail(*promotion, "the process ended while it was under way; no server was changed");
  }
}

Outcome<uint64_t> Promoter::start(const PromotionRequest& request, const Controller::Terms& terms) {
  uint64_t id = 0;
  const auto decided = controller_.decide(
      [&](const ClusterState& state) {
        id = state.next_promotion_id;
        return create_promotion(state, request, controller_.now());
      },
      terms);
  if (!decided) return decided.refusal();
  if (terms.dry_run) return id;
  // Joined without the mutex, which a thread takes once more at its end.
  std::vector<std::thread> over;
  {
    const std::lock_guard lock(mutex_);
    // It is stored; the next process ends it.
    if (stopped_) return id;
    for (auto it = threads_.begin(); it != threads_.end();) {
      const auto old = find(controller_, it->first);
      if (old == nullptr || old->ended()) {
        over.push_back(std::move(it->second));
        it = threads_.erase(it);
      } else {
        ++it;
      }
    }
    launch(id, false);
  }
  for (std::thread& thread : over) thread.join();
  return id;
}

std::string Promoter::problem(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = problems_.find(id);
  return found == problems_.end() ? std::string() : found->second;
}

void Promoter::set_problem(uint64_t id, std::string text) {
  const std::lock_guard lock(mutex_);
  if (text.empty()) {
    problems_.erase(id);
  } else {
    problems_[id] = std::move(text);
  }
}

void Promoter::run(uint64_t id) {
  while (!stop_.is_raised()) {
    const auto promotion = find(controller_, id);
    if (promotion == nullptr || promotion->ended()) break;
    try {
      switch (promotion->step) {
        case PromotionStep::kChecking:
          check(*promotion);
          break;
        case PromotionStep::kPausing:
          pause(*promotion);
          break;
        case PromotionStep::kLocking:
          lock(*promotion);
          break;
        case PromotionStep::kPromoting:
          promote(*promotion);
          break;
        default:
          repoint(*promotion);
      }
    } catch (const Failure& failure) {
      if (stop_.is_raised()) break;
      fail(*promotion, failure.text);
    }
  }
  set_problem(id, "");
}

ServerAccess Promoter::access(const Promotion& promotion, const Address& server) const {
  const auto state = controller_.state();
  const ClusterGroup& group = *state->topology.group(promotion.group);
  return {server, group.username, group.password};
}

Result<ServerFacts> Promoter::ask(const Promotion& promotion, const Address& server) const {
  return controller_.tools().ask(access(promotion, server), options_.ask_timeout);
}

bool Promoter::decide_surely(const Controller::Decision& decision,
                             std::optional<StopPoint> persisted) {
  while (!stop_.is_raised()) {
    const auto decided = controller_.decide(decision, {.persisted = persisted});
    if (decided) return true;
    if (decided.refusal().kind != Refusal::Kind::kStore) {
      // Only what the state does not allow: somebody else has ended it.
      log_warn("promotion", "refused", decided.refusal().message);
      return false;
    }
    stop_.sleep_for(options_.retry_pause);
  }
  return false;
}

void Promoter::tell(uint64_t id) {
  const auto promotion = find(controller_, id);
  if (promotion == nullptr) return;
  log_info("promotion", "id", id, "group", promotion->group, "server",
           promotion->server.to_string(), "step", promotion_step_name(promotion->step));
  if (!promotion->error.empty()) {
    log_warn("promotion failed", "id", id, "error", promotion->error);
  }
  if (events_ == nullptr) return;
  events_->publish("topology", {{"topology_version", controller_.state()->topology.version},
                                {"promotion", promotion_json(*promotion, problem(id))}});
}

void Promoter::warn(uint64_t id, const std::string& text) {
  decide_surely([&](const ClusterState& state) { return warn_promotion(state, id, text); });
}

void Promoter::fail(const Promotion& promotion, const std::string& why) {
  const uint64_t id = promotion.id;
  decide_surely(
      [&](const ClusterState& state) { return fail_promotion(state, id, why, controller_.now()); });
  tell(id);
}

// ---- Steps --------------------------------------------------------------------------------------

void Promoter::wait_for_offset(const Promotion& promotion, uint64_t offset, uint64_t near_bytes,
                               milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    const auto replica = ask(promotion, promotion.server);
    std::string state;
    if (!replica) {
      state = replica.error();
    } else if (replica->is_master) {
      throw Failure{promotion.server.to_string() + " is a master, not a replica of " +
                    promotion.old_master.to_string() +
                    ": what it holds is something else (POST .../replicate makes it a replica)"};
    } else {
      const uint64_t behind = offset_distance(replica->engine, offset, replica->replication_offset);
      if (behind <= near_bytes && replica->link_up && !replica->loading) return;
      state = promotion.server.to_string() + " has offset " +
              std::to_string(replica->replication_offset) + ", its master had " +
              std::to_string(offset) + ", so it is " + bytes(behind) + " behind" +
              (replica->link_up ? "" : ", and its link to the master is down");
    }
    if (Clock::now() >= deadline || !stop_.sleep_for(kLookInterval)) {
      throw Failure{"the replica has not caught up within " + std::to_string(timeout.count()) +
                    " ms: " + state};
    }
  }
}

void Promoter::check(const Promotion& promotion) {
  const uint64_t id = promotion.id;
  auto server = ask(promotion, promotion.server);
  if (!server) throw Failure{server.error()};
  const auto master = ask(promotion, promotion.old_master);
  if (promotion.force) {
    if (server->loading) {
      throw Failure{promotion.server.to_string() + " is loading its data: wait until it is ready"};
    }
    const std::string what_it_has =
        server->is_master ? std::string()
                          : " (it has offset " + std::to_string(server->replication_offset) + ")";
    if (!master) {
      warn(id, "The old master " + promotion.old_master.to_string() +
                   " does not answer, so what it had acknowledged and not yet sent to " +
                   promotion.server.to_string() + what_it_has + " is lost: " + master.error());
    } else if (promotion.server != promotion.old_master) {
      warn(id, "The old master " + promotion.old_master.to_string() + " answers (offset " +
                   std::to_string(master->replication_offset) + "); what it has and " +
                   promotion.server.to_string() + what_it_has +
                   " does not get in time is lost. With mode \"graceful\" nothing would be.");
    }
  } else {
    if (!master) throw Failure{master.error() + " Mode \"force\" does without the master."};
    if (!master->is_master) {
      throw Failure{"the master " + promotion.old_master.to_string() +
                    " says that it is a replica of " + master->master_addr +
                    ": mode \"force\" makes one of the group's servers the master"};
    }
    if (server->is_master) {
      throw Failure{promotion.server.to_string() +
                    " is a master itself: POST .../replicate makes it a replica, whose own data "
                    "is replaced by the master's"};
    }
    ServerStatus replica_status, master_status;
    master_status.address = promotion.old_master;
    master_status.facts = *master;
    replica_status.facts = *server;
    // A name of another kind for the same server is told by the history they share.
    if (!follows(replica_status, master_status) && !master->replication_id.empty() &&
        server->replication_id != master->replication_id) {
      throw Failure{promotion.server.to_string() + " is a replica of " + server->master_addr +
                    ", not of " + promotion.old_master.to_string() + ": it holds other data"};
    }
    wait_for_offset(promotion, master->replication_offset, options_.near_bytes,
                    options_.approach_timeout);
  }
  if (stop_.is_raised()) return;
  decide_surely([&](const ClusterState& state) { return begin_pausing(state, id); },
                StopPoint::kPromotionPausing);
  tell(id);
}

void Promoter::pause(const Promotion& promotion) {
  const uint64_t id = promotion.id;
  const auto state = controller_.state();
  for (const auto& [number, migration] : state->migrations) {
    if (!promotion.force || migration->ended() || !migration->involves_group(promotion.group)) {
      continue;
    }
    warn(id, "Migration " + std::to_string(number) +
                 " had keys on their way: what it had moved to " +
                 promotion.old_master.to_string() + " and " + promotion.server.to_string() +
                 " has not got is lost, too. Make sure that the old master does not come back with "
                 "a move of before: end its process.");
  }
  const auto deadline = Clock::now() + options_.pause_timeout;
  for (std::string busy; !(busy = controller_.busy_migration(promotion)).empty();) {
    if (stop_.is_raised()) return;
    set_problem(id, busy);
    if (Clock::now() >= deadline || !stop_.sleep_for(kLookInterval)) {
      throw Failure{busy + "; it was waited for " + std::to_string(options_.pause_timeout.count()) +
                    " ms"};
    }
  }
  set_problem(id, "");
  decide_surely([&](const ClusterState& now) { return lock_promotion(now, id); },
                StopPoint::kPromotionLocking);
  tell(id);
}

void Promoter::lock(const Promotion& promotion) {
  const uint64_t id = promotion.id;
  const uint64_t epoch = controller_.state()->topology.version;
  const std::string missing = controller_.publisher().wait(epoch, options_.lock_timeout);
  const bool is_drained = controller_.publisher().acknowledged(epoch);
  if (!is_drained && !promotion.force) {
    const std::string reason = controller_.publisher().reason(epoch);
    throw Failure{(missing.empty() ? "a proxy" : missing) +
                  " has not come to an end with the group's slots within " +
                  std::to_string(options_.lock_timeout.count()) + " ms" +
                  (reason.empty() ? "" : ": " + reason)};
  }
  const auto master = ask(promotion, promotion.old_master);
  if (!promotion.force) {
    if (!master) throw Failure{master.error()};
    wait_for_offset(promotion, master->replication_offset, 0, options_.catch_up_timeout);
  } else if (master && promotion.server != promotion.old_master) {
    try {
      wait_for_offset(promotion, master->replication_offset, 0, options_.catch_up_timeout);
    } catch (const Failure& failure) {
      warn(id, "Forced: " + failure.text);
    }
  }
  if (stop_.is_raised()) return;
  decide_surely([&](const ClusterState& state) { return begin_promoting(state, id); },
                StopPoint::kPromotionPromoting);
  tell(id);
}

void Promoter::promote(const Promotion& promotion) {
  const uint64_t id = promotion.id;
  const auto server = access(promotion, promotion.server);
  std::string why;
  bool is_promoted = false;
  for (int i = 0; i < options_.attempts && !is_promoted; ++i) {
    if (i > 0 && !stop_.sleep_for(options_.retry_pause)) return;
    const auto done = controller_.tools().replicate(server, nullptr, options_.ask_timeout);
    if (!done) why = done.error();
    // An answer that was lost does not matter when it says itself what it is.
    const auto facts = ask(promotion, promotion.server);
    is_promoted = facts.ok() && facts->is_master;
    if (!facts) why = facts.error();
  }
  if (stop_.is_raised()) return;
  if (!is_promoted) {
    go_back(promotion, why);
    return;
  }
  reached(StopPoint::kPromotionTold);
  // Before anybody may write to the new master: afterwards the old one would take writes that are
  // lost. One that does not answer is looked after in repoint().
  if (promotion.server != promotion.old_master) {
    const std::string problem = make_replica(promotion, promotion.old_master, 1);
    if (!problem.empty()) log_warn("the old master is no replica yet", "reason", problem);
  }
  decide_surely([&](const ClusterState& state) { return switch_master(state, id); },
                StopPoint::kPromotionSwitched);
  tell(id);
}

void Promoter::go_back(const Promotion& promotion, const std::string& why) {
  const std::string told = promotion.server.to_string() + " could not be made a master: " + why;
  if (promotion.server == promotion.old_master) throw Failure{told};
  // An attempt before this one may have made it a replica.
  const auto master = ask(promotion, promotion.old_master);
  if (master && master->is_master) throw Failure{told};
  std::string problem;
  if (!master) {
    // A forced promotion was begun because of that; there is nothing to go back to.
    if (promotion.force) throw Failure{told + " The old master does not answer either."};
    problem = master.error();
  } else {
    const auto back = controller_.tools().replicate(access(promotion, promotion.old_master),
                                                    nullptr, options_.ask_timeout);
    if (back) throw Failure{told};
    problem = back.error();
  }
  set_problem(
      promotion.id,
      told + " The old master cannot be used either, so the group's slots stay locked: " + problem);
  tell(promotion.id);
  stop_.sleep_for(options_.retry_pause);
}

std::string Promoter::make_replica(const Promotion& promotion, const Address& server, int attempts,
                                   milliseconds patience) {
  std::string why;
  const auto deadline = Clock::now() + patience;
  bool answers = true;
  for (int i = 0; i < attempts || (answers && Clock::now() < deadline); ++i) {
    if (i > 0 && !stop_.sleep_for(options_.retry_pause)) break;
    const auto done = controller_.tools().replicate(access(promotion, server), &promotion.server,
                                                    options_.ask_timeout);
    const auto facts = ask(promotion, server);
    answers = facts.ok();
    if (done && facts && !facts->is_master) return {};
    why = !done ? done.error() : facts ? "it accepts REPLICAOF and stays a master." : facts.error();
    if (i + 1 >= attempts && answers) set_problem(promotion.id, why);
  }
  return why.empty() ? "the process is ending." : why;
}

void Promoter::repoint(const Promotion& promotion) {
  const uint64_t id = promotion.id;
  const auto state = controller_.state();
  std::vector<Address> servers;
  for (const ClusterServer& server : state->topology.group(promotion.group)->servers) {
    if (server.address != promotion.server) servers.push_back(server.address);
  }
  // Pika follows nobody while others follow it.
  std::stable_partition(servers.begin(), servers.end(),
                        [&](const Address& server) { return server != promotion.old_master; });
  for (const Address& server : servers) {
    if (stop_.is_raised()) return;
    const auto facts = ask(promotion, server);
    if (facts && !facts->is_master && facts->master_addr == promotion.server.to_string()) continue;
    const auto patience =
        server == promotion.old_master ? options_.demote_timeout : milliseconds(0);
    const std::string why = make_replica(promotion, server, options_.attempts, patience);
    if (why.empty() || stop_.is_raised()) continue;
    if (promotion.force) {
      warn(id, server.to_string() + " could not be made a replica of " +
                   promotion.server.to_string() +
                   " and stays in the group as what it is. When it answers again, POST "
                   ".../replicate makes it one: " +
                   why);
      continue;
    }
    decide_surely(
        [&](const ClusterState& present) { return exclude_server(present, id, server, why); });
  }
  if (stop_.is_raised()) return;
  decide_surely([&](const ClusterState& present) {
    return complete_promotion(present, id, controller_.now());
  });
  tell(id);
}

Outcome<ServerFacts> Promoter::replicate(uint32_t gid, const Address& server, bool dry_run) {
  const auto refuse = [](Refusal::Kind kind, std::string code, std::string message) {
    return Refusal{kind, std::move(code), std::move(message)};
  };
  const auto state = controller_.state();
  const ClusterGroup* group = state->topology.group(gid);
  if (group == nullptr || group->find(server) == nullptr) {
    return refuse(Refusal::Kind::kNotFound, "not_found",
                  group == nullptr
                      ? "there is no group " + std::to_string(gid)
                      : state->topology.describe(gid) + " has no server " + server.to_string());
  }
  if (server == group->master()) {
    return refuse(Refusal::Kind::kConflict, "is_master",
                  server.to_string() + " is the master of " + state->topology.describe(gid) +
                      ": promote another server first (POST /api/v1/groups/" + std::to_string(gid) +
                      "/promote)");
  }
  if (const Promotion* running = promotion_of(*state, gid)) {
    return refuse(Refusal::Kind::kConflict, "group_busy",
                  "promotion " + std::to_string(running->id) + " of " +
                      state->topology.describe(gid) +
                      " is under way and sees to that itself: wait until it has ended");
  }
  const ServerAccess access{server, group->username, group->password};
  const ServerAccess master_access{group->master(), group->username, group->password};
  const auto master = controller_.tools().ask(master_access, options_.ask_timeout);
  if (!master) return refuse(Refusal::Kind::kConflict, "server_unreachable", master.error());
  if (!master->is_master) {
    return refuse(Refusal::Kind::kConflict, "role_conflict",
                  "the master " + group->master().to_string() + " says that it is a replica of " +
                      master->master_addr + ": promote a server first");
  }
  auto facts = controller_.tools().ask(access, options_.ask_timeout);
  if (!facts) return refuse(Refusal::Kind::kConflict, "server_unreachable", facts.error());
  if (dry_run) return *facts;
  const Address address = group->master();
  const auto done = controller_.tools().replicate(access, &address, options_.ask_timeout);
  if (!done) return refuse(Refusal::Kind::kConflict, "server_refused", done.error());
  facts = controller_.tools().ask(access, options_.ask_timeout);
  if (!facts) return refuse(Refusal::Kind::kConflict, "server_unreachable", facts.error());
  log_info("server made a replica", "addr", server.to_string(), "master", address.to_string());
  return *facts;
}

Json promotion_json(const Promotion& promotion, const std::string& problem) {
  Json excluded = Json::array();
  for (const Promotion::Excluded& each : promotion.excluded) {
    excluded.push_back({{"server", each.server.to_string()}, {"reason", each.reason}});
  }
  const char* state = promotion.step == PromotionStep::kSucceeded ? "succeeded"
                      : promotion.step == PromotionStep::kFailed  ? "failed"
                                                                  : "running";
  constexpr int kSteps = static_cast<int>(PromotionStep::kSucceeded);
  Json json = {{"id", promotion.id},
               {"group", promotion.group},
               {"server", promotion.server.to_string()},
               {"old_master", promotion.old_master.to_string()},
               {"mode", promotion.force ? "force" : "graceful"},
               {"pause_migrations", promotion.pause_migrations},
               {"state", state},
               {"step", promotion_step_name(promotion.step)},
               {"problem", nullptr},
               {"error", nullptr},
               {"warnings", promotion.warnings},
               {"excluded", std::move(excluded)},
               {"created_by", promotion.created_by},
               {"created_at", time_json(promotion.created_at)},
               {"ended_at", time_json(promotion.ended_at)}};
  json["progress"] = {
      {"done", promotion.step == PromotionStep::kFailed ? 0 : static_cast<int>(promotion.step)},
      {"total", kSteps},
      {"unit", "steps"},
      {"rate_per_second", nullptr},
      {"eta_seconds", nullptr}};
  if (!problem.empty()) json["problem"] = problem;
  if (!promotion.error.empty()) json["error"] = promotion.error;
  return json;
}

}  // namespace pikaproxy
