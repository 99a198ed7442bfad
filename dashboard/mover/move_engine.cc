#include "dashboard/mover/move_engine.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <random>

#include "dashboard/mover/move_ask.h"
#include "dashboard/mover/move_job.h"

namespace pikaproxy {
namespace {

// A proxy holds a request that long by default (proxy.hold_timeout).
constexpr std::chrono::milliseconds kAskTimeout(1000);

std::string random_name() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device device;
  std::string name;
  for (int i = 0; i < 16; ++i) name += kDigits[device() % 16];
  return name;
}

class Engine : public MoveEngine {
 public:
  Engine(const std::string& fence, MoveObserver& observer)
      : cluster_(fence), instance_(random_name()), observer_(observer) {}

  ~Engine() override { stop(); }

  void open_job(uint64_t job, MoveRoute route, MoveLimits limits) override {
    auto made =
        std::make_shared<MoveJob>(job, std::move(route), limits, cluster_, instance_, observer_);
    const std::lock_guard lock(mutex_);
    if (!stopped_) jobs_.emplace(job, std::move(made));
  }

  void set_limits(uint64_t job, MoveLimits limits) override {
    if (const auto found = find(job)) found->set_limits(limits);
  }
  void set_background(uint64_t job, bool on) override {
    if (const auto found = find(job)) found->set_background(on);
  }

  void add_slots(uint64_t job, const std::vector<SlotId>& slots) override {
    const auto found = find(job);
    if (!found) return;
    found->add_slots(slots);
    const std::lock_guard lock(mutex_);
    for (const SlotId slot : slots) owners_[slot] = found;
  }

  void remove_slots(uint64_t job, const std::vector<SlotId>& slots,
                    std::function<void(std::string)> done) override {
    // Asks find the slot closed in the job; owners_ may keep it until another job takes it.
    if (const auto found = find(job)) {
      found->remove_slots(slots, std::nullopt, std::move(done));
    } else {
      done("There is no job " + std::to_string(job) + ".");
    }
  }
  void abandon_slots(uint64_t job, const std::vector<SlotId>& slots, RouteEnd lost,
                     std::function<void(std::string)> done) override {
    if (const auto found = find(job)) {
      found->remove_slots(slots, lost, std::move(done));
    } else {
      done("There is no job " + std::to_string(job) + ".");
    }
  }
  void reconcile(uint64_t job, const std::vector<SlotId>& slots, std::optional<RouteEnd> stands,
                 std::function<void(std::string)> done) override {
    if (const auto found = find(job)) {
      found->reconcile(slots, stands, std::move(done));
    } else {
      done("There is no job " + std::to_string(job) + ".");
    }
  }

  void close_job(uint64_t job) override {
    std::shared_ptr<MoveJob> closed;
    {
      const std::lock_guard lock(mutex_);
      const auto found = jobs_.find(job);
      if (found == jobs_.end()) return;
      closed = std::move(found->second);
      jobs_.erase(found);
      for (auto& owner : owners_) {
        if (owner == closed) owner.reset();
      }
    }
    closed->stop();
  }

  MoveProgress progress(uint64_t job) const override {
    const auto found = find(job);
    return found ? found->progress() : MoveProgress();
  }

  void move(SlotId slot, uint32_t db, std::vector<std::string> keys, Done done) override {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    auto ask = std::make_shared<MoveAsk>(keys.size(), std::move(done));
    std::shared_ptr<MoveJob> job;
    {
      const std::lock_guard lock(mutex_);
      if (slot < kSlotCount) job = owners_[slot];
    }
    if (keys.empty()) {
      courier_.answer_soon(std::move(ask), "TRYAGAIN there is no key to move");
      return;
    }
    courier_.watch(ask, std::chrono::steady_clock::now() + kAskTimeout);
    if (!job || !job->ask(slot, db, std::move(keys), ask)) {
      courier_.answer_soon(std::move(ask), "TRYAGAIN slot " + std::to_string(slot) +
                                               " is changing its group, try again");
    }
  }

  void stop() override {
    std::map<uint64_t, std::shared_ptr<MoveJob>> jobs;
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      jobs = std::move(jobs_);
      jobs_.clear();
      owners_.fill(nullptr);
    }
    for (const auto& [id, job] : jobs) job->stop();
  }

 private:
  std::shared_ptr<MoveJob> find(uint64_t job) const {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(job);
    return found == jobs_.end() ? nullptr : found->second;
  }

  // Constant after construction.
  const std::string cluster_;
  const std::string instance_;
  MoveObserver& observer_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool stopped_ = false;
  std::map<uint64_t, std::shared_ptr<MoveJob>> jobs_;
  std::array<std::shared_ptr<MoveJob>, kSlotCount> owners_;

  // Lives on after stop(): what is asked then has to be answered on another thread, too.
  MoveCourier courier_;
};

}  // namespace

std::unique_ptr<MoveEngine> MoveEngine::make(std::string fence, MoveObserver& observer) {
  return std::make_unique<Engine>(fence, observer);
}

}  // namespace pikaproxy
