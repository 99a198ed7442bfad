#include "dashboard/mover/copy_context.h"

#include <cstdlib>

#include "common/text.h"
#include "dashboard/mover/migrate_mover.h"

namespace pikaproxy {

using End = MoveLinks::End;

bool CopyChannel::exchange(End end, CopyItem& item, const std::vector<Args>& commands,
                           std::vector<Reply>& replies) {
  ServerLink* const link = links_.get(end, db_);
  if (link) {
    for (const Args& command : commands) link->add(command);
    if (link->exchange(replies, kCommandTimeout)) return true;
    links_.lose(end);
  }
  item.outcome = CopyItem::Outcome::kLost;
  item.reason = "TRYAGAIN " + links_.error();
  return false;
}

bool CopyChannel::read(CopyItem& item, const Args& args, Reply& reply) {
  std::vector<Reply> replies;
  if (!read_all(item, {args}, replies)) return false;
  reply = std::move(replies.front());
  return true;
}

bool CopyChannel::read_all(CopyItem& item, const std::vector<Args>& commands,
                           std::vector<Reply>& replies) {
  if (!exchange(End::kSource, item, commands, replies)) return false;
  for (const Reply& reply : replies) {
    if (!reply.is_error()) continue;
    item.refuse(refusal_text(links_.state().route().source, reply.text));
    return false;
  }
  return true;
}

bool CopyChannel::write(CopyItem& item, const std::vector<Args>& commands,
                        std::vector<Reply>& replies) {
  item.is_written = true;
  if (!exchange(End::kTarget, item, commands, replies)) return false;
  // In a transaction the errors of its commands stand in the answer to EXEC.
  const auto refused = [&](const Reply& reply) {
    item.refuse(refusal_text(links_.state().route().target, reply.text));
    item.concerns_all = concerns_all_keys(reply.text);
    return false;
  };
  for (const Reply& reply : replies) {
    if (reply.is_error()) return refused(reply);
    for (const Reply& inner : reply.elements) {
      if (inner.is_error()) return refused(inner);
    }
  }
  return true;
}

Args CopyChannel::expiry_command(const CopyItem& item) const {
  // Pika counts in seconds: rather a moment longer than shorter.
  if (abilities_.target_is_pika) {
    return {"EXPIREAT", item.key, std::to_string((item.expire_at_ms + 999) / 1000)};
  }
  return {"PEXPIREAT", item.key, std::to_string(item.expire_at_ms)};
}

bool CopyChannel::write_first(CopyItem& item, const Args& command, std::vector<Reply>& replies) {
  if (item.expire_at_ms == 0) return write(item, {{"DEL", item.key}, command}, replies);
  if (!write(item, {{"MULTI"}, {"DEL", item.key}, command, expiry_command(item), {"EXEC"}},
             replies)) {
    return false;
  }
  const Reply& done = replies.back();
  if (!done.is_array() || done.elements.size() != 3 || !done.elements[2].is_integer(1)) {
    item.refuse("ERR " + links_.state().route().target.address.to_string() +
                " cannot keep the expiry of a value of type " + item.type);
    return false;
  }
  // As without a transaction: the answer to `command` is the last.
  Reply answer = done.elements[1];
  replies.assign(1, std::move(answer));
  return true;
}

bool CopyChannel::write_expiry(CopyItem& item) {
  if (item.expire_at_ms == 0) return true;
  std::vector<Reply> replies;
  // 0: it has just expired, and will be found gone at the source.
  return write(item, {expiry_command(item)}, replies);
}

bool CopyChannel::goes_on(CopyItem& item) {
  if (!links_.state().stop().is_raised() && is_wanted_(item.key)) return true;
  item.refuse("TRYAGAIN the slot is changing its group, try again");
  return false;
}

bool CopyChannel::differs(CopyItem& item) {
  // One that has expired meanwhile differs, too.
  Reply there;
  if (!read(item, {"EXISTS", item.key}, there)) return false;
  if (there.is_integer(0)) {
    item.outcome = CopyItem::Outcome::kGone;
  } else {
    item.refuse("ERR " + links_.state().route().target.address.to_string() +
                " does not give back the same value of type " + item.type + " that it was given");
  }
  return false;
}

bool same_score(const std::string& a, const std::string& b) noexcept {
  if (a == b) return true;
  // -0 and 0 are the same score, which servers write as they like.
  return std::strtod(a.c_str(), nullptr) == std::strtod(b.c_str(), nullptr);
}

std::string refusal_text(const ServerAccess& server, const std::string& error) {
  return std::string(refusal_code(error)) + "the key cannot move: " + server.address.to_string() +
         " says " + printable(error);
}

}  // namespace pikaproxy
