#include "proxy/backend_manager.h"

#include <algorithm>
#include <utility>

#include "proxy/worker.h"

namespace pikaproxy {

template <typename Visit>
void BackendManager::for_each(Visit visit) {
  // By index: what a visit leads to may need another database, and make its backend.
  for (size_t group = 0; group < backends_.size(); ++group) {
    for (size_t db = 0; db < backends_[group].size(); ++db) {
      if (backends_[group][db] != nullptr) visit(*backends_[group][db]);
    }
  }
}

void BackendManager::install(const Topology& topology) {
  std::vector<std::vector<std::unique_ptr<Backend>>> old = std::move(backends_);
  std::vector<std::shared_ptr<ServerStats>> old_stats = std::move(stats_);
  groups_ = topology.groups;
  backends_.clear();
  backends_.resize(groups_.size());
  stats_.clear();
  for (size_t group = 0; group < groups_.size(); ++group) {
    std::shared_ptr<ServerStats> stats;
    for (auto& of_group : old) {
      // Database 0 is always there, and all databases of a group have the same server.
      if (of_group.empty() || !of_group[0]->serves(groups_[group])) continue;
      stats = of_group[0]->stats();
      backends_[group] = std::exchange(of_group, {});
    }
    if (stats == nullptr) {
      stats = worker_.stats().add_server(groups_[group].name, groups_[group].server.to_string());
    }
    std::erase(old_stats, stats);
    stats_.push_back(std::move(stats));
  }
  for (const auto& stats : old_stats) worker_.stats().remove_server(stats);
  for (auto& of_group : old) {
    for (auto& backend : of_group) {
      if (backend == nullptr) continue;
      backend->retire();
      retired_.push_back(std::move(backend));
    }
  }
  for (auto& backend : retired_) {
    for (const GroupConfig& group : groups_) {
      if (group.server == backend->group().server) backend->set_credentials(group);
    }
  }
  mark_leaving(topology);
  for (size_t group = 0; group < groups_.size(); ++group) {
    get(static_cast<GroupIndex>(group), 0).open();
  }
}

void BackendManager::mark_leaving(const Topology& topology) {
  draining_.clear();
  const auto mark = [&](const Backend& backend) {
    for (const GroupIndex index : topology.leaving_groups) {
      const GroupConfig& group = topology.groups[index];
      // By name too: its requests may be on their way to the server that it had before.
      if (backend.group().server != group.server && backend.group().name != group.name) continue;
      draining_.push_back({&backend, backend.accepted()});
      return;
    }
  };
  for_each(mark);
  for (const auto& backend : retired_) mark(*backend);
}

bool BackendManager::is_drained() {
  std::erase_if(draining_, [](const Mark& mark) {
    return mark.backend->answered() >= mark.accepted && mark.backend->is_settled();
  });
  return draining_.empty();
}

std::string BackendManager::undrained() const {
  return draining_.empty() ? "" : draining_.front().backend->label();
}

bool BackendManager::is_known_server(const Address& server) const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const GroupConfig& group) { return group.server == server; });
}

std::unique_ptr<Backend> BackendManager::make(GroupIndex group, uint32_t db) {
  return std::make_unique<Backend>(worker_, resolver_, groups_[group], db, stats_[group]);
}

void BackendManager::check_timeouts() {
  for_each([](Backend& backend) { backend.check_timeouts(); });
  for (auto& backend : retired_) backend->check_timeouts();
  std::erase_if(retired_, [this](std::unique_ptr<Backend>& backend) {
    if (!backend->is_idle()) return false;
    // A server that no group has any more may run what it likes.
    if (!backend->is_settled() && is_known_server(backend->group().server)) return false;
    std::erase_if(draining_, [&](const Mark& mark) { return mark.backend == backend.get(); });
    backend->shut();
    worker_.loop().destroy_later(std::move(backend));
    return true;
  });
}

void BackendManager::shut() {
  for_each([](Backend& backend) { backend.shut(); });
  for (auto& backend : retired_) backend->shut();
}

void BackendManager::forget_scripts() {
  for_each([](Backend& backend) { backend.forget_scripts(); });
}

}  // namespace pikaproxy
