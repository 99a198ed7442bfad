#include "dashboard/mover/mover.h"

#include <algorithm>

#include "dashboard/mover/copy_mover.h"
#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/migrate_mover.h"
#include "dashboard/mover/pika_keys.h"
#include "dashboard/mover/slots_mover.h"

namespace pikaproxy {

std::string without_try_again(const std::string& reason) {
  return reason.starts_with(kTryAgain) ? reason.substr(kTryAgain.size()) : reason;
}

std::string_view refusal_code(std::string_view server_error) noexcept {
  if (server_error.starts_with("OOM")) return "OOM ";
  for (const std::string_view code : {"LOADING", "BUSY ", "MASTERDOWN", "READONLY", "MISCONF"}) {
    if (server_error.starts_with(code)) return "TRYAGAIN ";
  }
  return "ERR ";
}
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

bool MoveLinks::ask_is_pika(End end, bool& is_pika) {
  std::optional<bool>& known = is_pika_[static_cast<size_t>(end)];
  if (!known) {
    ServerLink* const link = get(end);
    if (!link) return false;
    const auto info = ServerInfo::ask(*link, kCommandTimeout);
    if (link->is_broken()) {
      lose(end);
      return false;
    }
    // Pika refuses INFO to nobody who may do anything else.
    known = info && info->is_pika();
  }
  is_pika = *known;
  return true;
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
  bool is_pika = false;
  if (!links.ask_is_pika(MoveLinks::End::kSource, is_pika)) return false;
  ServerLink* const source = links.get(MoveLinks::End::kSource, db);
  if (!source) return false;
  const auto exchange = [&](std::vector<Reply>& replies) {
    if (source->exchange(replies, kCommandTimeout)) return true;
    links.lose(MoveLinks::End::kSource);
    return false;
  };
  const auto is_asked = [&](const std::string& key) { return !is_pika || !is_unfit_for_pika(key); };
  for (const std::string& key : keys) {
    if (!is_asked(key)) continue;
    if (!is_pika) {
      source->add({"TYPE", key});
      continue;
    }
    for (const Args& question : pika_questions(key)) source->add(question);
  }
  std::vector<Reply> replies;
  if (!exchange(replies)) return false;
  std::vector<std::string> types;
  size_t next = 0;
  for (const std::string& key : keys) {
    if (!is_asked(key)) {
      types.emplace_back();
      continue;
    }
    types.push_back(is_pika ? pika_type(&replies[next]) : replies[next].text);
    next += is_pika ? kPikaQuestions : 1;
    source->add({length_command(types.back()), key});
  }
  if (!exchange(replies)) return false;
  next = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    bytes[i] = 0;
    if (!is_asked(keys[i])) continue;
    const auto length = static_cast<uint64_t>(std::max<int64_t>(replies[next++].integer, 0));
    if (types[i] == "none" || (is_pika && types[i] == "stream" && length == 0)) {
      bytes[i].reset();
    } else {
      bytes[i] = types[i] == "string" ? length : length * kElementBytes;
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
