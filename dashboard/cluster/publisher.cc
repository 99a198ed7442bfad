#include "dashboard/cluster/publisher.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "common/log.h"

namespace pikaproxy {

struct Publisher::Shared {
  struct State {
    Proxy proxy;
    uint64_t epoch = 0;
    uint64_t failed_epoch = 0;  // That `failure` is about.
    std::string failure;
    bool wants_again = false;
  };

  bool all_have(uint64_t wanted) const {
    return std::all_of(states.begin(), states.end(),
                       [wanted](const State& state) { return state.epoch >= wanted; });
  }

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  // Guarded by mutex.
  std::vector<State> states;
  std::shared_ptr<const SlotTable> newest;
  bool stopped = false;
  // Constant after construction.
  std::chrono::milliseconds retry_pause{};
  std::function<void()> acknowledged;
};

Publisher::Publisher(std::vector<Proxy> proxies, std::chrono::milliseconds retry_pause,
                     std::function<void()> acknowledged)
    : shared_(std::make_shared<Shared>()) {
  for (Proxy& proxy : proxies) {
    Shared::State state;
    state.proxy = std::move(proxy);
    shared_->states.push_back(std::move(state));
  }
  shared_->retry_pause = retry_pause;
  shared_->acknowledged = std::move(acknowledged);
  retrier_ = std::thread([this] { push_again(); });
}

Publisher::~Publisher() {
  stop();
}

void Publisher::stop() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopped = true;
  }
  shared_->changed.notify_all();
  if (retrier_.joinable()) retrier_.join();
}

void Publisher::push(const std::shared_ptr<Shared>& shared, size_t index,
                     std::shared_ptr<const SlotTable> table) {
  const uint64_t epoch = table->epoch;
  ProxyControl& control = *shared->states[index].proxy.control;
  // Without the mutex: a proxy may hold a lock of its own while it answers.
  control.install(std::move(table), [shared, index, epoch](Result<uint64_t> result) {
    bool told = false;
    {
      const std::lock_guard lock(shared->mutex);
      if (shared->stopped) return;
      Shared::State& state = shared->states[index];
      if (result) {
        told = *result > state.epoch;
        state.epoch = std::max(state.epoch, *result);
      } else {
        state.failed_epoch = epoch;
        state.failure = result.error();
        if (epoch == shared->newest->epoch) {
          log_warn("a proxy has not put the slot table in force", "proxy", state.proxy.name,
                   "epoch", epoch, "reason", result.error());
          state.wants_again = true;
        }
      }
      // Under the lock, so that stop() returns only when nobody is called any more.
      if (told) shared->acknowledged();
    }
    shared->changed.notify_all();
  });
}

void Publisher::publish(std::shared_ptr<const SlotTable> table) {
  size_t count = 0;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->stopped) return;
    shared_->newest = table;
    for (Shared::State& state : shared_->states) state.wants_again = false;
    count = shared_->states.size();
  }
  for (size_t index = 0; index < count; ++index) push(shared_, index, table);
}

void Publisher::push_again() {
  std::unique_lock lock(shared_->mutex);
  while (!shared_->stopped) {
    const auto wants = [](const Shared::State& state) { return state.wants_again; };
    shared_->changed.wait(lock, [&] {
      return shared_->stopped || std::any_of(shared_->states.begin(), shared_->states.end(), wants);
    });
    if (shared_->changed.wait_for(lock, shared_->retry_pause, [&] { return shared_->stopped; })) {
      return;
    }
    for (size_t index = 0; index < shared_->states.size(); ++index) {
      if (!shared_->states[index].wants_again) continue;
      shared_->states[index].wants_again = false;
      const auto table = shared_->newest;
      lock.unlock();
      push(shared_, index, table);
      lock.lock();
    }
  }
}

void Publisher::repeat() const {
  std::shared_ptr<const SlotTable> table;
  size_t count = 0;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->stopped || shared_->newest == nullptr) return;
    table = shared_->newest;
    count = shared_->states.size();
  }
  for (size_t index = 0; index < count; ++index) push(shared_, index, table);
}

bool Publisher::acknowledged(uint64_t epoch) const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->all_have(epoch);
}

std::string Publisher::wait(uint64_t epoch, std::chrono::milliseconds timeout) const {
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait_for(lock, timeout,
                            [&] { return shared_->stopped || shared_->all_have(epoch); });
  std::string missing;
  for (const Shared::State& state : shared_->states) {
    if (state.epoch >= epoch) continue;
    missing += (missing.empty() ? "proxy " : ", proxy ") + state.proxy.name;
  }
  return missing;
}

std::string Publisher::reason(uint64_t epoch) const {
  const std::lock_guard lock(shared_->mutex);
  for (const Shared::State& state : shared_->states) {
    if (state.failed_epoch == epoch) return state.failure;
  }
  return {};
}

std::vector<Publisher::Progress> Publisher::progress() const {
  const std::lock_guard lock(shared_->mutex);
  std::vector<Progress> list;
  for (const Shared::State& state : shared_->states) {
    const bool behind = shared_->newest != nullptr && state.epoch < shared_->newest->epoch;
    const bool failed = behind && state.failed_epoch == shared_->newest->epoch;
    list.push_back({state.proxy.name, state.epoch, failed ? state.failure : std::string()});
  }
  return list;
}

}  // namespace pikaproxy
