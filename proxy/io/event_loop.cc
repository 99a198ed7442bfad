#include "proxy/io/event_loop.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <time.h>
#include <unistd.h>
#include <utility>

#include "proxy/io/stream.h"

namespace pikaproxy {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr int kWaitMaxMs = 1000;

int checked(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return fd;
}

}  // namespace

EventLoop::EventLoop()
    : epoll_fd_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_fd_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      scratch_(new char[kScratchBytes]) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  checked(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event), "epoll_ctl");
  if (int ends[2]; ::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0) {
    pipe_read_fd_ = ends[0];
    pipe_write_fd_ = ends[1];
    // If the system allows less it stays at its size: more system calls then.
    ::fcntl(pipe_write_fd_, F_SETPIPE_SZ, static_cast<int>(kPipeBytes));
  }
  refresh_now();
}

EventLoop::~EventLoop() {
  doomed_.clear();
  if (pipe_read_fd_ >= 0) {
    ::close(pipe_read_fd_);
    ::close(pipe_write_fd_);
  }
  ::close(wake_fd_);
  ::close(epoll_fd_);
}

void EventLoop::refresh_now() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  now_ = static_cast<Ticks>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

void EventLoop::run() {
  epoll_event events[kEventsPerTurn];
  while (!stopping_.load(std::memory_order_relaxed)) {
    const int count = epoll_wait(epoll_fd_, events, kEventsPerTurn, wait_timeout_ms());
    refresh_now();
    const Ticks turn_start = now_;
    bool woken = false;
    for (int i = 0; i < count; ++i) {
      if (events[i].data.ptr == nullptr) {
        woken = true;
      } else {
        static_cast<Stream*>(events[i].data.ptr)->handle_events(events[i].events);
      }
    }
    if (woken) run_posted();
    run_timers();
    if (turn_end_) turn_end_();
    flush_dirty();
    doomed_.clear();
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    refresh_now();
    busy_us_.store(
        busy_us_.load(std::memory_order_relaxed) + static_cast<uint64_t>(now_ - turn_start),
        std::memory_order_relaxed);
  }
  run_posted();
  doomed_.clear();
}

void EventLoop::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  post([] {});
}

void EventLoop::post(std::function<void()> work) {
  bool wake;
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
    wake = !wake_pending_;
    wake_pending_ = true;
  }
  if (!wake) return;
  const uint64_t one = 1;
  // Cannot fail: the counter is read before the next write.
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

void EventLoop::run_posted() {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = ::read(wake_fd_, &count, sizeof count);
  for (;;) {
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(posted_mutex_);
      work.swap(posted_);
      wake_pending_ = !work.empty();
    }
    if (work.empty()) return;
    for (auto& item : work) item();
  }
}

EventLoop::TimerId EventLoop::add_timer(Ticks delay, std::function<void()> work) {
  refresh_now();  // A long turn must not make the timer early.
  const TimerId id{now_ + delay, next_timer_++};
  timers_.emplace(id, std::move(work));
  return id;
}

void EventLoop::cancel_timer(TimerId id) noexcept {
  timers_.erase(id);
}

void EventLoop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first.first <= now_) {
    auto node = timers_.extract(timers_.begin());
    node.mapped()();
  }
}

int EventLoop::wait_timeout_ms() const noexcept {
  if (timers_.empty()) return kWaitMaxMs;
  const Ticks left = timers_.begin()->first.first - now_;
  if (left <= 0) return 0;
  return static_cast<int>(std::min<Ticks>((left + 999) / 1000, kWaitMaxMs));
}

void EventLoop::flush_dirty() {
  // A write can fail, and a failure can make others dirty (an error for every client of a backend).
  refresh_now();
  while (dirty_first_ != nullptr || dirty_last_ != nullptr) {
    Stream*& list = dirty_first_ != nullptr ? dirty_first_ : dirty_last_;
    Stream* stream = std::exchange(list, nullptr);
    while (stream != nullptr) {
      Stream* next = stream->next_dirty_;
      stream->dirty_ = false;
      stream->next_dirty_ = nullptr;
      stream->flush();
      stream = next;
    }
  }
}

void EventLoop::destroy_later(std::unique_ptr<Stream> stream) {
  stream->close();
  doomed_.push_back(std::move(stream));
}

}  // namespace pikaproxy
