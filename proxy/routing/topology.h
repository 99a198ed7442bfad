#pragma once

#include <memory>
#include <vector>

#include "common/config.h"
#include "common/result.h"
#include "common/slot_table.h"
#include "proxy/routing/router.h"

namespace pikaproxy {

// What a worker routes by: an immutable snapshot, shared by all workers, replaced as a whole.
struct Topology {
  uint64_t epoch = 0;  // Counts this process' topologies; SlotTable::epoch is another number.
  std::shared_ptr<const Router> router;
  std::vector<GroupConfig> groups;         // By GroupIndex.
  std::vector<GroupIndex> serving_groups;  // Those that some key can live in: where fan-outs go.
  // The table it was made from; null for the static topology of the configuration file.
  std::shared_ptr<const SlotTable> table;
  // Groups with a slot that is locked or migrating away.
  std::vector<GroupIndex> leaving_groups;
};

// The static topology of a checked configuration. Errors: what KetamaRouter::make() says.
Result<std::shared_ptr<const Topology>> make_topology(const Config& config, uint64_t epoch);

// The topology of a table, which has passed check_table(). A group's index is the one it has there.
std::shared_ptr<const Topology> make_topology(std::shared_ptr<const SlotTable> table,
                                              uint64_t epoch);

// Empty if a proxy can follow the table, else why not: an index of a group that is not there, a
// migration without a target or to the group it comes from, more groups than SCAN can number.
std::string check_table(const SlotTable& table);

}  // namespace pikaproxy
