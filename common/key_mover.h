#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/slot.h"

namespace pikaproxy {

// What a proxy asks for when a request needs keys of a migrating slot. There is one mover for a
// migration, however many proxies there are: it alone knows how keys travel and which are on
// their way.
class KeyMover {
 public:
  virtual ~KeyMover() = default;

  struct Outcome {
    // True: none of the keys is at the source any more, each is at the target or nowhere, and stays
    // so while the slot goes on migrating in this direction.
    bool moved = false;
    // Otherwise why not, for the client: begins with an error code ("TRYAGAIN ...").
    std::string error;
  };
  // Called exactly once, on any thread, never from within move(). Must not block.
  using Done = std::function<void(Outcome)>;

  // Has `keys` of database `db`, all of `slot`, moved from the slot's source to its target. Any
  // thread; returns at once. Bounded in time.
  virtual void move(SlotId slot, uint32_t db, std::vector<std::string> keys, Done done) = 0;
};

}  // namespace pikaproxy
