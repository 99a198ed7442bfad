#pragma once

#include <memory>
#include <vector>

#include "common/config.h"
#include "common/result.h"
#include "proxy/router.h"

namespace pikaproxy {

// What a worker routes by: an immutable snapshot, shared by all workers, replaced as a whole.
struct Topology {
  uint64_t epoch = 0;
  std::shared_ptr<const Router> router;
  std::vector<GroupConfig> groups;         // By GroupIndex.
  std::vector<GroupIndex> serving_groups;  // Those that some key can live in: where fan-outs go.
};

// The static topology of a checked configuration. Errors: what KetamaRouter::make() says.
Result<std::shared_ptr<const Topology>> make_topology(const Config& config, uint64_t epoch);

}  // namespace pikaproxy
