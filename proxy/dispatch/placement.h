#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/command_table.h"
#include "proxy/routing/router.h"

namespace pikaproxy {

struct Topology;

// Where a request goes whose keys must all live together.
struct Placement {
  Place place;            // Of its keys; without keys, only the group is set.
  bool has_keys = false;  // A script or function may have none.
  // Of the same slot: SORT's patterns make their names, MOVE and COPY go to another database.
  bool touches_others = false;
};

// Finds it; `positions`: the arguments that are keys (cleared first). Returns the error that the
// client is answered with, or an empty string. An unassigned slot is no error here: then
// placement.place.group is kNoGroup.
std::string place_request(const Topology& topology, const Command& command, Arguments args,
                          std::vector<uint32_t>& positions, Placement& placement);

// MOVE, and COPY with DB: they touch a key of the same name that may not be where the named one is,
// while the slot moves.
bool goes_to_other_database(const Command& command, Arguments args) noexcept;

// For a SORT whose keys live at `place`: the error if one of its BY and GET patterns may lead to
// another slot, else empty. `touches_others` is set if it has one at all.
std::string check_sort_patterns(const Router& router, Arguments args, Place place,
                                bool& touches_others);

}  // namespace pikaproxy
