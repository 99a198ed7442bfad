#include "proxy/backend/backend_manager.h"

#include <algorithm>
#include <utility>

#include "proxy/worker.h"

namespace pikaproxy {
namespace {

// Free connections kept for the next client, over all servers.
constexpr size_t kReturnedMax = 32;

}  // namespace

template <typename Visit>
void BackendManager::for_each(Visit visit) {
  // By index: what a visit leads to may need another database, and make its backend.
  for (ByGroup& by_group : shared_) {
    for (size_t group = 0; group < by_group.size(); ++group) {
      for (size_t db = 0; db < by_group[group].size(); ++db) {
        if (by_group[group][db] != nullptr) visit(*by_group[group][db]);
      }
    }
  }
  for (size_t group = 0; group < replicas_.size(); ++group) {
    for (size_t number = 0; number < replicas_[group].size(); ++number) {
      for (size_t lane = 0; lane < kLaneCount; ++lane) {
        for (size_t db = 0; db < replicas_[group][number].backends[lane].size(); ++db) {
          const auto& backend = replicas_[group][number].backends[lane][db];
          if (backend != nullptr) visit(*backend);
        }
      }
    }
  }
}

void BackendManager::install(const Topology& topology, const std::vector<GroupIndex>& to_drain,
                             const Stays& stays) {
  std::array<ByGroup, kLaneCount> old = std::move(shared_);
  const ByGroup& old_main = old[static_cast<size_t>(Lane::kResp2)];
  std::vector<std::shared_ptr<ServerStats>> old_stats = std::move(stats_);
  groups_ = topology.groups;
  for (ByGroup& by_group : shared_) by_group = ByGroup(groups_.size());
  stats_.clear();
  for (size_t group = 0; group < groups_.size(); ++group) {
    std::shared_ptr<ServerStats> stats;
    for (size_t before = 0; before < old_main.size(); ++before) {
      // The main one is always there, and all of a group have the same server.
      if (old_main[before].empty() || !old_main[before][0]->serves(groups_[group])) continue;
      stats = old_main[before][0]->stats();
      for (size_t lane = 0; lane < kLaneCount; ++lane) {
        shared_[lane][group] = std::exchange(old[lane][before], {});
      }
    }
    if (stats == nullptr) {
      stats = worker_.stats().add_server(groups_[group].name, groups_[group].server.to_string());
    }
    std::erase(old_stats, stats);
    stats_.push_back(std::move(stats));
  }
  for (const auto& stats : old_stats) worker_.stats().remove_server(stats);
  for (ByGroup& by_group : old) {
    for (ByDatabase& of_group : by_group) {
      for (auto& backend : of_group) retire(std::move(backend));
    }
  }
  install_replicas();
  std::erase_if(returned_, [this](std::unique_ptr<Backend>& backend) {
    if (is_current(*backend)) return false;
    backend->retire();
    retired_.push_back(std::move(backend));
    return true;
  });
  for (auto& backend : retired_) {
    for (const GroupConfig& group : groups_) {
      if (group.server == backend->group().server) backend->set_credentials(group);
    }
  }
  mark(topology, to_drain, stays);
  for (size_t group = 0; group < groups_.size(); ++group) {
    main(static_cast<GroupIndex>(group)).open();
  }
}

void BackendManager::install_replicas() {
  std::vector<std::vector<Replica>> old = std::move(replicas_);
  replicas_.clear();
  for (const GroupConfig& group : groups_) {
    std::vector<Replica>& of_group = replicas_.emplace_back();
    for (const Address& address : group.replicas) {
      Replica& replica = of_group.emplace_back();
      replica.config = group;
      replica.config.server = address;
      for (auto& old_group : old) {
        for (Replica& known : old_group) {
          if (known.stats == nullptr || !known.backends[0][0]->serves(replica.config)) continue;
          replica.stats = std::exchange(known.stats, nullptr);
          replica.backends = std::exchange(known.backends, {});
        }
      }
    }
  }
  for (auto& of_group : old) {
    for (Replica& replica : of_group) {
      if (replica.stats == nullptr) continue;
      worker_.stats().remove_server(replica.stats);
      for (ByDatabase& of_lane : replica.backends) {
        for (auto& backend : of_lane) retire(std::move(backend));
      }
    }
  }
}

void BackendManager::retire(std::unique_ptr<Backend> backend) {
  if (backend == nullptr) return;
  backend->retire();
  retired_.push_back(std::move(backend));
}

Backend& BackendManager::replica(GroupIndex group, size_t number, uint32_t db, Lane lane) {
  Replica& replica = replicas_[group][number];
  if (replica.stats == nullptr) {
    replica.stats =
        worker_.stats().add_server(replica.config.name, replica.config.server.to_string(), true);
    // The main one is always there if any is, as with masters.
    (void)main_of_replica(group, number);
  }
  ByDatabase& of_lane = replica.backends[static_cast<size_t>(lane)];
  if (db >= of_lane.size()) of_lane.resize(db + 1);
  std::unique_ptr<Backend>& backend = of_lane[db];
  if (backend == nullptr) {
    backend =
        std::make_unique<Backend>(worker_, resolver_, replica.config, db, lane, replica.stats);
  }
  return *backend;
}

void BackendManager::mark(const Topology& topology, const std::vector<GroupIndex>& to_drain,
                          const Stays& stays) {
  draining_.clear();
  if (to_drain.empty()) return;
  const auto mark_one = [&](const Backend& backend) {
    for (const GroupIndex index : to_drain) {
      const GroupConfig& group = topology.groups[index];
      // By name too: its requests may be on their way to the server that it had before.
      if (backend.group().server != group.server && backend.group().name != group.name) continue;
      draining_.push_back({&backend, backend.accepted()});
      return;
    }
  };
  for_each(mark_one);
  for (const auto& backend : retired_) mark_one(*backend);
  for (const auto& [backend, lent] : lent_) {
    // One that waits for a key of another slot may do so for ever.
    if (lent.client == nullptr || !stays(*lent.client, *backend)) mark_one(*backend);
  }
  for (const auto& backend : returned_) mark_one(*backend);
}

bool BackendManager::is_drained() {
  std::erase_if(draining_, [](const Mark& mark) {
    // Of a replica only reads are asked for: one that nobody waits for any more may come late.
    return mark.backend->answered() >= mark.accepted &&
           (mark.backend->is_settled() || mark.backend->stats()->is_replica);
  });
  return draining_.empty();
}

bool BackendManager::is_settled() const {
  const auto settled = [](const auto& backend) {
    return backend == nullptr || backend->is_settled();
  };
  for (const ByGroup& by_group : shared_) {
    for (const ByDatabase& of_group : by_group) {
      if (!std::all_of(of_group.begin(), of_group.end(), settled)) return false;
    }
  }
  return std::all_of(retired_.begin(), retired_.end(), settled);
}

std::string BackendManager::undrained() const {
  return draining_.empty() ? "" : draining_.front().backend->label();
}

bool BackendManager::is_known_server(const Address& server) const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const GroupConfig& group) { return group.server == server; });
}

std::unique_ptr<Backend> BackendManager::make(GroupIndex group, uint32_t db, Lane lane) {
  return std::make_unique<Backend>(worker_, resolver_, groups_[group], db, lane, stats_[group]);
}

bool BackendManager::is_current(const Backend& backend) const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const GroupConfig& group) { return backend.serves(group); });
}

void BackendManager::retire_lane(Lane lane) {
  for (ByDatabase& of_group : shared_[static_cast<size_t>(lane)]) {
    for (auto& backend : of_group) retire(std::move(backend));
    of_group.clear();
  }
}

Backend* BackendManager::lend(GroupIndex group, uint32_t db, Client* client) {
  const bool is_resp3 = client != nullptr && client->version() == RespVersion::k3;
  const Lane lane = is_resp3 ? Lane::kResp3 : Lane::kResp2;
  std::unique_ptr<Backend> backend;
  for (auto& free : returned_) {
    if (free->db() != db || free->lane() != lane || !free->serves(groups_[group]) ||
        !free->is_clean())
      continue;
    backend = std::move(free);
    free = std::move(returned_.back());
    returned_.pop_back();
    break;
  }
  if (backend == nullptr) {
    if (lent_.size() >= worker_.config().backend.dedicated_max) return nullptr;
    backend = make(group, db, lane);
    backend->dedicate();
  }
  Backend* lent = backend.get();
  lent_.emplace(lent, Lent{std::move(backend), client});
  return lent;
}

std::unique_ptr<Backend> BackendManager::end_loan(Backend* backend) {
  const auto lent = lent_.find(backend);
  std::unique_ptr<Backend> owned = std::move(lent->second.backend);
  lent_.erase(lent);
  owned->set_patience(0);
  return owned;
}

void BackendManager::take_back(Backend* backend) {
  std::unique_ptr<Backend> owned = end_loan(backend);
  if (owned->is_clean() && is_current(*owned) && returned_.size() < kReturnedMax) {
    returned_.push_back(std::move(owned));
  } else {
    retire(std::move(owned));
  }
}

void BackendManager::discard(Backend* backend) {
  retire(end_loan(backend));
}

void BackendManager::give_up(Backend* backend) {
  retired_.push_back(end_loan(backend));
  backend->give_up();
}

Backend* BackendManager::counterpart(const Backend& backend) {
  for (size_t group = 0; group < groups_.size(); ++group) {
    if (backend.serves(groups_[group])) return &main(static_cast<GroupIndex>(group));
  }
  return nullptr;
}

GroupIndex BackendManager::index_of(const GroupConfig& group) const noexcept {
  for (size_t i = 0; i < groups_.size(); ++i) {
    const GroupConfig& other = groups_[i];
    if (other.name == group.name && other.server == group.server && other.user == group.user &&
        other.password == group.password) {
      return static_cast<GroupIndex>(i);
    }
  }
  return kNoGroup;
}

void BackendManager::for_each_lent(const std::function<void(Backend&, Client*)>& visit) {
  std::vector<std::pair<Backend*, Client*>> all;
  for (const auto& [backend, lent] : lent_) all.emplace_back(lent.backend.get(), lent.client);
  for (const auto& [backend, client] : all) {
    if (lent_.contains(backend)) visit(*backend, client);
  }
}

void BackendManager::check_timeouts() {
  for_each([](Backend& backend) { backend.check_timeouts(); });
  for_each_lent([](Backend& backend, Client*) { backend.check_timeouts(); });
  for (size_t i = 0; i < returned_.size(); ++i) returned_[i]->check_timeouts();
  // Who is lost is of no use, and takes the place of one that would be.
  std::erase_if(returned_, [this](std::unique_ptr<Backend>& backend) {
    if (backend->is_clean()) return false;
    retire(std::move(backend));
    return true;
  });
  // By index: what it leads to may retire others.
  for (size_t i = 0; i < retired_.size(); ++i) retired_[i]->check_timeouts();
  std::erase_if(retired_, [this](std::unique_ptr<Backend>& backend) {
    if (!backend->is_idle()) return false;
    // A server that no group has any more may run what it likes.
    if (!backend->is_settled() && !backend->stats()->is_replica &&
        is_known_server(backend->group().server)) {
      return false;
    }
    std::erase_if(draining_, [&](const Mark& mark) { return mark.backend == backend.get(); });
    backend->shut();
    worker_.loop().destroy_later(std::move(backend));
    return true;
  });
}

void BackendManager::shut() {
  for_each([](Backend& backend) { backend.shut(); });
  for_each_lent([](Backend& backend, Client*) { backend.shut(); });
  for (auto& backend : returned_) backend->shut();
  for (size_t i = 0; i < retired_.size(); ++i) retired_[i]->shut();
}

void BackendManager::forget_scripts() {
  for_each([](Backend& backend) { backend.forget_scripts(); });
}

}  // namespace pikaproxy
