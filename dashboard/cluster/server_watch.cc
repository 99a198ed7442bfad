#include "dashboard/cluster/server_watch.h"

#include <atomic>
#include <set>
#include <utility>

#include "common/log.h"

namespace pikaproxy {

ServerWatch::ServerWatch(Options options, ServerTools tools,
                         std::function<std::vector<ServerAccess>()> servers)
    : options_(std::move(options)),
      tools_(std::move(tools)),
      servers_(std::move(servers)),
      thread_([this] { run(); }) {}

ServerWatch::~ServerWatch() {
  stop();
}

void ServerWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ServerWatch::hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
  }
  changed_.notify_all();
}

ServerWatch::Report ServerWatch::find(const Address& address) const {
  const std::lock_guard lock(mutex_);
  const auto found = reports_.find(address);
  return found == reports_.end() ? Report() : found->second;
}

void ServerWatch::run() {
  while (true) {
    const std::vector<ServerAccess> servers = servers_();
    ask_all(servers);
    std::set<Address> known;
    for (const ServerAccess& server : servers) known.insert(server.address);
    std::unique_lock lock(mutex_);
    std::erase_if(reports_, [&](const auto& entry) { return known.count(entry.first) == 0; });
    changed_.wait_for(lock, options_.interval, [this] { return stopped_ || hurried_; });
    hurried_ = false;
    if (stopped_) return;
  }
}

void ServerWatch::ask_all(const std::vector<ServerAccess>& servers) {
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < servers.size(); i = next++) {
      {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
      }
      ask(servers[i]);
    }
  };
  std::vector<std::thread> threads;
  while (threads.size() + 1 < std::min(options_.threads, servers.size())) {
    threads.emplace_back(work);
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

void ServerWatch::ask(const ServerAccess& server) {
  auto answer = tools_.ask(server, options_.timeout);
  const std::lock_guard lock(mutex_);
  Report& report = reports_[server.address];
  const Report::State state = answer ? Report::State::kUp : Report::State::kDown;
  if (state != report.state) {
    report.since = options_.now();
    if (state == Report::State::kDown) {
      log_warn("server is down", "addr", server.address.to_string(), "reason", answer.error());
    } else {
      log_info("server is up", "addr", server.address.to_string());
    }
  }
  report.state = state;
  report.error = answer ? std::string() : answer.error();
  if (answer) report.facts = std::move(*answer);
}

}  // namespace pikaproxy
