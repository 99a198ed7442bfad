#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/text.h"
#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/move_job.h"
#include "dashboard/mover/move_job_session.h"
#include "dashboard/mover/pika_keys.h"

namespace pikaproxy {
namespace {

using End = RouteState::End;

}  // namespace

// Slots that leave the job, and keys that an earlier attempt may have left at both ends.

void MoveJob::release_removals() {
  bool released = false;
  for (auto it = removals_.begin(); it != removals_.end();) {
    const bool waits = std::any_of(it->slots.begin(), it->slots.end(), [this](SlotId slot) {
      const auto found = slots_.find(slot);
      return found != slots_.end() && found->second.under_way > 0;
    });
    if (waits) {
      ++it;
      continue;
    }
    ready_removals_.push_back(std::move(*it));
    it = removals_.erase(it);
    released = true;
  }
  if (released) work_.notify_all();
}

void MoveJob::complete_removal(Session& session, Removal removal) {
  std::string error;
  {
    const auto gate = removal.end ? state_.enter_without(*removal.end) : state_.enter_alone();
    error = gate ? resolve_unfinished(session, removal) : gate.error();
  }
  {
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : removal.slots) {
      if (error.empty()) {
        slots_.erase(slot);
        continue;
      }
      const auto found = slots_.find(slot);
      if (found == slots_.end()) continue;
      found->second.open = true;
      wanted_[slot].store(true);
    }
    ++changes_;
  }
  background_.notify_all();
  removal.done(std::move(error));
}

std::string MoveJob::resolve_unfinished(Session& session, const Removal& removal) {
  if (removal.end == End::kTarget) return {};  // What it has is lost, whole or not.
  std::array<bool, kSlotCount> ours{};
  for (const SlotId slot : removal.slots) ours[slot] = true;
  for (const auto& [key, attempt] : state_.unfinished()) {
    if (!ours[slot_of(key.second)]) continue;
    if (attempt == RouteState::Attempt::kWriting) {
      // Whether the source still has it or it expired there: the target's copy was never served.
      ServerLink* const target = session.links.get(End::kTarget, key.first);
      const Reply deleted = target ? target->call({"DEL", key.second}, kCommandTimeout) : Reply();
      if (deleted.kind != Reply::Kind::kInteger) {
        if (target && target->is_broken()) session.links.lose(End::kTarget);
        return "An unfinished copy of key " + quote(key.second) + " cannot be removed at " +
               state_.route().target.address.to_string() + ": " +
               (deleted.is_error() ? printable(deleted.text) : session.links.error());
      }
    } else if (!removal.end) {
      const std::string error = reconcile_keys(session, key.first, {key.second}, std::nullopt);
      if (!error.empty()) return error;
    }
    state_.set_finished(key.first, key.second);
  }
  return {};
}

void MoveJob::run_reconcile(Session& session, const Removal& task) {
  std::string error = reconcile_slots(session, task);
  task.done(std::move(error));
}

std::string MoveJob::reconcile_slots(Session& session, const Removal& task) {
  std::array<bool, kSlotCount> ours{};
  for (const SlotId slot : task.slots) ours[slot] = true;
  {
    const auto gate = state_.enter();
    if (!gate) return gate.error();
  }
  ServerLink* source = session.links.source();
  if (!source) return session.links.error();
  const auto info = ServerInfo::ask(*source, kCommandTimeout);
  if (!info) return info.error();
  const auto databases = list_databases(*source, info->is_pika(), kCommandTimeout);
  if (!databases) return databases.error();
  std::vector<std::string> keys;
  std::string error;
  for (const DatabaseSize& database : *databases) {
    std::string cursor = "0";
    do {
      if (stop_.is_raised()) return std::string(kShuttingDown);
      source = session.links.get(End::kSource, database.db);
      if (!source) return session.links.error();
      if (!scan_step(*source, cursor, keys, error, kCommandTimeout)) {
        if (source->is_broken()) session.links.lose(End::kSource);
        return error;
      }
      std::erase_if(keys, [&](const std::string& key) {
        return is_internal_key(key, info->is_pika()) || !ours[slot_of(key)];
      });
      if (keys.empty()) continue;
      // Alone: a copy that is just being made is at both, too.
      const auto gate = state_.enter_alone();
      if (!gate) return gate.error();
      error = reconcile_keys(session, database.db, keys, task.end);
      if (!error.empty()) return error;
    } while (cursor != "0");
  }
  return {};
}

std::string MoveJob::reconcile_keys(Session& session, uint32_t db,
                                    const std::vector<std::string>& keys,
                                    std::optional<RouteEnd> stands) {
  std::vector<std::string> both = keys;
  std::vector<Reply> replies;
  for (const End end : {End::kSource, End::kTarget}) {
    bool is_pika = false;
    if (both.empty()) return {};
    if (!session.links.ask_is_pika(end, is_pika)) return session.links.error();
    ServerLink* const link = session.links.get(end, db);
    if (!link) return session.links.error();
    auto there = present_keys(*link, is_pika, both, kCommandTimeout);
    if (!there) {
      if (link->is_broken()) session.links.lose(end);
      return there.error();
    }
    both = std::move(*there);
  }
  if (both.empty()) return {};
  // MIGRATE never replaces, and deletes at the source what the target has; a copy counts only once
  // the source's is deleted; codis-server overwrites.
  const bool target_stands =
      stands ? *stands == End::kTarget : state_.route().mover == MoverKind::kMigrate;
  const End loser = target_stands ? End::kSource : End::kTarget;
  ServerLink* const link = session.links.get(loser, db);
  if (!link) return session.links.error();
  for (const std::string& key : both) link->add({"DEL", key});
  if (!link->exchange(replies, kCommandTimeout)) {
    session.links.lose(loser);
    return session.links.error();
  }
  for (const Reply& reply : replies) {
    if (reply.kind != Reply::Kind::kInteger) {
      return "Server " + state_.server(loser).address.to_string() + " refuses DEL (" +
             printable(reply.text) + "): allow it to its user.";
    }
  }
  log_info("keys at both ends of a move resolved", "job", id_, "keys", both.size(), "left_at",
           state_.server(loser == End::kSource ? End::kTarget : End::kSource).address.to_string());
  return {};
}

}  // namespace pikaproxy
