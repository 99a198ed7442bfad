#pragma once

#include <cstdint>
#include <cstdlib>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/slot.h"
#include "proxy/io/event_loop.h"

namespace pikaproxy {

struct KeyQueue;
struct Task;

// A request that waits in the SlotGate: its bytes, the place it keeps in its client's order of
// replies, and what it waits for.
struct HeldRequest {
  struct Key {
    SlotId slot;
    std::string_view name;  // In the request's bytes.
  };

  HeldRequest() = default;
  ~HeldRequest() { std::free(data); }
  HeldRequest(const HeldRequest&) = delete;
  HeldRequest& operator=(const HeldRequest&) = delete;

  std::string_view bytes() const noexcept { return {data, size}; }

  Task* task = nullptr;
  uint32_t db = 0;
  char* data = nullptr;  // The request as RESP, from malloc(); whoever sends it may take it.
  size_t size = 0;
  size_t capacity = 0;
  uint64_t cost = 0;                 // What it counts in proxy.hold_max and proxy.memory_max.
  std::vector<Key> keys;             // All of them, in the order of the request.
  std::vector<std::string> scripts;  // Of a transaction: those that its EVALSHA need, by SHA-1.
  Ticks since = 0;                   // When it came.
  bool whole_slot = false;     // Touches keys that it does not name: waits until nothing moves.
  bool names_channel = false;  // Of PUBLISH: waits for locks only, since nothing has to be moved.
  bool pauses_client = false;  // Several slots: its client's later requests have to wait for it.

  // The gate's.
  std::vector<KeyQueue*> queues;  // Where it stands: its keys in migrating slots, each once.
  uint32_t unready = 0;           // Keys and locks that it still waits for.
  bool is_ready = false;          // Goes on in the next SlotGate::run().
  bool is_over = false;
  std::list<std::unique_ptr<HeldRequest>>::iterator place;
};

}  // namespace pikaproxy
