#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/command_table.h"
#include "proxy/routing/topology.h"

namespace pikaproxy {

class Rights;
class SlotGate;

// What the proxy would do with a request, were it sent now and outside of MULTI: for PROXY EXPLAIN.
struct Explanation {
  struct Part {
    GroupIndex group;
    std::vector<uint32_t> slots;      // Ascending, each once. Empty for what concerns no keys.
    std::vector<uint32_t> positions;  // Arguments that are keys.
  };

  const Command* command = nullptr;  // Null if unknown.
  std::string_view kind;             // "forward", "split", "local" ...: see kind_of().
  std::vector<Part> parts;           // What each group would get. Empty if none gets anything.
  std::string waits;                 // Why it would have to wait first; empty if not.
  std::string error;                 // What the client would be told; empty if it would be run.
};

// Who asks, and what holds at this moment. All of it outlives the call.
struct ExplainContext {
  const Topology& topology;
  const SlotGate& gate;
  bool has_slots;  // The router is the one of 1024 slots.
  uint32_t db;
  bool is_admin;
  const Rights* rights = nullptr;  // Null: nothing is kept from the user.
};

// `args`: the request, at least its name; any words whatever.
Explanation explain(const ExplainContext& context, Arguments args);

// How a command is treated, in a word: "forward" (to the one group that has its keys), "any-group",
// "split", "fan-out", "one-by-one" (SCAN, RANDOMKEY: a group at a time), "transaction", "blocking",
// "subscription", "local", "refused".
std::string_view kind_of(const Command& command, Arguments args) noexcept;

}  // namespace pikaproxy
