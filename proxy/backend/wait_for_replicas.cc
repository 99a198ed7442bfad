#include "proxy/backend/wait_for_replicas.h"

#include <algorithm>

namespace pikaproxy {

ReplicaCount::ReplicaCount(std::vector<GroupIndex> groups, bool has_written)
    : groups_(std::move(groups)), has_written_(has_written), state_(groups_.size()) {}

void ReplicaCount::note(size_t number, const ReplicationReport& report) {
  Group& group = state_[number];
  if (!group.is_heard && has_written_) group.wanted = report.offset;
  group.is_heard = true;
  group.replicas = static_cast<uint64_t>(std::count_if(
      report.replicas.begin(), report.replicas.end(),
      [&](const auto& replica) { return replica.is_online && replica.offset >= group.wanted; }));
}

uint64_t ReplicaCount::acknowledged() const noexcept {
  const auto fewest =
      std::min_element(state_.begin(), state_.end(),
                       [](const Group& a, const Group& b) { return a.replicas < b.replicas; });
  return fewest == state_.end() ? 0 : fewest->replicas;
}

}  // namespace pikaproxy
