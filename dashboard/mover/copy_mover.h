#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dashboard/mover/copy_context.h"
#include "dashboard/mover/mover.h"

namespace pikaproxy {

// Copies keys itself, for servers that cannot send them: read at the source, written at the target,
// compared, then deleted at the source. The delete is the commit: as long as the source has a key,
// its copy stands.
//
// Small keys go together, each step for all of them in one exchange. Where both servers have DUMP
// and RESTORE, and agree on the format, a value travels as its dump; that has a checksum over value
// and version, which RESTORE checks before it says OK, so no other comparison is made. Otherwise by
// type, with ordinary commands, and what was written is read back.
class CopyMover : public Mover {
 public:
  CopyMover(MoveLinks& links, std::function<bool(const std::string& key)> is_wanted)
      : links_(links), is_wanted_(std::move(is_wanted)) {}

  void move(uint32_t db, const std::vector<std::string>& keys,
            std::vector<KeyResult>& results) override;

 private:
  using Items = std::vector<CopyItem*>;

  bool learn_abilities();
  // Whether it goes together with others.
  bool is_small(const CopyItem& item) const;
  // One exchange for all of them; `commands` gives each item its commands, of which the last one's
  // answer is kept. False: lost, and all items with it.
  template <typename Commands>
  bool exchange(MoveLinks::End end, uint32_t db, const Items& items, Commands commands,
                std::vector<std::vector<Reply>>& replies);
  // Type, expiry and length. Items that need nothing more have their outcome then.
  bool describe(uint32_t db, const Items& items);
  void copy_dumps(uint32_t db, Items& items, Items& by_type);
  // `incomplete` gets those that have to be read in another way.
  void copy_values(uint32_t db, const Items& items, Items& incomplete);
  void copy_alone(uint32_t db, CopyItem& item);
  // Deletes at the source what was copied, at the target what was not.
  void commit(uint32_t db, const Items& items, std::vector<KeyResult>& results);
  void remove_copies(uint32_t db, const Items& items);

  MoveLinks& links_;
  const std::function<bool(const std::string& key)> is_wanted_;
  std::optional<CopyAbilities> abilities_;
};

}  // namespace pikaproxy
