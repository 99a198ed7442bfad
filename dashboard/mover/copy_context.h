#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/mover/mover.h"

namespace pikaproxy {

// What the two servers of a COPY have, found by asking for it.
struct CopyAbilities {
  bool source_is_pika = false;
  bool target_is_pika = false;
  bool has_dump_restore = false;    // DUMP at the source, RESTORE at the target.
  bool has_restore_absttl = false;  // RESTORE ... ABSTTL.
  bool has_unlink = false;          // At the source.
  bool has_pexpiretime = false;     // At the source.
  bool has_field_expiry = false;    // At the source: fields of hashes may expire by themselves.
  bool source_has_groups = false;   // Consumer groups of streams.
  bool target_has_groups = false;
  bool target_has_xsetid = false;
  bool target_has_entries_added = false;  // XSETID ... ENTRIESADDED, XGROUP ... ENTRIESREAD.
};

// A key on its way by COPY.
struct CopyItem {
  size_t index = 0;  // In the caller's vector.
  std::string key;
  std::string type;
  int64_t expire_at_ms = 0;  // 0: never.
  uint64_t length = 0;       // Bytes of a string, elements of the others.
  uint64_t bytes = 0;

  enum class Outcome : uint8_t {
    kNone,
    kCopied,   // The target has it all, compared.
    kGone,     // The source has it no more: it expired.
    kRefused,  // See reason; nothing must stay at the target.
    kLost,     // A server was lost.
  };
  Outcome outcome = Outcome::kNone;
  bool is_written = false;  // The target may have a part of it.
  bool concerns_all = false;
  std::string reason;

  void refuse(std::string why) {
    outcome = Outcome::kRefused;
    reason = std::move(why);
  }
};

// Commands to both servers about one key. After a failure the item has its outcome.
class CopyChannel {
 public:
  CopyChannel(MoveLinks& links, uint32_t db, const CopyAbilities& abilities,
              const std::function<bool(const std::string& key)>& is_wanted)
      : links_(links), db_(db), abilities_(abilities), is_wanted_(is_wanted) {}

  const CopyAbilities& abilities() const noexcept { return abilities_; }

  // One command at the source; false: lost or refused.
  bool read(CopyItem& item, const Args& args, Reply& reply);
  // As read(), several in one exchange.
  bool read_all(CopyItem& item, const std::vector<Args>& commands, std::vector<Reply>& replies);
  // Commands at the target in one exchange; false: lost, or one was refused.
  bool write(CopyItem& item, const std::vector<Args>& commands, std::vector<Reply>& replies);
  // The first commands for the key: what the target has under that name goes first, and its expiry
  // comes in the same transaction, so that no copy outlives its original.
  bool write_first(CopyItem& item, const Args& command, std::vector<Reply>& replies);
  // Sets the expiry (again): not every server keeps it while a value grows.
  bool write_expiry(CopyItem& item);
  // False: the key is not to be moved any more.
  bool goes_on(CopyItem& item);
  // The copy is not what the original is.
  bool differs(CopyItem& item);

  Args expiry_command(const CopyItem& item) const;

 private:
  bool exchange(MoveLinks::End end, CopyItem& item, const std::vector<Args>& commands,
                std::vector<Reply>& replies);

  MoveLinks& links_;
  const uint32_t db_;
  const CopyAbilities& abilities_;
  const std::function<bool(const std::string& key)>& is_wanted_;
};

// Copies one large value in pieces, and compares each. Sets item.outcome.
void copy_large(CopyChannel& channel, CopyItem& item);
// Copies a stream with all it has.
void copy_stream(CopyChannel& channel, CopyItem& item);

// Scores are the same double, however they are written ("inf", "1e2").
bool same_score(const std::string& a, const std::string& b) noexcept;

// "OOM ..." keeps its code for clients; others get a sentence with the server's words.
std::string refusal_text(const ServerAccess& server, const std::string& error);

}  // namespace pikaproxy
