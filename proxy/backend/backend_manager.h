#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/backend/backend.h"
#include "proxy/routing/topology.h"

namespace pikaproxy {

class Resolver;
class Client;
class Worker;

// A worker's Backends: one per group, database and lane, made when first needed, kept over a change
// of topology where the server stays the same. Worker's thread only.
class BackendManager {
 public:
  // `worker` and `resolver` outlive the manager.
  BackendManager(Worker& worker, Resolver& resolver) noexcept
      : worker_(worker), resolver_(resolver) {}

  // Follows a new topology: connects to new servers; those that are gone finish what is in flight.
  // is_drained() is about what had been accepted until now for the groups `to_drain`, but for what
  // clients wait for on connections of their own that `stays` names: nothing else runs on those.
  using Stays = std::function<bool(const Client& client, const Backend& backend)>;
  void install(const Topology& topology, const std::vector<GroupIndex>& to_drain,
               const Stays& stays);
  // Nothing of that can run at its server any more. Also true when a server is in no group any more
  // and the last of its backends is gone.
  bool is_drained();
  // No connection that was given up can still run something.
  bool is_settled() const;
  // For people: the first server that is_drained() waited for when it was asked last, empty if
  // none.
  std::string undrained() const;

  Backend& get(GroupIndex group, uint32_t db, Lane lane) {
    ByDatabase& of_group = shared_[static_cast<size_t>(lane)][group];
    if (db >= of_group.size()) of_group.resize(db + 1);
    std::unique_ptr<Backend>& backend = of_group[db];
    if (backend == nullptr) backend = make(group, db, lane);
    return *backend;
  }
  // The one over which the group's server is watched: it connects by itself.
  Backend& main(GroupIndex group) { return get(group, 0, Lane::kResp2); }

  // Those of that lane end when what they have been sent is over.
  void retire_lane(Lane lane);
  // To one of the group's replicas, by its place in GroupConfig::replicas. For reads only.
  Backend& replica(GroupIndex group, size_t number, uint32_t db, Lane lane);
  // The one over which the replica is watched.
  Backend& main_of_replica(GroupIndex group, size_t number) {
    return replica(group, number, 0, Lane::kResp2);
  }

  // A connection for one client alone, as WATCH and BLPOP need it; null if there are
  // backend.dedicated_max. It is the manager's, and `client` (null: nobody's, the proxy's own) its
  // user until it is
  //   returned:  nothing of the client is left on it, the next one may have it,
  //   given up:  it is closed, and whatever it still had to do at the server is stopped.
  Backend* lend(GroupIndex group, uint32_t db, Client* client);
  void take_back(Backend* backend);
  // As take_back(), but the next one may not have it.
  void discard(Backend* backend);
  void give_up(Backend* backend);
  // The backend of the new topology with the same server, or null.
  Backend* counterpart(const Backend& backend);
  // The group of the present topology with the same name, server and credentials, or kNoGroup.
  GroupIndex index_of(const GroupConfig& group) const noexcept;
  // Calls `visit` with each lent connection and its client. It may give the connection up.
  void for_each_lent(const std::function<void(Backend&, Client*)>& visit);

  // Several times a second.
  void check_timeouts();
  // Ends every connection; what is in flight is answered with an error.
  void shut();
  // No server is known to have any script any more.
  void forget_scripts();

 private:
  // Null or missing until it is needed.
  using ByDatabase = std::vector<std::unique_ptr<Backend>>;
  using ByGroup = std::vector<ByDatabase>;
  // A backend as it was when the topology came.
  struct Mark {
    const Backend* backend;
    uint64_t accepted;
  };
  struct Replica {
    GroupConfig config;                  // The group's, with the replica for its server.
    std::shared_ptr<ServerStats> stats;  // Null until it is needed.
    std::array<ByDatabase, kLaneCount> backends;
  };

  void mark(const Topology& topology, const std::vector<GroupIndex>& to_drain, const Stays& stays);
  bool is_current(const Backend& backend) const;
  bool is_known_server(const Address& server) const;
  std::unique_ptr<Backend> make(GroupIndex group, uint32_t db, Lane lane);
  void install_replicas();
  void retire(std::unique_ptr<Backend> backend);
  std::unique_ptr<Backend> end_loan(Backend* backend);
  template <typename Visit>
  void for_each(Visit visit);

  Worker& worker_;
  Resolver& resolver_;
  std::vector<GroupConfig> groups_;
  std::vector<std::shared_ptr<ServerStats>> stats_;  // By group.
  std::array<ByGroup, kLaneCount> shared_;
  std::vector<std::vector<Replica>> replicas_;  // By group.
  std::vector<std::unique_ptr<Backend>> retired_;
  struct Lent {
    std::unique_ptr<Backend> backend;
    Client* client;
  };
  std::unordered_map<const Backend*, Lent> lent_;
  std::vector<std::unique_ptr<Backend>> returned_;  // Connected and free, up to a bound.
  std::vector<Mark> draining_;
};

}  // namespace pikaproxy
