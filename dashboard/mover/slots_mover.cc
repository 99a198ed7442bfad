#include "dashboard/mover/slots_mover.h"

#include "common/text.h"
#include "dashboard/mover/migrate_mover.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;
using End = RouteState::End;

constexpr milliseconds kTransferTimeout(1000);
// Of one pipeline: with a target that hangs, each takes its time-out and the source waits.
constexpr size_t kCommandsMax = 8;

}  // namespace

ServerLink* SlotsMover::begin(uint32_t db, KeyResult& failed) {
  ServerLink* const source = links_.get(End::kSource, db);
  if (!source) failed.reason = "TRYAGAIN " + links_.error();
  return source;
}

void SlotsMover::add(ServerLink& source, std::string_view command, std::string_view what) {
  const Address& target = links_.state().route().target.address;
  source.begin(5);
  source.arg(command);
  source.arg(target.host);
  source.arg(std::to_string(target.port));
  source.arg(std::to_string(kTransferTimeout.count()));
  source.arg(what);
}

bool SlotsMover::exchange(ServerLink& source, std::vector<Reply>& replies, KeyResult& failed) {
  // Each command of the pipeline may take its own time.
  const milliseconds timeout =
      kCommandTimeout + kTransferTimeout * static_cast<int>(std::min<size_t>(source.added(), 10));
  if (source.exchange(replies, timeout)) return true;
  links_.lose(End::kSource);
  links_.state().expect_late_transfer();
  failed = {};
  failed.reason = "TRYAGAIN " + links_.error();
  return false;
}

KeyResult SlotsMover::explain(const Reply& reply) {
  const std::string source = links_.state().route().source.address.to_string();
  KeyResult result;
  const bool is_lost = reply.text.starts_with("IOERR") ||
                       reply.text.find("Can't connect to target") != std::string::npos;
  if (is_lost) {
    links_.state().expect_late_transfer();
    result.reason = "TRYAGAIN Server " + source + " cannot reach " +
                    links_.state().route().target.address.to_string() + " (" +
                    printable(reply.text) +
                    "): check that the target runs and that the source may connect to it.";
    return result;
  }
  result.state = KeyResult::State::kStays;
  result.concerns_all =
      concerns_all_keys(reply.text) || reply.text.find("auth failed") != std::string::npos;
  result.reason = std::string(refusal_code(reply.text)) + "the key cannot move: " + source +
                  " says " + printable(reply.text);
  if (reply.text.find("auth failed") != std::string::npos) {
    result.reason +=
        "; codis-server logs in at the target with its own password, so both need the same";
  }
  return result;
}

void SlotsMover::move(uint32_t db, const std::vector<std::string>& keys,
                      std::vector<KeyResult>& results) {
  std::vector<Reply> replies;
  for (size_t from = 0; from < keys.size(); from += kCommandsMax) {
    const size_t to = std::min(keys.size(), from + kCommandsMax);
    KeyResult failed;
    ServerLink* const source = begin(db, failed);
    for (size_t i = from; source && i < to; ++i) add(*source, "SLOTSMGRTTAGONE", keys[i]);
    const bool answered = source && exchange(*source, replies, failed);
    for (size_t i = from; i < to; ++i) {
      if (answered && replies[i - from].kind == Reply::Kind::kInteger) {
        results[i].state = KeyResult::State::kMoved;
        results[i].existed = replies[i - from].integer > 0;
        links_.state().set_finished(db, keys[i]);
        continue;
      }
      results[i] = answered ? explain(replies[i - from]) : failed;
      if (results[i].state == KeyResult::State::kUnknown) {
        failed = results[i];
        links_.state().set_unfinished(db, keys[i], RouteState::Attempt::kTransfer);
      }
    }
    if (failed.reason.empty()) continue;
    for (size_t i = to; i < keys.size(); ++i) results[i] = failed;
    return;
  }
}

uint64_t SlotsMover::move_slot(uint32_t db, SlotId slot, size_t rounds, uint64_t& left,
                               KeyResult& result) {
  result = {};
  left = 0;
  ServerLink* const source = begin(db, result);
  if (!source) return 0;
  std::vector<Reply> replies;
  for (size_t i = 0; i < std::min(rounds, kCommandsMax); ++i) {
    add(*source, "SLOTSMGRTTAGSLOT", std::to_string(slot));
  }
  if (!exchange(*source, replies, result)) return 0;
  uint64_t moved = 0;
  result.state = KeyResult::State::kMoved;
  for (const Reply& reply : replies) {
    if (reply.is_error()) {
      left = 0;
      result = explain(reply);
      return moved;
    }
    if (!reply.is_array() || reply.elements.size() != 2) {
      Reply odd;
      odd.text = "something else than [moved, remaining]";
      result = explain(odd);
      return moved;
    }
    moved += static_cast<uint64_t>(reply.elements[0].integer);
    left = static_cast<uint64_t>(reply.elements[1].integer);
  }
  if (moved == 0 && left > 0) {
    result.state = KeyResult::State::kStays;
    result.reason = "ERR " + links_.state().route().source.address.to_string() + " has " +
                    std::to_string(left) + " keys of the slot and moves none of them";
  }
  return moved;
}

}  // namespace pikaproxy
