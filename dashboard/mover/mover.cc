#include "dashboard/mover/mover.h"

#include <algorithm>

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

std::string length_command(const std::string& type) {
  if (type == "string") return "STRLEN";
  if (type == "hash") return "HLEN";
  if (type == "list") return "LLEN";
  if (type == "set") return "SCARD";
  if (type == "zset") return "ZCARD";
  if (type.starts_with("stream")) return "XLEN";  // Pika says "streams".
  return "EXISTS";
}

namespace {

// Of an element of a collection whose bytes cannot be asked for.
constexpr uint64_t kElementBytes = 32;

// Where MEMORY is unknown: by type and length.
bool guess_sizes(MoveLinks& links, uint32_t db, const std::vector<std::string>& keys,
                 std::vector<std::optional<uint64_t>>& bytes) {
  ServerLink* const source = links.get(MoveLinks::End::kSource, db);
  if (!source) return false;
  std::vector<Reply> types;
  std::vector<Reply> lengths;
  for (const std::string& key : keys) source->add({"TYPE", key});
  if (!source->exchange(types, kCommandTimeout)) {
    links.lose(MoveLinks::End::kSource);
    return false;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    source->add({length_command(types[i].text), keys[i]});
  }
  if (!source->exchange(lengths, kCommandTimeout)) {
    links.lose(MoveLinks::End::kSource);
    return false;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (types[i].text == "none") {
      bytes[i].reset();
    } else {
      const auto length = static_cast<uint64_t>(std::max<int64_t>(lengths[i].integer, 0));
      bytes[i] = types[i].text == "string" ? length : length * kElementBytes;
    }
  }
  return true;
}

}  // namespace

bool probe_keys(MoveLinks& links, uint32_t db, const std::vector<std::string>& keys,
                std::vector<std::optional<uint64_t>>& bytes) {
  bytes.assign(keys.size(), std::nullopt);
  if (links.lacks_memory_usage) return guess_sizes(links, db, keys, bytes);
  ServerLink* const source = links.get(MoveLinks::End::kSource, db);
  if (!source) return false;
  for (const std::string& key : keys) {
    source->begin(3);
    source->arg("MEMORY");
    source->arg("USAGE");
    source->arg(key);
  }
  std::vector<Reply> replies;
  if (!source->exchange(replies, kCommandTimeout)) {
    links.lose(MoveLinks::End::kSource);
    return false;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (replies[i].is_error()) {
      links.lacks_memory_usage = true;
      return guess_sizes(links, db, keys, bytes);
    }
    if (replies[i].kind == Reply::Kind::kInteger) {
      bytes[i] = static_cast<uint64_t>(replies[i].integer);
    }
  }
  return true;
}

}  // namespace pikaproxy
