#include "proxy/dispatch/placement.h"

#include <algorithm>

#include "common/ascii.h"
#include "common/slot.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/routing/topology.h"

namespace pikaproxy {

std::string place_request(const Topology& topology, const Command& command, Arguments args,
                          std::vector<uint32_t>& positions, Placement& placement) {
  placement = {};
  // MSETNX with a key without a value.
  if (command.key_step == 2 && args.size() % 2 == 0) return wrong_arity(command);
  std::string_view error;
  if (!find_keys(command, args, positions, error)) return "ERR " + std::string(error);
  if (positions.empty()) {
    // Any server can run it, but always the same one does.
    if (topology.serving_groups.empty()) return std::string(kNoSlotServed);
    placement.place.group = topology.serving_groups.front();
    placement.place.open = true;
    return {};
  }
  placement.has_keys = true;
  placement.place = topology.router->place(args[positions[0]]);
  for (size_t i = 1; i < positions.size(); ++i) {
    if (topology.router->place(args[positions[i]]).unit != placement.place.unit) {
      return std::string(kCrossSlot);
    }
  }
  placement.touches_others = goes_to_other_database(command, args);
  if (!command.name.starts_with("sort")) return {};
  return check_sort_patterns(*topology.router, args, placement.place, placement.touches_others);
}

bool goes_to_other_database(const Command& command, Arguments args) noexcept {
  if (command.name == "move") return true;
  return command.name == "copy" && args.size() > 3 &&
         std::any_of(args.begin() + 3, args.end(),
                     [](std::string_view arg) { return equals_ignoring_case(arg, "DB"); });
}

std::string check_sort_patterns(const Router& router, Arguments args, Place place,
                                bool& touches_others) {
  // Keys made from a pattern lie in the request's slot only if the pattern has that slot's hash tag
  // and the "*" stands outside of it. Source: Redis sort.c (patternHashSlot) and its error texts.
  for (size_t i = 2; i + 1 < args.size(); ++i) {
    const bool is_by = equals_ignoring_case(args[i], "BY");
    if (!is_by && !equals_ignoring_case(args[i], "GET")) continue;
    const std::string_view pattern = args[++i];
    if (pattern.find('*') == std::string_view::npos) continue;
    const std::string_view tag = hash_part(pattern);
    const bool is_local = tag.size() != pattern.size() && tag.find('*') == std::string_view::npos &&
                          router.place(pattern).unit == place.unit;
    touches_others = true;
    if (is_local) continue;
    return std::string("ERR ") + (is_by ? "BY" : "GET") +
           " option of SORT denied in cluster mode when keys formed by the pattern may be in"
           " different slots.";
  }
  return {};
}

}  // namespace pikaproxy
