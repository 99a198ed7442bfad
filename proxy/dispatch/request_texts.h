#pragma once

#include <string>

#include "common/command_table.h"

namespace pikaproxy {

// What a client is told of a request that Redis would not run either. Texts as Redis 7.0 has them.

inline constexpr std::string_view kCrossSlot =
    "CROSSSLOT Keys in request don't hash to the same slot";
inline constexpr std::string_view kNoSlotServed = "CLUSTERDOWN no slot is assigned";

std::string unknown_command(Arguments args);
std::string unknown_subcommand(const Command& container, std::string_view name);
std::string wrong_arity(const Command& command);
// The user may not run it.
std::string not_permitted(const Command& command);
inline constexpr std::string_view kKeyNotPermitted =
    "NOPERM this user has no permissions to access one of the keys used as arguments";
inline constexpr std::string_view kChannelNotPermitted =
    "NOPERM this user has no permissions to access one of the channels used as arguments";
std::string slot_not_assigned(uint32_t slot);

}  // namespace pikaproxy
