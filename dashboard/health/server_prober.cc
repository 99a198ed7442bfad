#include "dashboard/health/server_prober.h"

#include <algorithm>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <utility>

#include "common/log.h"

namespace pikaproxy {
namespace {

constexpr char kLinkName[] = "pikaproxy-health";
constexpr std::chrono::milliseconds kLookInterval(100);

// The first address of a name; the name itself if it is one already; empty if it has none.
std::string ip_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  char text[INET6_ADDRSTRLEN] = {};
  if (found->ai_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr, text,
                sizeof text);
  } else if (found->ai_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(found->ai_addr)->sin6_addr, text,
                sizeof text);
  }
  ::freeaddrinfo(found);
  return text;
}

}  // namespace

ServerProber::ServerProber(Options options, std::function<std::vector<ServerAccess>()> targets,
                           ServerStatusBoard& board, std::function<int64_t()> now)
    : options_(options), wanted_(std::move(targets)), board_(board), now_(std::move(now)) {
  scheduler_ = std::thread([this] { schedule(); });
}

ServerProber::~ServerProber() {
  stop_.raise();
  scheduler_.join();
  {
    // A worker between its look at the signal and its wait holds the mutex.
    const std::lock_guard lock(mutex_);
  }
  due_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ServerProber::schedule() {
  do {
    take_targets();
  } while (stop_.sleep_for(kLookInterval));
}

void ServerProber::take_targets() {
  const std::vector<ServerAccess> wanted = wanted_();
  std::set<Address> names;
  const std::lock_guard lock(mutex_);
  for (auto& [address, target] : targets_) target->is_wanted = false;
  size_t due = 0;
  const auto now = Clock::now();
  for (const ServerAccess& access : wanted) {
    names.insert(access.address);
    std::shared_ptr<Target>& target = targets_[access.address];
    // One with another password is another one; who asks the old one finishes that.
    if (target == nullptr || target->access != access) {
      target = std::make_shared<Target>();
      target->access = access;
    }
    target->is_wanted = true;
    if (!target->is_busy && target->due <= now) ++due;
  }
  std::erase_if(targets_, [](const auto& entry) { return !entry.second->is_wanted; });
  board_.keep_only(names);
  while (due > idle_workers_ && workers_.size() < options_.threads_max) {
    workers_.emplace_back([this] { work(); });
    ++idle_workers_;
  }
  if (due > 0) due_.notify_all();
}

void ServerProber::work() {
  std::unique_lock lock(mutex_);
  while (!stop_.is_raised()) {
    // The one that has waited longest.
    std::shared_ptr<Target> next;
    const auto now = Clock::now();
    for (auto& [address, target] : targets_) {
      if (target->is_busy || target->due > now) continue;
      if (next == nullptr || target->due < next->due) next = target;
    }
    if (next == nullptr) {
      due_.wait(lock);
      continue;
    }
    next->is_busy = true;
    next->due = now + options_.interval;
    --idle_workers_;
    lock.unlock();
    probe(*next);
    lock.lock();
    ++idle_workers_;
    next->is_busy = false;
  }
}

Result<ServerFacts> ServerProber::ask(Target& target) {
  if (target.link == nullptr || target.link->is_broken()) {
    target.link.reset();
    auto link = ServerLink::connect(target.access, kLinkName, options_.timeout, &stop_);
    if (!link) return Error{link.error()};
    auto abilities = ask_server(target.access, options_.timeout);
    if (!abilities) return Error{abilities.error()};
    target.abilities = *abilities;
    target.link = std::move(*link);
  }
  auto facts = ask_server_again(*target.link, options_.timeout);
  if (!facts) {
    target.link.reset();
    return facts;
  }
  facts->has_migrate = target.abilities.has_migrate;
  facts->has_dump_restore = target.abilities.has_dump_restore;
  facts->has_slots_commands = target.abilities.has_slots_commands;
  if (facts->engine == "redis") facts->engine = target.abilities.engine;
  return facts;
}

void ServerProber::probe(Target& target) {
  const int64_t asked_at = now_();
  auto facts = ask(target);
  // An end is no failure of the server.
  if (stop_.is_raised()) return;
  std::string ip, master_ip;
  if (facts) {
    ip = target.link->peer_ip();
    if (!facts->is_master && facts->master_addr != target.master_name) {
      target.master_name = facts->master_addr;
      const auto master = parse_address(facts->master_addr);
      target.master_ip = master ? ip_of(master->host) : "";
    }
    if (!facts->is_master) master_ip = target.master_ip;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto found = targets_.find(target.access.address);
    if (found == targets_.end() || found->second.get() != &target) return;
    board_.update(target.access.address, [&](ServerStatus status) {
      const ServerState before = status.state;
      status = facts ? after_answer(std::move(status), *facts, asked_at, now_())
                     : after_failure(std::move(status), facts.error(), asked_at, now_());
      if (facts) {
        status.ip = ip;
        status.master_ip = master_ip;
      }
      if (status.state != before && before != ServerState::kUnknown) {
        log_info("server", "addr", target.access.address.to_string(), "from",
                 server_state_name(before), "to", server_state_name(status.state), "error",
                 status.error);
      }
      return status;
    });
  }
}

}  // namespace pikaproxy
