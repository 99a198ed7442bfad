#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

#include "dashboard/http/file_descriptor.h"

namespace pikaproxy {

// Ends waiting, of threads that sleep here and of those that poll sockets. Any thread.
class StopSignal {
 public:
  StopSignal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_.is_open()) throw std::system_error(errno, std::generic_category(), "eventfd");
  }

  void raise() {
    {
      const std::lock_guard lock(mutex_);
      raised_.store(true, std::memory_order_release);
    }
    ::eventfd_write(event_.get(), 1);
    wake_.notify_all();
  }
  bool is_raised() const noexcept { return raised_.load(std::memory_order_acquire); }
  // Readable from raise() on.
  int fd() const noexcept { return event_.get(); }

  // Returns early, with false, when the signal is raised.
  bool sleep_for(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [this] { return is_raised(); });
  }

 private:
  FileDescriptor event_;
  std::atomic<bool> raised_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace pikaproxy
