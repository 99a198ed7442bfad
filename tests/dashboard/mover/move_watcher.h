#pragma once

#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "dashboard/mover/move_engine.h"

namespace pikaproxy {

// Remembers what an engine tells, and waits for it: until it comes, or long enough to be sure that
// something is broken.
class MoveWatcher : public MoveObserver {
 public:
  void slot_clean(uint64_t, SlotId slot) override {
    const std::lock_guard lock(mutex_);
    ++clean_[slot];
    changed_.notify_all();
  }
  void job_problem(uint64_t, std::string text) override {
    const std::lock_guard lock(mutex_);
    problem_ = text;
    if (!text.empty()) problems_.push_back(std::move(text));
    changed_.notify_all();
  }
  void job_warning(uint64_t, std::string text) override {
    const std::lock_guard lock(mutex_);
    warnings_.push_back(std::move(text));
    changed_.notify_all();
  }

  template <typename Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), condition);
  }
  bool wait_clean(const std::vector<SlotId>& slots) {
    return wait([&] {
      for (const SlotId slot : slots) {
        if (clean_.count(slot) == 0) return false;
      }
      return true;
    });
  }
  bool wait_problem(const std::string& part) {
    return wait(
        [&] { return part.empty() ? problem_.empty() : problem_.find(part) != std::string::npos; });
  }
  std::map<SlotId, int> clean() {
    const std::lock_guard lock(mutex_);
    return clean_;
  }
  std::vector<std::string> warnings() {
    const std::lock_guard lock(mutex_);
    return warnings_;
  }
  std::string problem() {
    const std::lock_guard lock(mutex_);
    return problem_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<SlotId, int> clean_;
  std::string problem_;
  std::vector<std::string> problems_;
  std::vector<std::string> warnings_;
};

inline std::vector<SlotId> all_slots() {
  std::vector<SlotId> slots(kSlotCount);
  for (SlotId slot = 0; slot < kSlotCount; ++slot) slots[slot] = slot;
  return slots;
}

// An engine with one job.
struct MovingJob {
  MovingJob(const ServerAccess& source, const ServerAccess& target, MoverKind mover,
            MoveLimits limits = {}, const std::string& fence = "test")
      : engine(MoveEngine::make(fence, watcher)) {
    engine->open_job(1, {source, target, mover}, limits);
  }
  ~MovingJob() { engine->stop(); }

  // Asks for keys, and waits for the answer.
  KeyMover::Outcome move(const std::vector<std::string>& keys, uint32_t db = 0) {
    return start_move(keys, db).get();
  }
  std::future<KeyMover::Outcome> start_move(const std::vector<std::string>& keys, uint32_t db = 0) {
    auto promise = std::make_shared<std::promise<KeyMover::Outcome>>();
    auto future = promise->get_future();
    engine->move(slot_of(keys.front()), db, keys,
                 [promise](KeyMover::Outcome outcome) { promise->set_value(std::move(outcome)); });
    return future;
  }
  std::string remove(const std::vector<SlotId>& slots) {
    auto promise = std::make_shared<std::promise<std::string>>();
    auto future = promise->get_future();
    engine->remove_slots(1, slots, [promise](std::string error) { promise->set_value(error); });
    return future.get();
  }
  std::string reconcile(const std::vector<SlotId>& slots) {
    auto promise = std::make_shared<std::promise<std::string>>();
    auto future = promise->get_future();
    engine->reconcile(1, slots, std::nullopt,
                      [promise](std::string error) { promise->set_value(error); });
    return future.get();
  }

  MoveWatcher watcher;
  std::unique_ptr<MoveEngine> engine;
};

}  // namespace pikaproxy
