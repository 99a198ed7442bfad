#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "common/result.h"
#include "common/slot_table.h"

namespace pikaproxy {

// What the controller may ask of a running proxy: the one in this process, or one elsewhere.
class ProxyControl {
 public:
  virtual ~ProxyControl() = default;

  // Called exactly once, on any thread, never from within install(). The value is the epoch.
  using Installed = std::function<void(Result<uint64_t>)>;

  // Puts `table` in force. `done` gets the epoch when
  //   - all workers route by it (or by a newer one), and
  //   - for each slot that is locked or migrating in it, nothing that was sent to the slot's
  //     `group` under an earlier table can be executed there any more: replies have come, and
  //     connections that were given up with requests in flight are known to be dead at the server.
  // The second part waits for servers and has no bound of its own: the caller gives up by
  // installing a newer table, which ends the wait with an error.
  // Errors: a table in force is newer; superseded; the proxy ends.
  virtual void install(std::shared_ptr<const SlotTable> table, Installed done) = 0;

  // Of the table that all workers run; 0 before the first.
  virtual uint64_t epoch() const = 0;
};

}  // namespace pikaproxy
