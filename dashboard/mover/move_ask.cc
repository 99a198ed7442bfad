#include "dashboard/mover/move_ask.h"

#include <vector>

#include "dashboard/http/http_workers.h"

namespace pikaproxy {

void MoveAsk::key_done(const std::string& error) {
  if (!error.empty()) {
    const std::lock_guard lock(mutex_);
    if (error_.empty()) error_ = error;
  }
  if (left_.fetch_sub(1) != 1) return;
  std::string first;
  {
    const std::lock_guard lock(mutex_);
    first = error_;
  }
  answer({first.empty(), first});
}

void MoveAsk::answer(KeyMover::Outcome outcome) {
  if (!answered_.exchange(true)) done_(std::move(outcome));
}

MoveCourier::MoveCourier() {
  thread_ = start_quiet_thread("move-courier", [this] { run(); });
}

MoveCourier::~MoveCourier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void MoveCourier::answer_soon(std::shared_ptr<MoveAsk> ask, std::string error) {
  {
    const std::lock_guard lock(mutex_);
    soon_.emplace_back(std::move(ask), std::move(error));
  }
  wake_.notify_one();
}

void MoveCourier::watch(std::weak_ptr<MoveAsk> ask,
                        std::chrono::steady_clock::time_point deadline) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = watched_.empty();
    watched_.emplace(deadline, std::move(ask));
  }
  // Deadlines come in the order of their asks, so a later one changes nothing.
  if (first) wake_.notify_one();
}

void MoveCourier::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (soon_.empty() && !stopping_) {
      if (watched_.empty()) {
        wake_.wait(lock);
      } else {
        wake_.wait_until(lock, watched_.begin()->first);
      }
    }
    auto soon = std::move(soon_);
    soon_.clear();
    std::vector<std::shared_ptr<MoveAsk>> late;
    const auto now = std::chrono::steady_clock::now();
    while (!watched_.empty() && (stopping_ || watched_.begin()->first <= now)) {
      if (auto ask = watched_.begin()->second.lock()) late.push_back(std::move(ask));
      watched_.erase(watched_.begin());
    }
    const bool last = stopping_;
    lock.unlock();
    for (auto& [ask, error] : soon) ask->answer({false, std::move(error)});
    for (const auto& ask : late) {
      ask->answer({false, "TRYAGAIN the key is still on its way to its new group, try again"});
    }
    if (last) return;
    lock.lock();
  }
}

}  // namespace pikaproxy
