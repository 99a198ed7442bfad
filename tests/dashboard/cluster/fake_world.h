#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/proxy_control.h"
#include "dashboard/cluster/server_tools.h"
#include "dashboard/mover/move_engine.h"

namespace pikaproxy {

// Servers with keys, a proxy and a move engine, all in memory. It watches that nothing is done that
// docs/slot-migration.md forbids, and can stop in the middle of everything, as a process that dies:
// what is asked of a frozen world has no effect, and its servers' keys can be taken over by
// another.
class FakeWorld : public ProxyControl {
 public:
  using Keys = std::map<std::string, std::map<SlotId, std::set<int>>>;  // By server's address.

  explicit FakeWorld(Keys keys = {}) : keys_(std::move(keys)), thread_([this] { run(); }) {}
  ~FakeWorld() override { end(); }

  // ---- What tests ask for ----

  void put(uint16_t port, SlotId slot, int key) { keys_[name_of(port)][slot].insert(key); }
  // Keys of these slots stay where they are.
  void hold(std::set<SlotId> slots) {
    const std::lock_guard lock(mutex_);
    held_ = std::move(slots);
  }
  // The proxy does not get to the end of its requests: so many tables with locks are not
  // acknowledged.
  void set_stuck(int tables) {
    const std::lock_guard lock(mutex_);
    stuck_tables_ = tables;
  }
  void set_down(uint16_t port, bool down) {
    const std::lock_guard lock(mutex_);
    down_[name_of(port)] = down;
  }
  // `between`: keys of migrating slots that are copied and not deleted when it happens.
  Keys freeze(bool between) {
    const std::lock_guard lock(mutex_);
    if (!frozen_ && between) {
      for (const auto& [id, job] : jobs_) {
        for (const SlotId slot : job.slots) {
          auto& source = keys_[job.source][slot];
          if (!source.empty()) keys_[job.target][slot].insert(*source.begin());
        }
      }
    }
    frozen_ = true;
    return keys_;
  }
  Keys keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
  }
  std::vector<std::string> violations() const {
    const std::lock_guard lock(mutex_);
    return violations_;
  }
  size_t jobs() const {
    const std::lock_guard lock(mutex_);
    return jobs_.size();
  }
  MoveLimits limits() const {
    const std::lock_guard lock(mutex_);
    return jobs_.empty() ? MoveLimits{} : jobs_.begin()->second.limits;
  }
  int reconciled() const {
    const std::lock_guard lock(mutex_);
    return reconciled_;
  }
  void end() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  static std::string name_of(uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

  ServerTools tools() {
    ServerTools tools;
    tools.ask = [this](const ServerAccess& server,
                       std::chrono::milliseconds) -> Result<ServerFacts> {
      const std::lock_guard lock(mutex_);
      const std::string name = server.address.to_string();
      if (frozen_ || down_[name]) return Error{"server " + name + " cannot be reached"};
      ServerFacts facts;
      facts.engine = "redis";
      facts.run_id = name;
      return facts;
    };
    tools.choose = [](const ServerFacts&, const ServerFacts&) -> Result<MoverKind> {
      return MoverKind::kCopy;
    };
    tools.count = [this](const ServerAccess& server,
                         const std::vector<SlotId>& slots) -> Result<std::map<SlotId, SlotCount>> {
      const std::lock_guard lock(mutex_);
      const std::string name = server.address.to_string();
      if (frozen_ || down_[name]) return Error{"server " + name + " cannot be reached"};
      std::map<SlotId, SlotCount> counts;
      for (const SlotId slot : slots) {
        if (const size_t count = keys_[name][slot].size(); count > 0) counts[slot] = {count};
      }
      return counts;
    };
    tools.purge = [this](const ServerAccess& server,
                         const std::vector<SlotId>& slots) -> Result<uint64_t> {
      const std::lock_guard lock(mutex_);
      if (frozen_) return Error{"cannot be reached"};
      uint64_t count = 0;
      for (const SlotId slot : slots) {
        auto& keys = keys_[server.address.to_string()][slot];
        count += keys.size();
        keys.clear();
        if (table_ != nullptr) {
          const SlotEntry& entry = table_->slots[slot];
          if (entry.state != SlotState::kUnassigned &&
              table_->groups[entry.group].master == server.address) {
            violations_.push_back("keys of the owner of slot " + std::to_string(slot) +
                                  " were purged");
          }
        }
      }
      return count;
    };
    tools.replicate = [](const ServerAccess&, const Address*,
                         std::chrono::milliseconds) -> Result<bool> { return true; };
    return tools;
  }

  std::unique_ptr<MoveEngine> engine(MoveObserver& observer) {
    return std::make_unique<Engine>(*this, observer);
  }

  // ---- ProxyControl ----

  void install(std::shared_ptr<const SlotTable> table, Installed done) override {
    const std::lock_guard lock(mutex_);
    if (frozen_) return;
    if (table_ != nullptr && table->epoch < table_->epoch) {
      violations_.push_back("an older table was pushed");
    }
    if (waiting_) {
      post([done = std::move(waiting_)] { done(Error{"superseded"}); });
      waiting_ = nullptr;
    }
    bool locks = false;
    for (size_t slot = 0; slot < kSlotCount; ++slot) {
      check(static_cast<SlotId>(slot), *table);
      locks = locks || table->slots[slot].state == SlotState::kLocked;
    }
    table_ = std::move(table);
    drained_ = !(locks && stuck_tables_ > 0);
    if (!drained_) {
      --stuck_tables_;
      waiting_ = std::move(done);
      return;
    }
    post([done = std::move(done), epoch = table_->epoch] { done(epoch); });
  }

  uint64_t epoch() const override {
    const std::lock_guard lock(mutex_);
    return table_ == nullptr ? 0 : table_->epoch;
  }

 private:
  struct Job {
    std::string source;
    std::string target;
    MoveLimits limits;
    bool background = true;
    std::set<SlotId> slots;
    std::set<SlotId> told;
    uint64_t moved = 0;
    MoveObserver* observer = nullptr;
  };

  class Engine : public MoveEngine {
   public:
    Engine(FakeWorld& world, MoveObserver& observer) : world_(world), observer_(observer) {}
    ~Engine() override { stop(); }

    void move(SlotId, uint32_t, std::vector<std::string>, Done) override {}
    void open_job(uint64_t job, MoveRoute route, MoveLimits limits) override {
      with([&] {
        world_.jobs_[job] = {route.source.address.to_string(),
                             route.target.address.to_string(),
                             limits,
                             true,
                             {},
                             {},
                             0,
                             &observer_};
      });
    }
    void set_limits(uint64_t job, MoveLimits limits) override {
      with([&] { world_.jobs_.at(job).limits = limits; });
    }
    void set_background(uint64_t job, bool on) override {
      with([&] { world_.jobs_.at(job).background = on; });
    }
    void add_slots(uint64_t job, const std::vector<SlotId>& slots) override {
      with([&] {
        for (const auto& [id, other] : world_.jobs_) {
          for (const SlotId slot : slots) {
            if (other.slots.count(slot) > 0) world_.violations_.push_back("two jobs, one slot");
          }
        }
        world_.check_begin(world_.jobs_.at(job), slots);
        world_.jobs_.at(job).slots.insert(slots.begin(), slots.end());
      });
    }
    void remove_slots(uint64_t job, const std::vector<SlotId>& slots,
                      std::function<void(std::string)> done) override {
      with([&] {
        for (const SlotId slot : slots) {
          if (world_.jobs_.at(job).slots.erase(slot) == 0) {
            world_.violations_.push_back("a slot was removed that was not there");
          }
          world_.jobs_.at(job).told.erase(slot);
        }
        world_.post([done] { done(""); });
      });
    }
    void abandon_slots(uint64_t job, const std::vector<SlotId>& slots, RouteEnd,
                       std::function<void(std::string)> done) override {
      remove_slots(job, slots, std::move(done));
    }
    void reconcile(uint64_t job, const std::vector<SlotId>& slots, std::optional<RouteEnd> stands,
                   std::function<void(std::string)> done) override {
      with([&] {
        ++world_.reconciled_;
        const Job& each = world_.jobs_.at(job);
        if (each.background) world_.violations_.push_back("reconcile with the background on");
        for (const SlotId slot : slots) {
          const bool target_stands = stands == RouteEnd::kTarget;
          auto& loser = world_.keys_[target_stands ? each.source : each.target][slot];
          for (const int key : world_.keys_[target_stands ? each.target : each.source][slot]) {
            loser.erase(key);
          }
        }
        world_.post([done] { done(""); });
      });
    }
    void close_job(uint64_t job) override {
      with([&] {
        if (!world_.jobs_.at(job).slots.empty()) {
          world_.violations_.push_back("a job with slots was closed");
        }
        world_.jobs_.erase(job);
      });
    }
    MoveProgress progress(uint64_t job) const override {
      const std::lock_guard lock(world_.mutex_);
      const auto found = world_.jobs_.find(job);
      if (found == world_.jobs_.end()) return {};
      return {found->second.moved, found->second.moved * 100, 0};
    }
    void stop() override {
      std::unique_lock lock(world_.mutex_);
      world_.jobs_.clear();
      world_.changed_.wait(lock, [this] { return !world_.calling_; });
    }

   private:
    template <typename Work>
    void with(Work work) {
      const std::lock_guard lock(world_.mutex_);
      if (!world_.frozen_) work();
      world_.changed_.notify_all();
    }

    FakeWorld& world_;
    MoveObserver& observer_;
  };

  void post(std::function<void()> work) {
    tasks_.push_back(std::move(work));
    changed_.notify_all();
  }

  const std::set<int>& keys_at(const SlotTable& table, uint16_t group, SlotId slot) {
    return keys_[table.groups[group].master.to_string()][slot];
  }

  const Job* job_of(SlotId slot) const {
    for (const auto& [id, job] : jobs_) {
      if (job.slots.count(slot) > 0) return &job;
    }
    return nullptr;
  }

  // From here on keys may move. With mutex_ held.
  void check_begin(const Job& job, const std::vector<SlotId>& slots) {
    if (table_ == nullptr) return;  // The process began anew.
    for (const SlotId slot : slots) {
      const std::string title = "slot " + std::to_string(slot) + ": ";
      if (table_->slots[slot].state != SlotState::kLocked || !drained_) {
        violations_.push_back(title + "moved before the proxy had come to its end");
      }
      if (turned_.count(slot) == 0 && !keys_[job.target][slot].empty()) {
        violations_.push_back(title + "its target has keys of it");
      }
    }
  }

  // What a table may not say, given the one before. With mutex_ held.
  void check(SlotId slot, const SlotTable& table) {
    const SlotEntry& entry = table.slots[slot];
    const SlotEntry before = table_ == nullptr ? SlotEntry{} : table_->slots[slot];
    const std::string title = "slot " + std::to_string(slot) + ": ";
    const auto group = [&](const SlotTable& of, uint16_t index) {
      return of.groups[index].master.to_string();
    };
    if (entry.state == SlotState::kMigrating) {
      const Job* job = job_of(slot);
      if (job == nullptr || job->source != group(table, entry.group) ||
          job->target != group(table, entry.target)) {
        violations_.push_back(title + "migrating, and the engine does not know");
      }
      if (table_ == nullptr) return;  // The process began anew.
      const bool is_new = before.state == SlotState::kLocked &&
                          group(*table_, before.group) == group(table, entry.group);
      if (is_new && !drained_) {
        violations_.push_back(title + "switched before the proxy had come to its end");
      }
      if (before.state == SlotState::kNormal) violations_.push_back(title + "was not locked");
      if (before.state == SlotState::kMigrating &&
          group(*table_, before.target) != group(table, entry.target)) {
        violations_.push_back(title + "turned round without a lock");
      }
    }
    if (table_ != nullptr && entry.state == SlotState::kLocked &&
        before.state == SlotState::kMigrating) {
      turned_.insert(slot);
    }
    if (entry.state == SlotState::kNormal) {
      turned_.erase(slot);
      for (size_t other = 0; other < table.groups.size(); ++other) {
        if (other != entry.group && !keys_at(table, static_cast<uint16_t>(other), slot).empty() &&
            table_ != nullptr && before.state == SlotState::kMigrating) {
          violations_.push_back(title + "normal, and another group has keys of it");
        }
      }
    }
  }

  // One step of the background of each job; what the observers are to be told. With mutex_ held.
  std::vector<std::function<void()>> move_some() {
    std::vector<std::function<void()>> reports;
    for (auto& [id, job] : jobs_) {
      if (!job.background) continue;
      for (const SlotId slot : job.slots) {
        if (held_.count(slot) > 0) continue;
        auto& source = keys_[job.source][slot];
        if (!source.empty()) {
          const int key = *source.begin();
          keys_[job.target][slot].insert(key);
          source.erase(key);
          ++job.moved;
          break;
        }
        if (job.told.insert(slot).second) {
          reports.push_back(
              [observer = job.observer, id = id, slot] { observer->slot_clean(id, slot); });
        }
      }
    }
    return reports;
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      std::vector<std::function<void()>> work;
      if (!frozen_) work = move_some();
      work.insert(work.end(), tasks_.begin(), tasks_.end());
      tasks_.clear();
      if (work.empty()) {
        changed_.wait_for(lock, std::chrono::milliseconds(1));
        continue;
      }
      calling_ = true;
      const bool frozen = frozen_;
      lock.unlock();
      if (!frozen) {
        for (const auto& each : work) each();
      }
      lock.lock();
      calling_ = false;
      changed_.notify_all();
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  Keys keys_;
  std::map<std::string, bool> down_;
  std::set<SlotId> held_;
  std::set<SlotId> turned_;
  std::map<uint64_t, Job> jobs_;
  std::deque<std::function<void()>> tasks_;
  std::shared_ptr<const SlotTable> table_;
  bool drained_ = true;
  Installed waiting_;
  int stuck_tables_ = 0;
  int reconciled_ = 0;
  bool frozen_ = false;
  bool ended_ = false;
  bool calling_ = false;
  std::vector<std::string> violations_;

  std::thread thread_;
};

}  // namespace pikaproxy
