#pragma once

#include <array>

#include "common/slot.h"
#include "proxy/routing/router.h"

namespace pikaproxy {

// The codis scheme: 1024 slots, each with a group.
class SlotRouter : public Router {
 public:
  struct Owner {
    GroupIndex group = kNoGroup;  // Where requests go when they may; kNoGroup = unassigned.
    bool open = false;            // False where unassigned, locked or migrating.
  };
  using Owners = std::array<Owner, kSlotCount>;

  explicit SlotRouter(const Owners& owners) noexcept : owners_(owners) {}

  Place place(std::string_view key) const noexcept override {
    const SlotId slot = slot_of(key);
    const Owner owner = owners_[slot];
    return Place{owner.group, owner.open, slot};
  }

 private:
  // Constant after construction.
  Owners owners_;
};

}  // namespace pikaproxy
