#pragma once

#include <functional>
#include <mutex>
#include <utility>

#include "proxy/io/event_loop.h"

namespace pikaproxy {

// The way into an event loop for those who may outlive it: what comes too late is dropped. Any
// thread.
class Mailbox {
 public:
  // `loop` outlives the time until close().
  explicit Mailbox(EventLoop& loop) noexcept : loop_(&loop) {}

  void post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    if (loop_ != nullptr) loop_->post(std::move(work));
  }
  void close() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
  }

 private:
  std::mutex mutex_;
  EventLoop* loop_;  // Guarded by mutex_; null once closed.
};

}  // namespace pikaproxy
