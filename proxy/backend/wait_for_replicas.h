#pragma once

#include <cstdint>
#include <vector>

#include "proxy/backend/replication_report.h"
#include "proxy/routing/router.h"

namespace pikaproxy {

// What WAIT knows: of each group that the client has written to, how far its master had got when
// WAIT came, and how many replicas have got there since.
//
// A server's own WAIT is of no use: it looks at the last write of the connection that it comes by,
// and stops that connection, which all clients of a worker share. But all writes of the client have
// been answered when WAIT begins, so the master's place of that moment lies behind them; who has
// acknowledged this place has them. That is at most a little more than needed.
class ReplicaCount {
 public:
  // `groups`: those to look at, at least one. `has_written`: the client has written to them; if not
  // there is nothing to have got, and every replica that is online counts.
  ReplicaCount(std::vector<GroupIndex> groups, bool has_written);

  const std::vector<GroupIndex>& groups() const noexcept { return groups_; }
  // A master's word; `number`: which of groups(). The first one says what is to be got.
  void note(size_t number, const ReplicationReport& report);
  // Replicas that have it all, of the group that has fewest; 0 until each has been heard.
  uint64_t acknowledged() const noexcept;

 private:
  struct Group {
    bool is_heard = false;
    uint64_t wanted = 0;
    uint64_t replicas = 0;
  };

  const std::vector<GroupIndex> groups_;
  const bool has_written_;
  std::vector<Group> state_;
};

}  // namespace pikaproxy
