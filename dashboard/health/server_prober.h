#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "dashboard/health/server_status_board.h"
#include "dashboard/mover/server_link.h"
#include "dashboard/mover/stop_signal.h"

namespace pikaproxy {

// Asks every server how it does, again and again, and writes the answers onto a board. Each server
// has a link that is kept, so a question costs it one INFO. Threads are made as servers need them,
// so that one that hangs holds up its own questions only.
class ServerProber {
 public:
  struct Options {
    std::chrono::milliseconds interval{1000};  // From the begin of a question to the next.
    std::chrono::milliseconds timeout{1000};   // Of a question.
    size_t threads_max = 64;  // Only more hanging servers than these hold up others.
  };
  // `targets` is called on a thread of the prober's, several times a second; what it no longer
  // names leaves the board. `board` outlives the prober. `now`: milliseconds since 1970.
  ServerProber(Options options, std::function<std::vector<ServerAccess>()> targets,
               ServerStatusBoard& board, std::function<int64_t()> now);
  ~ServerProber();
  ServerProber(const ServerProber&) = delete;
  ServerProber& operator=(const ServerProber&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  struct Target {
    ServerAccess access;
    Clock::time_point due{};
    bool is_wanted = true;
    bool is_busy = false;  // A worker has it; it alone uses the rest.
    std::unique_ptr<ServerLink> link;
    ServerFacts abilities;    // Commands it has, asked for with each new link.
    std::string master_name;  // That master_ip belongs to.
    std::string master_ip;
  };

  void schedule();
  void take_targets();
  void work();
  void probe(Target& target);
  Result<ServerFacts> ask(Target& target);

  const Options options_;
  const std::function<std::vector<ServerAccess>()> wanted_;
  ServerStatusBoard& board_;
  const std::function<int64_t()> now_;
  StopSignal stop_;

  std::mutex mutex_;
  std::condition_variable due_;
  // Guarded by mutex_.
  std::map<Address, std::shared_ptr<Target>> targets_;
  std::vector<std::thread> workers_;
  size_t idle_workers_ = 0;

  std::thread scheduler_;
};

}  // namespace pikaproxy
