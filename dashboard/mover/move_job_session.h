#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dashboard/mover/move_job.h"

namespace pikaproxy {

// The answer to what still waits when a job ends.
inline constexpr std::string_view kShuttingDown = "The move engine is shutting down.";

// What one thread moves keys with.
class MoveJob::Session {
 public:
  explicit Session(MoveJob& job)
      : links(job.state_),
        mover(make_mover(links, [&job](const std::string& key) { return job.is_wanted(key); })) {}

  MoveLinks links;
  std::unique_ptr<Mover> mover;
};

}  // namespace pikaproxy
