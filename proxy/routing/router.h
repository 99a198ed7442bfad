#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// Index of a group in the topology that the router was made for.
using GroupIndex = uint16_t;
inline constexpr GroupIndex kNoGroup = 0xFFFF;

// Where a key lives.
struct Place {
  GroupIndex group = kNoGroup;  // kNoGroup: nobody serves this key (an unassigned slot).
  // Requests may go there without asking the slot gate. False also where nobody serves the key, so
  // that the usual request needs this one look.
  bool open = false;
  uint32_t unit = 0;  // The slot, or the server on the ring: keys of one request that must
                      // stay together need the same unit.
};

// Decides where a key goes. A Router is an immutable snapshot: a new topology is a new Router.
// Called on workers' threads; never blocks, never throws, does no I/O.
class Router {
 public:
  virtual ~Router() = default;
  virtual Place place(std::string_view key) const noexcept = 0;
};

}  // namespace pikaproxy
