#include "proxy/backend/replica_reads.h"

#include <algorithm>
#include <utility>

#include "common/glob.h"
#include "common/log.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kInfo = "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
// Masters and replicas are asked so many times in the shortest replica_max_lag, but not more often
// than kEveryMin and at least every kEveryMax.
constexpr int64_t kAsksPerLag = 4;
constexpr Ticks kEveryMin = 100'000;
constexpr Ticks kEveryMax = 1'000'000;
// Asked on for so long after the last read that wanted it.
constexpr Ticks kWantedFor = 60'000'000;

}  // namespace

void ReplicaFreshness::note_master(Ticks asked, const ReplicationReport& report) {
  if (report.replication_id != replication_id_ ||
      (!places_.empty() && report.offset < places_.back().offset)) {
    // Another history: what replicas say of the old one means nothing.
    places_.clear();
    std::fill(known_until_.begin(), known_until_.end(), kNever);
    std::fill(last_offset_.begin(), last_offset_.end(), 0);
    replication_id_ = report.replication_id;
  }
  if (!places_.empty() && places_.back().offset == report.offset) {
    // Nothing was written since: one place, known from the newest question.
    places_.back().asked = asked;
    return;
  }
  if (places_.size() == kPlacesMax) places_.pop_front();
  places_.push_back({asked, report.offset});
}

std::string ReplicaFreshness::note_replica(size_t replica, const ReplicationReport& report,
                                           const Address& master) {
  std::string problem;
  if (report.is_master) {
    problem = "is a master itself";
  } else if (!report.link_up) {
    problem = "has lost its master";
  } else if (report.replication_id != replication_id_) {
    problem = "has another master's data";
  } else if (replication_id_.empty() && report.master != master.to_string()) {
    // Servers that do not name their history: codis-server, Redis before 4.
    problem = "follows " + report.master;
  }
  const uint64_t before = std::exchange(last_offset_[replica], problem.empty() ? report.offset : 0);
  if (!problem.empty()) {
    forget(replica);
    return problem;
  }
  // Where it was when it was asked the last time, it has applied since.
  const uint64_t offset = report.applies_later ? std::min(before, report.offset) : report.offset;
  for (auto place = places_.rbegin(); place != places_.rend(); ++place) {
    if (offset < place->offset) continue;
    known_until_[replica] = std::max(known_until_[replica], place->asked);
    break;
  }
  return {};
}

void ReplicaReads::install(const Topology& before, const Topology& now) {
  const Ticks time = worker_.loop().now();
  if (now.table != nullptr) {
    const auto owner = [](const Topology& topology, size_t slot) -> const TableGroup* {
      if (topology.table == nullptr) return nullptr;
      const SlotEntry& entry = topology.table->slots[slot];
      return entry.state == SlotState::kNormal ? &topology.table->groups[entry.group] : nullptr;
    };
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      const TableGroup* old_owner = owner(before, slot);
      const TableGroup* new_owner = owner(now, slot);
      if (old_owner == nullptr || new_owner == nullptr || old_owner->id != new_owner->id ||
          old_owner->master != new_owner->master) {
        settled_[slot] = time;
      }
    }
  } else if (&before != &now) {
    settled_.fill(time);
  }
  ++generation_;
  std::vector<Group> old = std::exchange(groups_, {});
  for (const GroupConfig& group : now.groups) {
    const auto same =
        std::find_if(before.groups.begin(), before.groups.end(), [&](const GroupConfig& other) {
          return other.name == group.name && other.server == group.server &&
                 other.replicas == group.replicas;
        });
    const auto index = static_cast<size_t>(same - before.groups.begin());
    if (index >= old.size()) {
      groups_.emplace_back(group.replicas.size());
      continue;
    }
    // What is known of its replicas holds on; answers that are on their way will be dropped.
    groups_.push_back(std::move(old[index]));
    groups_.back().outstanding = 0;
  }
  find_near(now);
}

void ReplicaReads::find_near(const Topology& topology) {
  const Config& config = worker_.config();
  const auto zone =
      std::find_if(config.zones.begin(), config.zones.end(),
                   [&](const ZoneConfig& each) { return each.name == config.proxy.zone; });
  const bool is_known = zone != config.zones.end() && !config.proxy.zone.empty();
  for (size_t index = 0; index < groups_.size(); ++index) {
    const std::vector<Address>& replicas = topology.groups[index].replicas;
    for (size_t replica = 0; replica < replicas.size(); ++replica) {
      const std::string address = replicas[replica].to_string();
      groups_[index].near[replica] =
          is_known &&
          std::any_of(zone->servers.begin(), zone->servers.end(),
                      [&](const std::string& pattern) { return glob_matches(pattern, address); });
    }
  }
}

void ReplicaReads::configure() {
  const Config& config = worker_.config();
  Milliseconds shortest = config.proxy.replica_max_lag;
  const auto note = [&shortest](const ReadPolicy& policy) {
    shortest = std::min(shortest, policy.replica_max_lag.value_or(shortest));
  };
  for (const ListenerConfig& listener : config.listeners) note(listener.reads);
  for (const auto& [name, user] : worker_.users().all()) note(user->config.reads);
  shortest_lag_ = shortest.count() * 1000;
  find_near(worker_.topology());
}

Ticks ReplicaReads::max_lag(const Wish& wish) const noexcept {
  return wish.max_lag != 0 ? wish.max_lag : worker_.config().proxy.replica_max_lag.count() * 1000;
}

std::optional<size_t> ReplicaReads::choose(GroupIndex index, const Wish& wish, uint64_t client_id) {
  Group& group = groups_[index];
  const Ticks now = worker_.loop().now();
  group.wanted = now;
  size_t fresh = 0;
  const size_t count = group.problems.size();
  const Ticks oldest = std::max(wish.not_before, now - max_lag(wish));
  const auto is_usable = [&](size_t replica) {
    return group.freshness.known_until(replica) >= oldest && (!wish.near || group.near[replica]);
  };
  for (size_t replica = 0; replica < count; ++replica) fresh += is_usable(replica);
  if (fresh == 0) return std::nullopt;
  size_t skip = client_id % fresh;
  for (size_t replica = 0;; ++replica) {
    if (is_usable(replica) && skip-- == 0) return replica;
  }
}

std::string ReplicaReads::why_none(GroupIndex index, const Wish& wish) const {
  const Group& group = groups_[index];
  const GroupConfig& config = worker_.topology().groups[index];
  const std::string text = "no replica of group " + config.name + " can be read from: ";
  if (config.replicas.empty()) return text + "it has none";
  for (size_t replica = 0; replica < config.replicas.size(); ++replica) {
    if (!group.problems[replica].empty()) {
      return text + config.replicas[replica].to_string() + " " + group.problems[replica];
    }
  }
  const bool is_fresh = group.freshness.known_until(0) + max_lag(wish) >= worker_.loop().now();
  return text + (is_fresh && group.freshness.known_until(0) < wish.not_before
                     ? "none is known to have what was written last; try again"
                     : "none is known to be fresh enough (replica_max_lag)");
}

void ReplicaReads::avoid(const Address& replica) {
  const std::vector<GroupConfig>& configs = worker_.topology().groups;
  for (size_t index = 0; index < configs.size(); ++index) {
    for (size_t number = 0; number < configs[index].replicas.size(); ++number) {
      if (configs[index].replicas[number] == replica) groups_[index].freshness.forget(number);
    }
  }
}

void ReplicaReads::tick() {
  const ProxyConfig& config = worker_.config().proxy;
  const Ticks now = worker_.loop().now();
  const Ticks every = std::clamp<Ticks>(shortest_lag_ / kAsksPerLag, kEveryMin, kEveryMax);
  for (size_t index = 0; index < groups_.size(); ++index) {
    Group& group = groups_[index];
    const bool is_wanted = config.read_from != ReadFrom::kMaster || now - group.wanted < kWantedFor;
    if (group.problems.empty() || !is_wanted || group.outstanding > 0) continue;
    if (now - group.asked >= every) ask(static_cast<GroupIndex>(index));
  }
}

void ReplicaReads::ask(GroupIndex index) {
  Group& group = groups_[index];
  group.asked = worker_.loop().now();
  ++group.outstanding;
  worker_.ask(worker_.backends().main(index), kInfo,
              [this, index, generation = generation_, asked = group.asked](std::string_view reply) {
                if (generation != generation_) return;
                Group& group = groups_[index];
                --group.outstanding;
                const auto report = parse_replication(reply);
                if (!report || !report->is_master) return;
                group.freshness.note_master(asked, *report);
                // Only now: what has been written meanwhile is on its way to them.
                group.outstanding += group.problems.size();
                for (size_t replica = 0; replica < group.problems.size(); ++replica) {
                  worker_.ask(worker_.backends().main_of_replica(index, replica), kInfo,
                              [this, index, replica, generation](std::string_view answer) {
                                if (generation != generation_) return;
                                note_answer(index, replica, answer);
                              });
                }
              });
}

void ReplicaReads::note_answer(GroupIndex index, size_t replica, std::string_view reply) {
  Group& group = groups_[index];
  --group.outstanding;
  const GroupConfig& config = worker_.topology().groups[index];
  std::string problem = "does not tell how far it is";
  if (const auto report = parse_replication(reply)) {
    problem = group.freshness.note_replica(replica, *report, config.server);
  } else {
    group.freshness.forget(replica);
    if (reply.starts_with('-')) problem = "cannot be reached";
  }
  if (problem == group.problems[replica]) return;
  if (problem.empty()) {
    log_info("reading from replica", "server", config.replicas[replica].to_string(), "group",
             config.name);
  } else {
    log_warn("not reading from replica", "server", config.replicas[replica].to_string(), "group",
             config.name, "why", problem);
  }
  group.problems[replica] = std::move(problem);
}

}  // namespace pikaproxy
