#pragma once

#include <array>

#include "common/command_table.h"
#include "common/name_index.h"

// Between command_table_data.cc, which has the rows, and command_table.cc, which finds them; for
// everybody else there is command_table.h.
namespace pikaproxy::command_data {

inline constexpr size_t kCommandCount = 409;
inline constexpr size_t kTopLevelCount = 257;

// Sorted by name, so that a container's subcommands ("client|id") directly follow it. (A plain
// array: its address is needed for its own initial value, which std::array does not allow.)
struct Commands {
  Command rows[kCommandCount];
};
extern const Commands kCommands;
extern const std::array<const Command*, kTopLevelCount> kTopLevel;
// From a top-level name to its place in kCommands.
extern const NameIndex<1024> kTopLevelNames;

}  // namespace pikaproxy::command_data
