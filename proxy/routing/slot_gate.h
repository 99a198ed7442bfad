#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/key_mover.h"
#include "common/slot_table.h"
#include "proxy/routing/held_request.h"
#include "proxy/routing/moved_keys.h"

namespace pikaproxy {

// The held requests that touch one key of a migrating slot, in the order of their arrival. The
// first one may go once the key has moved, the next one when that has gone.
struct KeyQueue {
  std::deque<HeldRequest*> requests;
  bool has_moved = false;
  bool is_asked = false;  // The mover was asked and has not answered.
  uint64_t slot_and_db = 0;
  const std::string* key = nullptr;  // Of the table that it stands in.
};

// Holds requests of slots that are locked, or migrating with keys that may not have left the
// source. docs/slot-migration.md says why that is needed; here is the bookkeeping:
//
//   held_    [ r1 ][ r2 ][ r3 ][ r4 ]        all, in the order of arrival; r4's slot is locked
//   queues_  {a}  -> r1, r3                  r1 may go when a has moved,
//            {b}  -> r2, r3                  r3 when r1 and r2 are gone and both keys have moved
//   ready_   those that wait for nothing any more; run() has them go on
//
// A request counts what it waits for (HeldRequest::unready), so that an answer costs a look at the
// requests it concerns and no more. Knows no sockets: what happens to a request is its Host's work.
// One per worker, its thread only.
class SlotGate {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    // Sends a request on its way, or refuses it. It is no longer held when the call returns.
    virtual void go(HeldRequest& request) = 0;
    virtual void refuse(HeldRequest& request, std::string_view error) = 0;
    // Has keys moved; the answer comes to answered() with the same `version`, not from within this
    // call.
    virtual void ask(SlotId slot, uint32_t version, uint32_t db, std::vector<std::string> keys) = 0;
  };

  explicit SlotGate(Host& host);
  ~SlotGate();

  // A new table: all held requests are looked at again. Null = no table: everything is open.
  void install(std::shared_ptr<const SlotTable> table);

  // Whether a request for this key may go now. Not the case while an earlier request that touches
  // the key is held, even if the key has moved.
  bool may_go(SlotId slot, uint32_t db, std::string_view key) const noexcept;
  // The same for a request that touches keys it does not name.
  bool may_go_whole(SlotId slot) const noexcept;

  // Takes a request that may not go; since, cost and the like are filled in.
  HeldRequest& hold(std::unique_ptr<HeldRequest> request);
  // Its client is gone: forgets it, with its task.
  void drop(HeldRequest& request);

  // The mover's answer. Without effect if the slot's entry has changed since the question.
  void answered(SlotId slot, uint32_t version, uint32_t db, const std::vector<std::string>& keys,
                const KeyMover::Outcome& outcome);
  // Refuses what has been held since `oldest` or before.
  void expire(Ticks oldest, uint64_t timeout_ms);

  // Has what is ready go on, oldest first. Not from within a Host's call.
  void run();
  bool has_work() const noexcept { return !ready_.empty() || !over_.empty(); }

  size_t held() const noexcept { return held_.size(); }
  uint64_t held_bytes() const noexcept { return held_bytes_; }
  // For tests: queues that exist, with or without requests.
  size_t queues() const noexcept;

 private:
  using Queues = std::unordered_map<std::string, KeyQueue, StringHash, std::equal_to<>>;
  using Questions = std::vector<std::pair<SlotId, std::vector<std::string>>>;

  static uint64_t slot_and_db(SlotId slot, uint32_t db) noexcept {
    return uint64_t{slot} << 32 | db;
  }
  bool is_same_entry(const SlotTable* now, SlotId slot) const noexcept;
  // Puts the request into the queues of what it waits for.
  void enter(HeldRequest& request);
  void make_ready(HeldRequest& request);
  // Takes the request out of everything; those behind it may become ready.
  void remove(HeldRequest& request);
  void erase_if_unused(KeyQueue& queue);
  KeyQueue* find(SlotId slot, uint32_t db, std::string_view key) noexcept;

  Host& host_;
  std::shared_ptr<const SlotTable> table_;
  std::array<uint32_t, kSlotCount> versions_{};  // One more with each change of a slot's entry.
  MovedKeys moved_;
  std::list<std::unique_ptr<HeldRequest>> held_;
  std::unordered_map<uint64_t, Queues> queues_;  // By slot and database, then by key.
  std::deque<HeldRequest*> ready_;
  // Freed by run(): their bytes may be in use further up the stack.
  std::vector<std::unique_ptr<HeldRequest>> over_;
  uint64_t held_bytes_ = 0;
};

}  // namespace pikaproxy
