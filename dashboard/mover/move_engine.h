#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/address.h"
#include "common/key_mover.h"
#include "common/slot.h"

namespace pikaproxy {

// How keys travel between two servers.
enum class MoverKind : uint8_t {
  kMigrate,  // The source's MIGRATE: Redis >= 3.2, Valkey and alike on both ends.
  kSlots,    // SLOTSMGRTTAGONE and SLOTSMGRTTAGSLOT: codis-server on both ends.
  kCopy,     // Read here, written there, compared, then deleted at the source: any pair.
};
std::string_view mover_name(MoverKind kind) noexcept;  // "migrate", "slots", "copy"

// A server and how to log in.
struct ServerAccess {
  Address address;
  std::string user;      // Empty = "default", or AUTH with one argument where the server is old.
  std::string password;  // Empty = no AUTH.

  bool operator==(const ServerAccess&) const = default;
};

enum class RouteEnd : uint8_t { kSource, kTarget };

struct MoveRoute {
  ServerAccess source;
  ServerAccess target;
  MoverKind mover = MoverKind::kMigrate;
};

// Of the background; what clients wait for is never slowed down. 0 = unlimited.
struct MoveLimits {
  uint64_t keys_per_second = 0;
  uint64_t bytes_per_second = 0;

  bool operator==(const MoveLimits&) const = default;
};

// What the engine tells about a job. On the engine's threads; must not block.
class MoveObserver {
 public:
  virtual ~MoveObserver() = default;
  // A whole scan of the source that began after the slot was added found nothing of it, in any
  // database. Once per added slot.
  virtual void slot_clean(uint64_t job, SlotId slot) = 0;
  // Something keeps the job from going on, or names a key that stays behind. `text` says what and
  // what to do; the engine tries again by itself, with pauses. Empty: that problem is over.
  virtual void job_problem(uint64_t job, std::string text) = 0;
  // Worth telling, needs nothing to be done: a large key was found, strays were removed.
  virtual void job_warning(uint64_t job, std::string text) = 0;
};

struct MoveProgress {
  uint64_t keys_moved = 0;
  uint64_t bytes_moved = 0;  // As the source estimates values (MEMORY USAGE or DUMP), 0 if unknown.
  uint64_t keys_seen_left = 0;  // Estimate of what is still to be moved.
};

// Moves keys of slots from server to server: in the background by scanning the source, and at once
// when a proxy needs a key (KeyMover). All keys of a slot take the same way, and one key is moved
// by one thread at a time.
//
// A job is a route with its limits and slots. It never runs the two directions of a slot at once:
// the caller removes the slots from one job before it adds them to another.
// Any thread.
class MoveEngine : public KeyMover {
 public:
  // `fence`: names our connections at servers; see docs/slot-migration.md. `observer` outlives the
  // engine.
  static std::unique_ptr<MoveEngine> make(std::string fence, MoveObserver& observer);

  virtual void open_job(uint64_t job, MoveRoute route, MoveLimits limits) = 0;
  virtual void set_limits(uint64_t job, MoveLimits limits) = 0;
  // Off: keys move only when a proxy asks (paused).
  virtual void set_background(uint64_t job, bool on) = 0;
  // From here on the engine moves keys of these slots. No proxy sends anything to the source for
  // them any more.
  virtual void add_slots(uint64_t job, const std::vector<SlotId>& slots) = 0;
  // Asks for these slots fail from here on; `done` runs when no move of theirs is under way, and no
  // earlier attempt can take effect any more at a server. It gets an empty text, or why that could
  // not be made sure (then the slots stay as they were).
  virtual void remove_slots(uint64_t job, const std::vector<SlotId>& slots,
                            std::function<void(std::string error)> done) = 0;
  // As remove_slots(), when one of the servers is given up for good: nothing is made sure there,
  // and at the other no copy is left that is not whole.
  virtual void abandon_slots(uint64_t job, const std::vector<SlotId>& slots, RouteEnd lost,
                             std::function<void(std::string error)> done) = 0;
  // After a restart or the loss of a server: resolves keys that both servers have, as a failure in
  // mid-move leaves them, so that each is at one: where `stands` says, or else where the mover has
  // them count. The slots have been added; background is off. Then `done`, as above.
  virtual void reconcile(uint64_t job, const std::vector<SlotId>& slots,
                         std::optional<RouteEnd> stands,
                         std::function<void(std::string error)> done) = 0;
  // Only when all its slots were removed.
  virtual void close_job(uint64_t job) = 0;
  virtual MoveProgress progress(uint64_t job) const = 0;

  // Ends the threads; asks under way get an error.
  virtual void stop() = 0;
};

}  // namespace pikaproxy
