#include "dashboard/cluster/migration.h"

#include <algorithm>
#include <array>

namespace pikaproxy {
namespace {

// In the order of SlotStep.
constexpr std::array<std::string_view, 11> kSteps = {
    "pending",   "preparing", "migrating", "finishing",     "done",         "cancelling",
    "returning", "dropped",   "held",      "target_stands", "source_stands"};
// In the order of MigrationState.
constexpr std::array<std::string_view, 7> kStates = {
    "pending", "running", "paused", "cancelling", "cancelled", "failed", "succeeded"};

template <typename Enum, typename Names>
std::optional<Enum> named(const Names& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

template <typename Slots>
auto* find_in(Slots& slots, SlotId slot) {
  const auto found =
      std::lower_bound(slots.begin(), slots.end(), slot,
                       [](const MigrationSlot& each, SlotId wanted) { return each.slot < wanted; });
  return found == slots.end() || found->slot != slot ? nullptr : &*found;
}

}  // namespace

std::string_view slot_step_name(SlotStep step) noexcept {
  return kSteps[static_cast<size_t>(step)];
}

std::optional<SlotStep> slot_step_named(std::string_view name) noexcept {
  return named<SlotStep>(kSteps, name);
}

std::string_view migration_state_name(MigrationState state) noexcept {
  return kStates[static_cast<size_t>(state)];
}

std::optional<MigrationState> migration_state_named(std::string_view name) noexcept {
  return named<MigrationState>(kStates, name);
}

size_t Migration::count(SlotStep step) const {
  return static_cast<size_t>(std::count_if(
      slots.begin(), slots.end(), [step](const MigrationSlot& slot) { return slot.step == step; }));
}

size_t Migration::in_work() const {
  return static_cast<size_t>(std::count_if(
      slots.begin(), slots.end(), [](const MigrationSlot& slot) { return slot.in_work(); }));
}

bool Migration::involves_group(uint32_t group) const {
  return std::any_of(slots.begin(), slots.end(), [group](const MigrationSlot& slot) {
    return slot.source == group || slot.target == group;
  });
}

const MigrationSlot* Migration::find(SlotId slot) const {
  return find_in(slots, slot);
}

MigrationSlot* Migration::find(SlotId slot) {
  return find_in(slots, slot);
}

}  // namespace pikaproxy
