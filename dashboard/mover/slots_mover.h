#pragma once

#include "common/slot.h"
#include "dashboard/mover/mover.h"

namespace pikaproxy {

// codis-server's own way: a key (and all with its tag) is sent and deleted in one command that
// nothing comes between.
class SlotsMover : public Mover {
 public:
  explicit SlotsMover(MoveLinks& links) : links_(links) {}

  void move(uint32_t db, const std::vector<std::string>& keys,
            std::vector<KeyResult>& results) override;

  // Some `rounds` steps of moving whatever the slot has. Returns how many keys have gone; `left`:
  // how many remain; `result`: kMoved, or why it did not go on.
  uint64_t move_slot(uint32_t db, SlotId slot, size_t rounds, uint64_t& left, KeyResult& result);

 private:
  ServerLink* begin(uint32_t db, KeyResult& failed);
  void add(ServerLink& source, std::string_view command, std::string_view what);
  bool exchange(ServerLink& source, std::vector<Reply>& replies, KeyResult& failed);
  // Of an error reply.
  KeyResult explain(const Reply& reply);

  MoveLinks& links_;
};

}  // namespace pikaproxy
