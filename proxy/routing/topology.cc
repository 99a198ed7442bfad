#include "proxy/routing/topology.h"

#include <algorithm>
#include <cassert>

#include "proxy/client/gathering.h"
#include "proxy/routing/ketama_router.h"
#include "proxy/routing/slot_router.h"

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
  for (size_t i = 0; i < config.groups.size(); ++i) {
    const auto group = static_cast<GroupIndex>(i);
    for (const SlotRange& range : config.groups[i].slots) {
      std::fill(owners.begin() + range.first, owners.begin() + range.last + 1,
                SlotRouter::Owner{group, true});
    }
    if (!config.groups[i].slots.empty()) topology->serving_groups.push_back(group);
  }
  topology->router = std::make_shared<SlotRouter>(owners);
  return std::shared_ptr<const Topology>(std::move(topology));
}

std::shared_ptr<const Topology> make_topology(std::shared_ptr<const SlotTable> table,
                                              uint64_t epoch) {
  auto topology = std::make_shared<Topology>();
  topology->epoch = epoch;
  for (const TableGroup& group : table->groups) {
    GroupConfig& config = topology->groups.emplace_back();
    config.name = group.name;
    config.server = group.master;
    config.user = group.user;
    config.password = group.password;
    config.replicas = group.replicas;
  }
  std::vector<bool> serves(table->groups.size());
  std::vector<bool> is_left(table->groups.size());
  SlotRouter::Owners owners;
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const SlotEntry& entry = table->slots[slot];
    switch (entry.state) {
      case SlotState::kUnassigned:
        continue;
      case SlotState::kNormal:
        owners[slot] = {entry.group, true};
        break;
      case SlotState::kLocked:
        owners[slot] = {entry.group, false};
        is_left[entry.group] = true;
        break;
      case SlotState::kMigrating:
        owners[slot] = {entry.target, false};
        is_left[entry.group] = true;
        serves[entry.target] = true;
        break;
    }
    serves[entry.group] = true;
  }
  for (size_t i = 0; i < table->groups.size(); ++i) {
    if (serves[i]) topology->serving_groups.push_back(static_cast<GroupIndex>(i));
    if (is_left[i]) topology->leaving_groups.push_back(static_cast<GroupIndex>(i));
  }
  topology->router = std::make_shared<SlotRouter>(owners);
  topology->table = std::move(table);
  return topology;
}

std::string check_table(const SlotTable& table) {
  if (table.groups.size() > kScanGroups) {
    return "the table has " + std::to_string(table.groups.size()) + " groups; a proxy takes " +
           std::to_string(kScanGroups);
  }
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const SlotEntry& entry = table.slots[slot];
    if (entry.state == SlotState::kUnassigned) continue;
    const bool migrates = entry.state == SlotState::kMigrating;
    if (entry.group >= table.groups.size() || (migrates && entry.target >= table.groups.size())) {
      return "slot " + std::to_string(slot) + " names a group that the table does not have";
    }
    if (migrates && entry.target == entry.group) {
      return "slot " + std::to_string(slot) + " migrates to the group it is in";
    }
  }
  return {};
}

}  // namespace pikaproxy
