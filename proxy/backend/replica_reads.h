#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/slot.h"
#include "proxy/backend/replication_report.h"
#include "proxy/io/event_loop.h"
#include "proxy/routing/router.h"
#include "proxy/routing/topology.h"

namespace pikaproxy {

class Worker;

// How old the data of one group's replicas may be, by what they and their master have said.
//
//   master asked at t1: "I am at 500"          a replica that later says "I am at 500", or more,
//   has master asked at t2: "I am at 730"          all that was written before t1: what it answers
//   is replica: "I am at 600"                     the state of t1 or a newer one
//
// No clock but our own is looked at. Knows no sockets.
class ReplicaFreshness {
 public:
  explicit ReplicaFreshness(size_t replicas)
      : known_until_(replicas, kNever), last_offset_(replicas) {}

  // A master's answer to what it was asked at `asked`.
  void note_master(Ticks asked, const ReplicationReport& report);
  // A replica's answer. Returns why nothing may be read from it; empty if it may, as long as
  // it is fresh.
  std::string note_replica(size_t replica, const ReplicationReport& report, const Address& master);
  // It did not answer, or not as a replica does.
  void forget(size_t replica) noexcept { known_until_[replica] = kNever; }

  // It has everything that was written until then; kNever if nothing is known.
  static constexpr Ticks kNever = INT64_MIN / 2;
  Ticks known_until(size_t replica) const noexcept { return known_until_[replica]; }

 private:
  static constexpr size_t kPlacesMax = 32;

  struct Place {
    Ticks asked;
    uint64_t offset;
  };
  std::string replication_id_;
  std::deque<Place> places_;  // Of the master, oldest first.
  std::vector<Ticks> known_until_;
  std::vector<uint64_t> last_offset_;  // By replica, of its last answer.
};

// Which replica a read may go to. Asks masters and replicas for their places (INFO replication)
// while somebody wants to read from replicas, several times in the time that they may lag. One per
// worker, its thread only.
class ReplicaReads {
 public:
  explicit ReplicaReads(Worker& worker) : worker_(worker) {}

  // A new topology. A slot that was not open, or belonged to another group, is read from masters
  // until its group's replicas have what came with it.
  void install(const Topology& before, const Topology& now);
  // The replica for that client, one of GroupConfig::replicas, if one is fresh enough: the same one
  // as long as the same ones are fresh, so that a client does not see time go back.
  struct Wish {
    Ticks not_before;   // It must have everything that was written until then.
    Ticks max_lag = 0;  // It may be behind by so much; 0 = proxy.replica_max_lag.
    bool near = false;  // Only those of our own zone.
  };
  std::optional<size_t> choose(GroupIndex group, const Wish& wish, uint64_t client_id);
  // Why choose() found none, for an error.
  std::string why_none(GroupIndex group, const Wish& wish) const;
  // Follows the worker's settings and users.
  void configure();
  // When a slot came to its group, or was last not open.
  Ticks settled(uint32_t unit) const noexcept { return settled_[unit % kSlotCount]; }
  // It could not be reached, or says that it cannot answer now.
  void avoid(const Address& replica);

  // Several times a second.
  void tick();

 private:
  struct Group {
    explicit Group(size_t replicas) : freshness(replicas), problems(replicas), near(replicas) {}

    ReplicaFreshness freshness;
    std::vector<std::string> problems;  // By replica: why nothing is read from it; empty if it is.
    std::vector<bool> near;             // By replica: whether it is in our zone.
    Ticks wanted = ReplicaFreshness::kNever;  // The last read that wanted a replica.
    Ticks asked = ReplicaFreshness::kNever;
    size_t outstanding = 0;  // Answers of this round.
  };

  Ticks max_lag(const Wish& wish) const noexcept;
  void find_near(const Topology& topology);
  void ask(GroupIndex index);
  void note_answer(GroupIndex index, size_t replica, std::string_view reply);

  static constexpr Ticks kNoLag = INT64_MAX;

  Worker& worker_;
  std::vector<Group> groups_;
  Ticks shortest_lag_ = kNoLag;  // Of all that may be wished for.
  uint64_t generation_ = 0;      // Answers to questions of an older topology are dropped.
  // By slot: when it was last not open or came to its group.
  std::array<Ticks, kSlotCount> settled_{};
};

}  // namespace pikaproxy
