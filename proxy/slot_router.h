#pragma once

#include <array>

#include "common/slot.h"
#include "proxy/router.h"

namespace pikaproxy {

// The codis scheme: 1024 slots, each with a group.
class SlotRouter : public Router {
 public:
  using Owners = std::array<GroupIndex, kSlotCount>;

  // `owners` may hold kNoGroup for unassigned slots.
  explicit SlotRouter(const Owners& owners) noexcept : owners_(owners) {}

  Place place(std::string_view key) const noexcept override {
    const SlotId slot = slot_of(key);
    return Place{owners_[slot], slot};
  }

 private:
  // Constant after construction.
  Owners owners_;
};

}  // namespace pikaproxy
