#include "dashboard/mover/copy_mover.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "common/sabotage.h"
#include "common/text.h"
#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/migrate_mover.h"
#include "dashboard/mover/pika_keys.h"

namespace pikaproxy {
namespace {

using End = MoveLinks::End;
using Outcome = CopyItem::Outcome;
using State = KeyResult::State;

// What is longer is copied alone and in pieces.
constexpr uint64_t kSmallStringBytes = 64 << 10;
constexpr uint64_t kSmallElements = 128;
constexpr uint64_t kSmallValueBytes = 256 << 10;  // Where the server tells.
constexpr uint64_t kDumpBytes = kLargeKeyBytes;

bool is_known_type(const std::string& type) {
  for (const std::string_view known : {"string", "hash", "list", "set", "zset", "stream"}) {
    if (type == known) return true;
  }
  return false;
}

Args read_command(const CopyItem& item) {
  if (item.type == "string") return {"GET", item.key};
  if (item.type == "hash") return {"HGETALL", item.key};
  if (item.type == "list") return {"LRANGE", item.key, "0", "-1"};
  if (item.type == "set") return {"SMEMBERS", item.key};
  return {"ZRANGE", item.key, "0", "-1", "WITHSCORES"};
}

Args write_command(const CopyItem& item, const Reply& value) {
  if (item.type == "string") return {"SET", item.key, value.text};
  Args args = {item.type == "hash"   ? "HMSET"
               : item.type == "list" ? "RPUSH"
               : item.type == "set"  ? "SADD"
                                     : "ZADD",
               item.key};
  for (size_t i = 0; i < value.elements.size(); ++i) {
    // ZADD wants the score before the member.
    args.push_back(value.elements[item.type == "zset" ? i ^ 1 : i].text);
  }
  return args;
}

bool is_missing(const Reply& value) {
  return value.is_nil() || (value.is_array() && value.elements.empty());
}

// Whether all elements were given. Pika's ZRANGE leaves out members with the score -inf, its ZSCAN
// does not.
bool is_whole(const CopyItem& item, const Reply& value) {
  if (item.type == "string") return true;
  const size_t step = item.type == "hash" || item.type == "zset" ? 2 : 1;
  return value.elements.size() == item.length * step;
}

bool same_value(const CopyItem& item, const Reply& a, const Reply& b) {
  if (item.type == "string" || item.type == "list") return a == b;
  if (a.elements.size() != b.elements.size()) return false;
  // In no order, or in one of the server's own.
  const size_t step = item.type == "set" ? 1 : 2;
  if (a.elements.size() % step != 0) return false;
  const auto sorted = [step](const Reply& value) {
    std::vector<const Reply*> firsts;
    for (size_t i = 0; i < value.elements.size(); i += step) firsts.push_back(&value.elements[i]);
    std::sort(firsts.begin(), firsts.end(),
              [](const Reply* x, const Reply* y) { return x->text < y->text; });
    return firsts;
  };
  const auto of_a = sorted(a);
  const auto of_b = sorted(b);
  for (size_t i = 0; i < of_a.size(); ++i) {
    if (of_a[i]->text != of_b[i]->text) return false;
    // The value stands beside its field, the score beside its member.
    if (item.type == "hash" && of_a[i][1].text != of_b[i][1].text) return false;
    if (item.type == "zset" && !same_score(of_a[i][1].text, of_b[i][1].text)) return false;
  }
  return true;
}

int64_t clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool knows(ServerLink& link, const Args& args) {
  return !link.call(args, kCommandTimeout).is_unknown_command();
}

// Whether HELP of a command with subcommands names one.
bool helps_with(ServerLink& link, const std::string& command, std::string_view word) {
  const Reply help = link.call({command, "HELP"}, kCommandTimeout);
  return std::any_of(help.elements.begin(), help.elements.end(),
                     [&](const Reply& line) { return line.text.find(word) != std::string::npos; });
}

}  // namespace

bool CopyMover::learn_abilities() {
  if (abilities_) return true;
  ServerLink* const source = links_.source();
  ServerLink* const target = source ? links_.target() : nullptr;
  if (!target) return false;
  CopyAbilities found;
  const auto source_info = ServerInfo::ask(*source, kCommandTimeout);
  const auto target_info = ServerInfo::ask(*target, kCommandTimeout);
  if (source_info && target_info) {
    found.source_is_pika = source_info->is_pika();
    found.target_is_pika = target_info->is_pika();
    // With arguments that pass for the right number and do nothing.
    found.has_dump_restore = knows(*source, {"DUMP"}) && knows(*target, {"RESTORE"});
    // What it has never heard of is a syntax error; what it knows leads on to the payload.
    const Reply absttl =
        target->call({"RESTORE", "pikaproxy-probe", "1", "", "ABSTTL"}, kCommandTimeout);
    found.has_restore_absttl = absttl.text.find("syntax") == std::string::npos;
    // Pika's leaves the value in its cache.
    found.has_unlink = !found.source_is_pika && knows(*source, {"UNLINK"});
    found.has_pexpiretime = knows(*source, {"PEXPIRETIME"});
    found.has_field_expiry = knows(*source, {"HPEXPIRETIME"});
    found.source_has_groups = knows(*source, {"XGROUP"});
    found.target_has_groups = knows(*target, {"XGROUP"});
    found.target_has_xsetid = knows(*target, {"XSETID"});
    found.target_has_entries_added =
        found.target_has_groups && helps_with(*target, "XGROUP", "ENTRIESREAD");
  }
  for (const End end : {End::kSource, End::kTarget}) {
    ServerLink* const link = end == End::kSource ? source : target;
    if (!link->is_broken()) continue;
    links_.lose(end);
    return false;
  }
  abilities_ = found;
  return true;
}

bool CopyMover::is_small(const CopyItem& item) const {
  if (item.type == "string") return item.length <= kSmallStringBytes;
  if (item.type == "stream") return false;
  // Looked at field by field.
  if (item.type == "hash" && abilities_->has_field_expiry) return false;
  return item.length <= kSmallElements && item.bytes <= kSmallValueBytes;
}

template <typename Commands>
bool CopyMover::exchange(End end, uint32_t db, const Items& items, Commands commands,
                         std::vector<std::vector<Reply>>& replies) {
  replies.assign(items.size(), {});
  if (items.empty()) return true;
  ServerLink* const link = links_.get(end, db);
  std::vector<Reply> flat;
  std::vector<size_t> counts;
  if (link) {
    for (CopyItem* const item : items) {
      const std::vector<Args> wanted = commands(*item);
      for (const Args& args : wanted) link->add(args);
      counts.push_back(wanted.size());
    }
  }
  if (!link || !link->exchange(flat, kCommandTimeout)) {
    if (link) links_.lose(end);
    for (CopyItem* const item : items) {
      item->outcome = Outcome::kLost;
      item->reason = "TRYAGAIN " + links_.error();
    }
    return false;
  }
  size_t next = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    for (size_t n = 0; n < counts[i]; ++n) replies[i].push_back(std::move(flat[next++]));
  }
  return true;
}

bool CopyMover::describe(uint32_t db, const Items& all) {
  const auto refuse_zero_byte = [](CopyItem& item) {
    item.refuse("ERR the key contains a zero byte, with which Pika does not work reliably");
  };
  const bool from_pika = abilities_->source_is_pika;
  Items items;
  for (CopyItem* const item : all) {
    if (from_pika && is_unfit_for_pika(item->key)) {
      refuse_zero_byte(*item);
    } else {
      items.push_back(item);
    }
  }
  std::vector<std::vector<Reply>> replies;
  const std::string ttl_command = abilities_->has_pexpiretime ? "PEXPIRETIME" : "PTTL";
  int64_t now_ms = 0;
  if (!abilities_->has_pexpiretime) {
    // By the source's clock, which is the one that expiries were set by.
    ServerLink* const source = links_.get(End::kSource, db);
    const Reply time = source ? source->call({"TIME"}, kCommandTimeout) : Reply();
    now_ms = time.elements.size() == 2 ? std::atoll(time.elements[0].text.c_str()) * 1000 +
                                             std::atoll(time.elements[1].text.c_str()) / 1000
                                       : clock_ms();
  }
  if (!exchange(
          End::kSource, db, items,
          [&](const CopyItem& item) {
            if (!from_pika) return std::vector<Args>{{"TYPE", item.key}, {ttl_command, item.key}};
            const auto questions = pika_questions(item.key);
            return std::vector<Args>(questions.begin(), questions.end());
          },
          replies)) {
    return false;
  }
  Items known;
  for (size_t i = 0; i < items.size(); ++i) {
    CopyItem& item = *items[i];
    const Reply& type = replies[i][from_pika ? kPikaType : 0];
    const Reply& ttl = replies[i][from_pika ? kPikaTtl : 1];
    for (const Reply* reply : {&type, &ttl}) {
      if (!reply->is_error()) continue;
      item.refuse(refusal_text(links_.state().route().source, reply->text));
      item.concerns_all = concerns_all_keys(reply->text);
    }
    if (item.outcome != Outcome::kNone) continue;
    item.type = from_pika ? pika_type(replies[i].data()) : type.text;
    if (item.type == "none") {
      item.outcome = Outcome::kGone;
      continue;
    }
    // 0 is Pika's answer for streams, which never expire there.
    if (ttl.integer > 0) {
      item.expire_at_ms = abilities_->has_pexpiretime ? ttl.integer : now_ms + ttl.integer;
    }
    if (abilities_->target_is_pika && is_unfit_for_pika(item.key)) {
      refuse_zero_byte(item);
      continue;
    }
    if (!is_known_type(item.type) && !abilities_->has_dump_restore) {
      item.refuse("ERR values of type " + printable(item.type) + " cannot be copied");
      continue;
    }
    known.push_back(&item);
  }
  if (!exchange(
          End::kSource, db, known,
          [&](const CopyItem& item) {
            // Of other types, nothing needs to be known: they travel as dumps.
            if (!is_known_type(item.type)) return std::vector<Args>{{"EXISTS", item.key}};
            return std::vector<Args>{{length_command(item.type), item.key}};
          },
          replies)) {
    return false;
  }
  for (size_t i = 0; i < known.size(); ++i) {
    known[i]->length = static_cast<uint64_t>(std::max<int64_t>(replies[i][0].integer, 0));
    if (from_pika && known[i]->type == "stream" && known[i]->length == 0) {
      known[i]->outcome = Outcome::kGone;
    }
  }
  return true;
}

void CopyMover::copy_dumps(uint32_t db, Items& items, Items& by_type) {
  std::vector<std::vector<Reply>> dumps;
  if (!exchange(
          End::kSource, db, items,
          [](const CopyItem& item) {
            return std::vector<Args>{{"DUMP", item.key}};
          },
          dumps)) {
    return;
  }
  Items dumped;
  std::vector<std::string> values;
  for (size_t i = 0; i < items.size(); ++i) {
    if (dumps[i][0].is_nil()) {
      items[i]->outcome = Outcome::kGone;
    } else if (dumps[i][0].is_error()) {
      by_type.push_back(items[i]);
    } else {
      dumped.push_back(items[i]);
      values.push_back(std::move(dumps[i][0].text));
    }
  }
  for (CopyItem* const item : dumped) item->is_written = true;
  const int64_t now_ms = clock_ms();
  size_t next = 0;
  std::vector<std::vector<Reply>> replies;
  if (!exchange(
          End::kTarget, db, dumped,
          [&](const CopyItem& item) {
            int64_t ttl = item.expire_at_ms;
            if (ttl != 0 && !abilities_->has_restore_absttl) {
              ttl = std::max<int64_t>(ttl - now_ms, 1);
            }
            Args args = {"RESTORE", item.key, std::to_string(ttl), std::move(values[next++]),
                         "REPLACE"};
            if (ttl != 0 && abilities_->has_restore_absttl) args.push_back("ABSTTL");
            return std::vector<Args>{std::move(args)};
          },
          replies)) {
    return;
  }
  for (size_t i = 0; i < dumped.size(); ++i) {
    const Reply& reply = replies[i][0];
    if (reply.is_ok()) {
      dumped[i]->outcome = Outcome::kCopied;
    } else if (reply.text.find("DUMP payload version") != std::string::npos ||
               reply.text.find("Bad data format") != std::string::npos) {
      // Versions apart: the newer one's dumps are not understood by the older.
      by_type.push_back(dumped[i]);
    } else {
      dumped[i]->refuse(refusal_text(links_.state().route().target, reply.text));
      dumped[i]->concerns_all = concerns_all_keys(reply.text);
    }
  }
}

void CopyMover::copy_values(uint32_t db, const Items& items, Items& incomplete) {
  std::vector<std::vector<Reply>> values;
  if (!exchange(
          End::kSource, db, items,
          [](const CopyItem& item) { return std::vector<Args>{read_command(item)}; }, values)) {
    return;
  }
  Items there;
  std::vector<Reply> originals;
  for (size_t i = 0; i < items.size(); ++i) {
    CopyItem& item = *items[i];
    Reply& value = values[i][0];
    if (value.is_error()) {
      item.refuse(refusal_text(links_.state().route().source, value.text));
    } else if (!is_whole(item, value)) {
      incomplete.push_back(&item);
    } else if (is_missing(value)) {
      item.outcome = Outcome::kGone;
    } else {
      there.push_back(&item);
      originals.push_back(std::move(value));
    }
  }
  size_t next = 0;
  std::vector<std::vector<Reply>> replies;
  const CopyAbilities& abilities = *abilities_;
  CopyChannel channel(links_, db, abilities, is_wanted_);
  for (CopyItem* const item : there) item->is_written = true;
  if (!exchange(
          End::kTarget, db, there,
          [&](const CopyItem& item) {
            Args write = write_command(item, originals[next++]);
            if (item.expire_at_ms == 0) {
              return std::vector<Args>{{"DEL", item.key}, std::move(write), read_command(item)};
            }
            // No copy may outlive its original, whatever happens between these.
            return std::vector<Args>{{"MULTI"},        {"DEL", item.key},
                                     std::move(write), channel.expiry_command(item),
                                     {"EXEC"},         read_command(item)};
          },
          replies)) {
    return;
  }
  for (size_t i = 0; i < there.size(); ++i) {
    CopyItem& item = *there[i];
    const Reply* error = nullptr;
    for (const Reply& reply : replies[i]) {
      if (reply.is_error() && !error) error = &reply;
      if (&reply == &replies[i].back()) continue;  // A value read back; its elements are data.
      for (const Reply& inner : reply.elements) {
        if (inner.is_error() && !error) error = &inner;
      }
    }
    if (error) {
      item.refuse(refusal_text(links_.state().route().target, error->text));
      item.concerns_all = concerns_all_keys(error->text);
      continue;
    }
    if (item.expire_at_ms != 0) {
      const Reply& done = replies[i][replies[i].size() - 2];
      if (!done.is_array() || done.elements.size() != 3 || !done.elements[2].is_integer(1)) {
        item.refuse("ERR " + links_.state().route().target.address.to_string() +
                    " cannot keep the expiry of a value of type " + item.type);
        continue;
      }
    }
    if (same_value(item, originals[i], replies[i].back())) {
      item.outcome = Outcome::kCopied;
    } else {
      channel.differs(item);
    }
  }
}

void CopyMover::copy_alone(uint32_t db, CopyItem& item) {
  CopyChannel channel(links_, db, *abilities_, is_wanted_);
  if (item.type == "stream") {
    copy_stream(channel, item);
  } else {
    copy_large(channel, item);
  }
}

void CopyMover::remove_copies(uint32_t db, const Items& items) {
  std::vector<std::vector<Reply>> replies;
  std::vector<CopyItem> before;
  for (CopyItem* const item : items) before.push_back(*item);
  const bool removed = exchange(
      End::kTarget, db, items,
      [](const CopyItem& item) {
        return std::vector<Args>{{"DEL", item.key}};
      },
      replies);
  for (size_t i = 0; i < items.size(); ++i) {
    if (removed && replies[i][0].kind == Reply::Kind::kInteger) {
      links_.state().set_finished(db, items[i]->key);
      continue;
    }
    // The next attempt, or the end of the job, removes it.
    links_.state().set_unfinished(db, items[i]->key, RouteState::Attempt::kWriting);
    if (removed) continue;
    // Why it stays was known before the target was lost; a key that is gone is not, until then.
    if (before[i].outcome == Outcome::kRefused) *items[i] = before[i];
  }
}

void CopyMover::commit(uint32_t db, const Items& items, std::vector<KeyResult>& results) {
  Items copied;
  Items to_remove;
  for (CopyItem* const item : items) {
    if (is_sabotaged(Sabotage::kCopyUnverified) && item->is_written) {
      item->outcome = Outcome::kCopied;
    }
    RouteState::Attempt attempt{};
    const bool is_unfinished = links_.state().unfinished(db, item->key, attempt);
    switch (item->outcome) {
      case Outcome::kCopied:
        copied.push_back(item);
        break;
      case Outcome::kGone:
        if (is_unfinished && attempt == RouteState::Attempt::kCommitting && !item->is_written) {
          // An earlier delete had gone through: the target's copy is the key now.
          links_.state().set_finished(db, item->key);
          results[item->index].existed = true;
        } else if (item->is_written || is_unfinished) {
          to_remove.push_back(item);
        }
        break;
      case Outcome::kRefused:
        if (is_unfinished && attempt == RouteState::Attempt::kCommitting && item->type.empty()) {
          // Refused before it was seen at the source (loading after a crash, say), where an earlier
          // delete may have gone through: the target's copy may be all there is.
          item->outcome = Outcome::kLost;
        } else if (item->is_written || is_unfinished) {
          to_remove.push_back(item);
        }
        break;
      case Outcome::kLost:
      case Outcome::kNone:
        if (item->is_written) {
          links_.state().set_unfinished(db, item->key, RouteState::Attempt::kWriting);
        }
        break;
    }
  }
  std::vector<std::vector<Reply>> replies;
  const bool told = exchange(
      End::kSource, db, copied,
      [this](const CopyItem& item) {
        const bool is_large = item.length > kSmallElements && item.type != "string";
        if (is_sabotaged(Sabotage::kCopyKeepsSource))
          return std::vector<Args>{{"EXISTS", item.key}};
        return std::vector<Args>{{is_large && abilities_->has_unlink ? "UNLINK" : "DEL", item.key}};
      },
      replies);
  for (size_t i = 0; i < copied.size(); ++i) {
    CopyItem& item = *copied[i];
    if (!told) {
      links_.state().set_unfinished(db, item.key, RouteState::Attempt::kCommitting);
      continue;
    }
    const Reply& reply = replies[i][0];
    if (reply.kind == Reply::Kind::kInteger && reply.integer > 0) {
      links_.state().set_finished(db, item.key);
    } else if (reply.is_integer(0)) {
      // It expired, or was flushed, after it had been read.
      item.outcome = Outcome::kGone;
      to_remove.push_back(&item);
    } else {
      item.refuse(refusal_text(links_.state().route().source, reply.text));
      item.concerns_all = concerns_all_keys(reply.text);
      to_remove.push_back(&item);
    }
  }
  remove_copies(db, to_remove);
  for (CopyItem* const item : items) {
    KeyResult& result = results[item->index];
    switch (item->outcome) {
      case Outcome::kCopied:
        result.state = State::kMoved;
        result.existed = true;
        break;
      case Outcome::kGone:
        result.state = State::kMoved;
        break;
      case Outcome::kRefused:
        result.state = State::kStays;
        result.concerns_all = item->concerns_all;
        result.reason = item->reason;
        break;
      case Outcome::kLost:
      case Outcome::kNone:
        result.state = State::kUnknown;
        result.reason = item->reason;
        break;
    }
  }
}

void CopyMover::move(uint32_t db, const std::vector<std::string>& keys,
                     std::vector<KeyResult>& results) {
  if (!learn_abilities()) {
    for (KeyResult& result : results) result.reason = "TRYAGAIN " + links_.error();
    return;
  }
  std::vector<CopyItem> items(keys.size());
  Items all;
  for (size_t i = 0; i < keys.size(); ++i) {
    items[i].index = i;
    items[i].key = keys[i];
    items[i].bytes = results[i].bytes;
    all.push_back(&items[i]);
  }
  if (describe(db, all)) {
    Items dumps;
    Items by_type;
    for (CopyItem& item : items) {
      if (item.outcome != Outcome::kNone) continue;
      if (abilities_->has_dump_restore && item.bytes <= kDumpBytes) {
        dumps.push_back(&item);
      } else {
        by_type.push_back(&item);
      }
    }
    if (!dumps.empty()) copy_dumps(db, dumps, by_type);
    Items together;
    Items alone;
    for (CopyItem* const item : by_type) {
      if (!is_known_type(item->type)) {
        item->refuse(
            "ERR values of type " + printable(item->type) +
            " can be copied as dumps only, and this one is too large or of another version");
        continue;
      }
      (is_small(*item) ? together : alone).push_back(item);
    }
    copy_values(db, together, alone);
    for (CopyItem* const item : alone) {
      // After a loss the others wait for the next attempt.
      if (links_.state().stop().is_raised()) break;
      copy_alone(db, *item);
      if (item->outcome == Outcome::kLost) break;
    }
  }
  for (CopyItem& item : items) {
    if (item.outcome != Outcome::kNone) continue;
    item.outcome = Outcome::kLost;
    item.reason = "TRYAGAIN the key is still to be moved, try again";
  }
  commit(db, all, results);
}

}  // namespace pikaproxy
