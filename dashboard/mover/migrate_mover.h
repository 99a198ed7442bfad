#pragma once

#include "dashboard/mover/mover.h"

namespace pikaproxy {

// Has the source send keys to the target itself: MIGRATE, without REPLACE. The target's copy stands
// where both have one.
class MigrateMover : public Mover {
 public:
  explicit MigrateMover(MoveLinks& links) : links_(links) {}

  void move(uint32_t db, const std::vector<std::string>& keys,
            std::vector<KeyResult>& results) override;

 private:
  // One MIGRATE; sets the results of keys[from, to). False: they are to be tried one by one.
  bool migrate(uint32_t db, const std::vector<std::string>& keys, size_t from, size_t to,
               std::vector<KeyResult>& results);
  // All of the source's answers are lost: what came of the keys is not known.
  void lose(uint32_t db, const std::vector<std::string>& keys, size_t from, size_t to,
            const std::string& why, std::vector<KeyResult>& results);

  MoveLinks& links_;
};

// Errors that a server gives whatever the key: no password, no memory, wrong role.
bool concerns_all_keys(std::string_view error) noexcept;

}  // namespace pikaproxy
