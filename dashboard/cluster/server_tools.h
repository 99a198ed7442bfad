#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <vector>

#include "dashboard/mover/server_survey.h"

namespace pikaproxy {

// The questions of dashboard/mover/server_survey.h, as something that tests can answer.
struct ServerTools {
  std::function<Result<ServerFacts>(const ServerAccess&, std::chrono::milliseconds)> ask;
  std::function<Result<MoverKind>(const ServerFacts& source, const ServerFacts& target)> choose;
  std::function<Result<std::map<SlotId, SlotCount>>(const ServerAccess&,
                                                    const std::vector<SlotId>&)>
      count;
  std::function<Result<uint64_t>(const ServerAccess&, const std::vector<SlotId>&)> purge;
  std::function<Result<bool>(const ServerAccess&, const Address* master, std::chrono::milliseconds)>
      replicate;
};

// The real ones.
ServerTools real_server_tools();

}  // namespace pikaproxy
