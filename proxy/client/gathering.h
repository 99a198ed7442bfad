#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proxy/backend/lane.h"
#include "proxy/client/task.h"
#include "proxy/routing/router.h"

namespace pikaproxy {

// A request that became several, or that needs a look at the reply before the client gets it. The
// parts are Tasks of their own; the last reply that comes in decides what happens next.
struct Gathering {
  enum class Kind : uint8_t {
    kMget,           // Arrays of values, put back into the order of the request's keys.
    kSum,            // Integers, added.
    kAllOk,          // Every part must succeed; the first error is the reply.
    kKill,           // OK if one is; else whatever says more than that nothing runs there.
    kFunctionStats,  // Of the group where a function runs.
    kConcat,         // Arrays, joined.
    kScriptExists,   // Arrays of 0 and 1: 1 where all parts say so, or the proxy has the script.
    kScan,           // One part: the cursor in it becomes ours.
    kRandomKey,      // One part at a time, until a group has a key.
    kEvalsha,        // One part: NOSCRIPT is repaired once.
    kTracking,       // CLIENT TRACKING ON: whether every server can.
    kPublish,        // One part: the number of receivers in it becomes ours.
    kOwn,            // One part, a request of the proxy's own: no parent, the answer to `answer`.
  };

  Kind kind = Kind::kAllOk;
  Task* parent = nullptr;             // The client's task.
  uint32_t outstanding = 0;           // Parts without a reply.
  std::vector<Task*> parts;           // Owned, until the parent is answered.
  std::vector<uint16_t> part_of_key;  // kMget: which part has the n-th key.
  std::vector<bool> known_scripts;    // kScriptExists: which of them the proxy has.
  uint32_t db = 0;
  Lane lane = Lane::kResp2;             // The client's.
  uint64_t epoch = 0;                   // Of the topology that group numbers below belong to.
  GroupIndex group = 0;                 // kScan, kEvalsha: where the part went.
  std::vector<GroupIndex> groups_left;  // kRandomKey: not asked yet.
  std::string request;    // The whole one: kEvalsha, flushes, from_replicas. kPublish: the channel.
  bool repaired = false;  // kEvalsha.
  bool is_flush = false;  // FLUSHALL, FLUSHDB: may have to go round twice.
  bool second_round = false;   // It has begun.
  bool from_replicas = false;  // Some of the parts may have to be asked of masters.
  bool was_moving = false;     // Slots were moving when it was sent.
  std::function<void(std::string_view reply)> answer;  // kOwn.
};

// The client's reply from the parts' replies, all of which are there. Appended to `out`.
// For the kinds that need nothing but the replies (all but kScan, kRandomKey, kEvalsha, kTracking,
// kPublish and kOwn).
void merge_replies(const Gathering& gathering, std::string& out);

// Appends the elements of an array reply of keys, but for Pika's own: it shows the sets in which it
// keeps which keys a slot has. Returns how many were appended; -1 if it is no array.
//   Source: Pika 4.0's KEYS and SCAN with slotmigrate set, and include/pika_slot_command.h.
int64_t append_user_keys(std::string_view array, std::string& out);

// A SCAN cursor of ours holds the server's cursor and the number of the group it belongs to:
//   cursor = server_cursor * 1024 + group
// Hence 0 is the start and, as an answer, the end. Server cursors index a hash table; one beyond
// 2^54 is answered with an error.
inline constexpr uint64_t kScanGroups = 1024;

}  // namespace pikaproxy
