#include "proxy/backend_manager.h"

#include "proxy/worker.h"

namespace pikaproxy {

void BackendManager::install(const Topology& topology, uint32_t databases) {
  std::vector<std::unique_ptr<Backend>> old = std::move(backends_);
  std::vector<std::shared_ptr<ServerStats>> old_stats = std::move(stats_);
  groups_ = topology.groups;
  databases_ = databases;
  backends_.clear();
  backends_.resize(groups_.size() * databases_);
  stats_.clear();
  for (size_t group = 0; group < groups_.size(); ++group) {
    std::shared_ptr<ServerStats> stats;
    for (auto& backend : old) {
      if (backend == nullptr || !backend->serves(groups_[group]) || backend->db() >= databases_) {
        continue;
      }
      stats = backend->stats();
      const size_t index = group * databases_ + backend->db();
      backends_[index] = std::move(backend);
    }
    if (stats == nullptr) {
      stats = worker_.stats().add_server(groups_[group].name, groups_[group].server.to_string());
    }
    std::erase(old_stats, stats);
    stats_.push_back(std::move(stats));
  }
  for (const auto& stats : old_stats) worker_.stats().remove_server(stats);
  for (auto& backend : old) {
    if (backend == nullptr) continue;
    backend->retire();
    retired_.push_back(std::move(backend));
  }
  for (size_t group = 0; group < groups_.size(); ++group) {
    get(static_cast<GroupIndex>(group), 0).open();
  }
}

std::unique_ptr<Backend> BackendManager::make(GroupIndex group, uint32_t db) {
  return std::make_unique<Backend>(worker_, resolver_, groups_[group], db, stats_[group]);
}

void BackendManager::check_timeouts() {
  for (auto& backend : backends_) {
    if (backend != nullptr) backend->check_timeouts();
  }
  for (auto& backend : retired_) backend->check_timeouts();
  std::erase_if(retired_, [this](std::unique_ptr<Backend>& backend) {
    if (!backend->is_idle()) return false;
    backend->shut();
    worker_.loop().destroy_later(std::move(backend));
    return true;
  });
}

void BackendManager::shut() {
  for (auto* list : {&backends_, &retired_}) {
    for (auto& backend : *list) {
      if (backend != nullptr) backend->shut();
    }
  }
}

bool BackendManager::is_idle() const noexcept {
  for (const auto& backend : backends_) {
    if (backend != nullptr && !backend->is_idle()) return false;
  }
  return true;
}

void BackendManager::forget_scripts() noexcept {
  for (auto& backend : backends_) {
    if (backend != nullptr) backend->forget_scripts();
  }
}

}  // namespace pikaproxy
