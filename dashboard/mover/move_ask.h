#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "common/key_mover.h"

namespace pikaproxy {

// A proxy's question: waits for all of its keys, or for its deadline. Any thread.
class MoveAsk {
 public:
  MoveAsk(size_t keys, KeyMover::Done done) : left_(keys), done_(std::move(done)) {}

  // One of the keys is settled; empty `error`: it has moved. The last one answers.
  void key_done(const std::string& error);
  // Answers now, unless that has been done.
  void answer(KeyMover::Outcome outcome);

 private:
  std::atomic<size_t> left_;
  std::atomic<bool> answered_{false};
  std::mutex mutex_;
  std::string error_;  // Guarded by mutex_: of the first key that failed.
  KeyMover::Done done_;
};

// A thread that answers: what fails at once, because move() itself may not, and what has waited too
// long. Any thread.
class MoveCourier {
 public:
  MoveCourier();
  // Answers everything it still has.
  ~MoveCourier();

  void answer_soon(std::shared_ptr<MoveAsk> ask, std::string error);
  // Answers "TRYAGAIN" at the deadline.
  void watch(std::weak_ptr<MoveAsk> ask, std::chrono::steady_clock::time_point deadline);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_.
  bool stopping_ = false;
  std::deque<std::pair<std::shared_ptr<MoveAsk>, std::string>> soon_;
  std::multimap<std::chrono::steady_clock::time_point, std::weak_ptr<MoveAsk>> watched_;
  std::thread thread_;
};

}  // namespace pikaproxy
