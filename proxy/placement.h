#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/command_table.h"
#include "proxy/router.h"

namespace pikaproxy {

struct Topology;

// Where a request goes whose keys must all live together.
struct Placement {
  Place place;                // Of its keys; without keys, only the group is set.
  bool has_keys = false;      // A script or function may have none.
  bool has_patterns = false;  // SORT: it reads keys that are made from a pattern.
};

// Finds it; `positions`: the arguments that are keys (cleared first). Returns the error that the
// client is answered with, or an empty string. An unassigned slot is no error here: then
// placement.place.group is kNoGroup.
std::string place_request(const Topology& topology, const Command& command, Arguments args,
                          std::vector<uint32_t>& positions, Placement& placement);

// For a SORT whose keys live at `place`: the error if one of its BY and GET patterns may lead to
// another slot, else empty. `has_patterns` is set if it has one at all.
std::string check_sort_patterns(const Router& router, Arguments args, Place place,
                                bool& has_patterns);

}  // namespace pikaproxy
