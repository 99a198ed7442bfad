#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "dashboard/cluster/topology.h"

namespace pikaproxy {

// A cluster of codis as `codis-admin --config-dump` writes it:
//   {"slots": [{"id", "group_id", "action": {"state", "target_id"}}, ...],
//    "group": [{"id", "servers": [{"server", "action": {"state"}, "replica_group"}, ...],
//               "promoting": {"state"}, "out_of_sync"}, ...],
//    "proxy": [...], "sentinel": {"servers": [...]}}
// The first server of a group is its master; group_id 0 is nobody. Fields that are not named here
// are ignored: versions and forks of codis add theirs.
struct CodisImport {
  ClusterTopology topology;           // Of version 0.
  std::vector<std::string> warnings;  // What was left out or needs a look, as sentences.
};

// `username` and `password` are those of all servers: the dump does not have codis' product_auth.
// Refused with kImpossible and a JSON pointer: what is no such document. With kConflict: a cluster
// in which a migration or a promotion is under way.
Outcome<CodisImport> read_codis_dump(const nlohmann::json& document, const std::string& username,
                                     const std::string& password);

// The topology after `present` with the groups and slots of `imported`; `present` itself if it has
// just these. Refused if `present` has other groups.
TopologyOutcome import_topology(const ClusterTopology& present, const ClusterTopology& imported);

}  // namespace pikaproxy
