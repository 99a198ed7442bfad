#pragma once

#include <chrono>
#include <string>

namespace pikaproxy {

// A body that is not there yet when the handler returns: events, or an answer that waits for one.
// The connection stays in the loop thread meanwhile and holds no worker.
class HttpBodySource {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~HttpBodySource() = default;

  struct Pull {
    bool is_end = false;  // Nothing follows.
    // Ask again then, if HttpServer::wake_sources() does not come first.
    Clock::time_point again_at = Clock::time_point::max();
  };
  // Appends what there is by now to `out`, not much more than 64 KiB at once; what did not fit is
  // asked for as soon as the client has taken this. Loop thread: must not wait for anything.
  virtual Pull pull(std::string& out, Clock::time_point now) = 0;
};

}  // namespace pikaproxy
