#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dashboard/cluster/server_tools.h"

namespace pikaproxy {

// Asks every server how it does, again and again, so that who wants to know need not wait for one
// that hangs. Any thread.
class ServerWatch {
 public:
  struct Report {
    enum class State : uint8_t { kUnknown, kUp, kDown };
    State state = State::kUnknown;  // Unknown: not asked yet.
    ServerFacts facts;              // The last that were had, also when it is down now.
    std::string error;              // Why it is down.
    int64_t since = 0;              // Of the state; milliseconds since 1970 UTC.
  };
  struct Options {
    std::chrono::milliseconds interval{2'000};
    std::chrono::milliseconds timeout{1'500};
    size_t threads = 4;
    std::function<int64_t()> now;
  };

  // `servers` says whom to watch; asked again each round, without locks held.
  ServerWatch(Options options, ServerTools tools,
              std::function<std::vector<ServerAccess>()> servers);
  ~ServerWatch();
  ServerWatch(const ServerWatch&) = delete;
  ServerWatch& operator=(const ServerWatch&) = delete;

  Report find(const Address& address) const;
  // The next round begins now.
  void hurry();
  void stop();

 private:
  void run();
  void ask(const ServerAccess& server);
  // Calls ask() for all, `threads` at a time.
  void ask_all(const std::vector<ServerAccess>& servers);

  const Options options_;
  const ServerTools tools_;
  const std::function<std::vector<ServerAccess>()> servers_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  bool stopped_ = false;
  bool hurried_ = false;
  std::map<Address, Report> reports_;

  std::thread thread_;
};

}  // namespace pikaproxy
