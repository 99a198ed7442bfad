#include "dashboard/mover/migrate_mover.h"

#include <algorithm>

#include "common/text.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;
using End = RouteState::End;

// For each step of the source towards the target; the source does nothing else meanwhile.
constexpr milliseconds kTransferTimeout(1000);
// A large value is written and taken in one step each.
constexpr uint64_t kBytesPerMillisecond = 10'000;

constexpr std::string_view kTargetSays = "Target instance replied with error: ";

}  // namespace

bool concerns_all_keys(std::string_view error) noexcept {
  for (const std::string_view code :
       {"OOM", "NOAUTH", "WRONGPASS", "NOPERM", "READONLY", "LOADING", "MISCONF", "MASTERDOWN",
        "ERR syntax", "ERR invalid password", "ERR DB index", "ERR AUTH", "ERR unknown command",
        "ERR Client sent AUTH"}) {
    if (error.starts_with(code)) return true;
  }
  return false;
}

void MigrateMover::move(uint32_t db, const std::vector<std::string>& keys,
                        std::vector<KeyResult>& results) {
  if (keys.empty() || migrate(db, keys, 0, keys.size(), results)) return;
  // Some have gone, some not: the error tells of the first only.
  ServerLink* const source = links_.get(End::kSource, db);
  std::vector<Reply> replies;
  for (size_t i = 0; source && i < keys.size(); ++i) source->add({"EXISTS", keys[i]});
  if (!source || !source->exchange(replies, kCommandTimeout)) {
    links_.lose(End::kSource);
    for (KeyResult& result : results) result.reason = "TRYAGAIN " + links_.error();
    return;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (replies[i].is_integer(0)) {
      results[i].state = KeyResult::State::kMoved;
      results[i].existed = true;
      continue;
    }
    migrate(db, keys, i, i + 1, results);
    const bool lost = results[i].state == KeyResult::State::kUnknown;
    if (!lost && !results[i].concerns_all) continue;
    // It would not go better with the others.
    for (size_t j = i + 1; j < keys.size(); ++j) {
      if (replies[j].is_integer(0)) {
        results[j].state = KeyResult::State::kMoved;
        results[j].existed = true;
      } else {
        results[j] = results[i];
      }
    }
    return;
  }
}

void MigrateMover::lose(uint32_t db, const std::vector<std::string>& keys, size_t from, size_t to,
                        const std::string& why, std::vector<KeyResult>& results) {
  links_.state().expect_late_transfer();
  for (size_t i = from; i < to; ++i) {
    links_.state().set_unfinished(db, keys[i], RouteState::Attempt::kTransfer);
    results[i].state = KeyResult::State::kUnknown;
    results[i].reason = "TRYAGAIN " + why;
  }
}

bool MigrateMover::migrate(uint32_t db, const std::vector<std::string>& keys, size_t from,
                           size_t to, std::vector<KeyResult>& results) {
  const auto for_all = [&](const KeyResult& result) {
    for (size_t i = from; i < to; ++i) {
      const uint64_t bytes = results[i].bytes;
      results[i] = result;
      results[i].bytes = bytes;
    }
  };
  ServerLink* const source = links_.get(End::kSource, db);
  if (!source) {
    KeyResult failed;
    failed.reason = "TRYAGAIN " + links_.error();
    for_all(failed);
    return true;
  }
  const ServerAccess& target = links_.state().route().target;
  uint64_t bytes = 0;
  for (size_t i = from; i < to; ++i) bytes += results[i].bytes;
  const milliseconds timeout = kTransferTimeout + milliseconds(bytes / kBytesPerMillisecond);
  const size_t login = target.password.empty() ? 0 : target.user.empty() ? 2 : 3;
  source->begin(7 + login + (to - from));
  source->arg("MIGRATE");
  source->arg(target.address.host);
  source->arg(std::to_string(target.address.port));
  source->arg("");
  source->arg(std::to_string(db));
  source->arg(std::to_string(timeout.count()));
  if (login == 2) {
    source->arg("AUTH");
    source->arg(target.password);
  } else if (login == 3) {
    source->arg("AUTH2");
    source->arg(target.user);
    source->arg(target.password);
  }
  source->arg("KEYS");
  for (size_t i = from; i < to; ++i) source->arg(keys[i]);
  std::vector<Reply> replies;
  // To connect, to write, to read: each has its time; and a second try on a fresh connection.
  if (!source->exchange(replies, timeout * 4 + kTransferTimeout)) {
    links_.lose(End::kSource);
    lose(db, keys, from, to, links_.error(), results);
    return true;
  }
  const Reply& reply = replies.front();
  if (!reply.is_error()) {
    KeyResult moved;
    moved.state = KeyResult::State::kMoved;
    moved.existed = reply.is_ok();  // Else "NOKEY".
    for_all(moved);
    for (size_t i = from; i < to; ++i) links_.state().set_finished(db, keys[i]);
    return true;
  }
  if (reply.text.starts_with("IOERR") ||
      reply.text.find("Can't connect to target") != std::string::npos) {
    lose(db, keys, from, to,
         "Server " + links_.state().route().source.address.to_string() + " cannot reach " +
             target.address.to_string() + " (" + printable(reply.text) +
             "): check that the target runs and that the source may connect to it.",
         results);
    return true;
  }
  std::string_view error = reply.text;
  const size_t prefix = error.find(kTargetSays);
  const bool from_target = prefix != std::string_view::npos;
  if (from_target) error.remove_prefix(prefix + kTargetSays.size());
  KeyResult refused;
  refused.state = KeyResult::State::kStays;
  refused.concerns_all = concerns_all_keys(error);
  refused.reason = std::string(refusal_code(error)) + "the key cannot move: " +
                   (from_target ? target.address.to_string()
                                : links_.state().route().source.address.to_string()) +
                   " says " + printable(error);
  if (to - from > 1 && !refused.concerns_all) return false;
  if (error.starts_with("BUSYKEY") && to - from == 1) {
    // The target took it in an attempt whose answer was lost. Its copy stands.
    const Reply deleted = source->call({"DEL", keys[from]}, kCommandTimeout);
    if (source->is_broken()) {
      links_.lose(End::kSource);
      lose(db, keys, from, to, links_.error(), results);
      return true;
    }
    if (!deleted.is_error()) {
      refused = {};
      refused.state = KeyResult::State::kMoved;
      refused.existed = true;
    } else {
      refused.reason = std::string(refusal_code(deleted.text)) +
                       "the key cannot move: " + source->server().address.to_string() + " says " +
                       printable(deleted.text);
      refused.concerns_all = concerns_all_keys(deleted.text);
    }
    for_all(refused);
    if (refused.state == KeyResult::State::kMoved) links_.state().set_finished(db, keys[from]);
    return true;
  }
  if (to - from > 1) {
    // A batch may have gone in part (memory runs out on the way).
    return false;
  }
  for_all(refused);
  return true;
}

}  // namespace pikaproxy
