#pragma once

#include "dashboard/cluster/cluster_state.h"
#include "dashboard/store/database.h"

namespace pikaproxy {

// A ClusterState in the store (tables groups, servers, slots, migrations, migration_slots, plans,
// promotions). Both throw StoreError.

// An empty store gives an empty topology of version 1. Also throws when what is there contradicts
// itself, which means that somebody else has written to the file.
ClusterState load_cluster(Database& database);

// Writes what differs, in one transaction: afterwards the store has `after`, or `before` if this
// throws.
void save_cluster(Database& database, const ClusterState& before, const ClusterState& after);

}  // namespace pikaproxy
