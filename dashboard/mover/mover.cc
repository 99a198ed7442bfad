#include "dashboard/mover/mover.h"

#include "dashboard/mover/copy_mover.h"
#include "dashboard/mover/migrate_mover.h"
#include "dashboard/mover/slots_mover.h"

namespace pikaproxy {
namespace {

// Servers close idle connections (Pika after a minute); better found out before a command is sent
// than by losing its answer.
constexpr std::chrono::seconds kIdleCheck(10);

}  // namespace

ServerLink* MoveLinks::get(End end) {
  std::unique_ptr<ServerLink>& link = links_[static_cast<size_t>(end)];
  if (link && link->idle_time() > kIdleCheck && link->call({"PING"}, kCommandTimeout).is_error()) {
    link.reset();
  }
  if (!link) {
    auto made = state_.connect(end);
    if (!made) {
      error_ = made.error();
      return nullptr;
    }
    link = std::move(*made);
  }
  return link.get();
}

ServerLink* MoveLinks::get(End end, uint32_t db) {
  ServerLink* link = get(end);
  if (!link || link->select(db, kCommandTimeout)) return link;
  error_ = link->error();
  // A SELECT changes nothing, however late.
  links_[static_cast<size_t>(end)].reset();
  return nullptr;
}

void MoveLinks::lose(End end) {
  std::unique_ptr<ServerLink>& link = links_[static_cast<size_t>(end)];
  if (!link) return;
  error_ = link->error();
  state_.give_up(end, std::move(link));
}

std::unique_ptr<Mover> make_mover(MoveLinks& links,
                                  std::function<bool(const std::string& key)> is_wanted) {
  switch (links.state().route().mover) {
    case MoverKind::kMigrate:
      return std::make_unique<MigrateMover>(links);
    case MoverKind::kSlots:
      return std::make_unique<SlotsMover>(links);
    case MoverKind::kCopy:
      break;
  }
  return std::make_unique<CopyMover>(links, std::move(is_wanted));
}

bool probe_keys(MoveLinks& links, uint32_t db, const std::vector<std::string>& keys,
                std::vector<std::optional<uint64_t>>& bytes) {
  bytes.assign(keys.size(), std::nullopt);
  std::vector<Reply> replies;
  // Where MEMORY is unknown, whether the key is there is still worth asking.
  for (const bool with_size : {true, false}) {
    ServerLink* const source = links.get(MoveLinks::End::kSource, db);
    if (!source) return false;
    for (const std::string& key : keys) {
      source->begin(with_size ? 3 : 2);
      if (with_size) source->arg("MEMORY");
      source->arg(with_size ? "USAGE" : "EXISTS");
      source->arg(key);
    }
    if (!source->exchange(replies, kCommandTimeout)) {
      links.lose(MoveLinks::End::kSource);
      return false;
    }
    bool refused = false;
    for (size_t i = 0; i < keys.size(); ++i) {
      refused |= replies[i].is_error();
      if (replies[i].kind != Reply::Kind::kInteger) continue;
      if (with_size) {
        bytes[i] = static_cast<uint64_t>(replies[i].integer);
      } else if (replies[i].integer > 0) {
        bytes[i] = 0;
      }
    }
    if (!refused) return true;
    bytes.assign(keys.size(), std::nullopt);
  }
  // Not even EXISTS: the move itself will say what is wrong.
  bytes.assign(keys.size(), 0);
  return true;
}

}  // namespace pikaproxy
