#include "proxy/topology.h"

#include <algorithm>
#include <cassert>

#include "proxy/ketama_router.h"
#include "proxy/slot_router.h"

namespace pikaproxy {

Result<std::shared_ptr<const Topology>> make_topology(const Config& config, uint64_t epoch) {
  auto topology = std::make_shared<Topology>();
  topology->epoch = epoch;
  topology->groups = config.groups;
  if (config.proxy.router == RouterKind::kKetama && !config.groups.empty()) {
    auto router = KetamaRouter::make(config.ketama, config.groups);
    if (!router) return Error{router.error()};
    topology->router = std::move(*router);
    for (size_t i = 0; i < config.groups.size(); ++i) {
      topology->serving_groups.push_back(static_cast<GroupIndex>(i));
    }
    return std::shared_ptr<const Topology>(std::move(topology));
  }
  SlotRouter::Owners owners;
  owners.fill(kNoGroup);
  for (size_t i = 0; i < config.groups.size(); ++i) {
    const auto group = static_cast<GroupIndex>(i);
    for (const SlotRange& range : config.groups[i].slots) {
      std::fill(owners.begin() + range.first, owners.begin() + range.last + 1, group);
    }
    if (!config.groups[i].slots.empty()) topology->serving_groups.push_back(group);
  }
  topology->router = std::make_shared<SlotRouter>(owners);
  return std::shared_ptr<const Topology>(std::move(topology));
}

}  // namespace pikaproxy
