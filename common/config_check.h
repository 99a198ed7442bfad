#pragma once

#include <string>
#include <vector>

#include "common/config.h"
#include "common/config_origin.h"

namespace pikaproxy {

// Compares options with each other: what no single option's rule can see.
//   Shape:   each option by itself is within its rule (set_option()).
//   Result:  problems stop a start; warnings are sentences for the log of a configuration that
//   works
//            but may surprise. Options that `origins` marks as invalid are left out.
void check_config(const Config& config, const Origins& origins, Problems& problems,
                  std::vector<std::string>& warnings);

}  // namespace pikaproxy
