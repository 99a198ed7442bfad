#include "proxy/io/stream.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace pikaproxy {

namespace {

constexpr int kPiecesPerWrite = 64;
// Larger pieces are worth a system call of their own to avoid copying them.
constexpr size_t kSendAtOnceMin = 16 * 1024;
constexpr unsigned kSpliceFlags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

bool is_would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

}  // namespace

Stream::~Stream() {
  close();
  // Still in the list only if the loop is gone with us.
  assert(!dirty_ || fd_ < 0);
}

bool Stream::attach(int fd) {
  fd_ = fd;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = this;
  if (epoll_ctl(loop_.epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    ::close(fd_);
    fd_ = -1;
    errno = error;
    return false;
  }
  interest_ = EPOLLIN;
  phase_ = Phase::kOpen;
  reading_ = true;
  write_blocked_ = false;
  ended_ = false;
  return true;
}

bool Stream::connect(const sockaddr* address, socklen_t size) {
  const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  if (::connect(fd, address, size) != 0 && errno != EINPROGRESS) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return false;
  }
  if (!attach(fd)) return false;
  phase_ = Phase::kConnecting;
  write_blocked_ = true;
  update_interest();
  return true;
}

void Stream::close() noexcept {
  if (fd_ >= 0) ::close(fd_);  // Leaves the epoll set by that.
  forget_socket();
}

int Stream::release() noexcept {
  const int fd = fd_;
  if (fd >= 0) epoll_ctl(loop_.epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  forget_socket();
  return fd;
}

void Stream::forget_socket() noexcept {
  fd_ = -1;
  phase_ = Phase::kClosed;
  interest_ = 0;
  output_.clear(loop_.pool_);
}

void Stream::send(std::string_view bytes) {
  output_.append(loop_.pool_, bytes);
  mark_dirty();
}

void Stream::send_own(char* data, size_t begin, size_t end, size_t capacity) {
  output_.adopt(loop_.pool_, data, begin, end, capacity);
  mark_dirty();
}

void Stream::send_large(std::string_view bytes) {
  if (bytes.size() >= kSendAtOnceMin && can_send_at_once()) {
    const ssize_t written = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
      if (bytes.empty()) {
        on_sent();
        return;
      }
      // The rest waits until the kernel has room; an attempt this turn would be for nothing.
      output_.append(loop_.pool_, bytes);
      write_blocked_ = true;
      update_interest();
      return;
    }
    // A failure is found again, and reported, by the write at the end of the turn.
  }
  send(bytes);
}

void Stream::send_queue(ByteQueue& queue) {
  output_.splice(queue);
  mark_dirty();
}

void Stream::set_reading(bool on) {
  if (reading_ == on) return;
  reading_ = on;
  update_interest();
}

void Stream::mark_dirty() noexcept {
  if (dirty_ || phase_ != Phase::kOpen || write_blocked_) return;
  dirty_ = true;
  Stream*& list = order_ == Order::kFirst ? loop_.dirty_first_ : loop_.dirty_last_;
  next_dirty_ = list;
  list = this;
}

void Stream::update_interest() noexcept {
  if (fd_ < 0) return;
  const uint32_t wanted = (reading_ && !ended_ && phase_ == Phase::kOpen ? EPOLLIN : 0u) |
                          (write_blocked_ ? EPOLLOUT : 0u);
  if (wanted == interest_) return;
  interest_ = wanted;
  epoll_event event{};
  event.events = wanted;
  event.data.ptr = this;
  // Cannot fail for a registered descriptor except for want of kernel memory; then the peer waits.
  epoll_ctl(loop_.epoll_fd_, EPOLL_CTL_MOD, fd_, &event);
}

void Stream::handle_events(uint32_t events) {
  // An earlier event of the same turn may have closed this stream.
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kConnecting) {
    finish_connect();
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    write_blocked_ = false;
    update_interest();
    mark_dirty();
  }
  if ((events & EPOLLIN) != 0 && reading_ && !ended_) {
    receive();
  } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    // Reported whether asked for or not: nobody can read from us or write to us any more.
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    on_end(error != 0 ? error : ECONNRESET);
  }
}

void Stream::finish_connect() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) {
    phase_ = Phase::kOpen;
    write_blocked_ = false;
    update_interest();
    mark_dirty();
  }
  on_connect(error);
}

bool Stream::relay(Stream& target, uint64_t bytes) {
  if (loop_.pipe_read_fd_ < 0) return false;
  const ssize_t got = ::splice(fd_, nullptr, loop_.pipe_write_fd_, nullptr,
                               std::min<uint64_t>(bytes, EventLoop::kPipeBytes), kSpliceFlags);
  // At the end of input and on errors recv() says the same, and is heard.
  if (got <= 0) return false;
  target.take_from_pipe(static_cast<size_t>(got));
  on_relayed(static_cast<uint64_t>(got));
  return true;
}

void Stream::take_from_pipe(size_t bytes) {
  bool progress = false;
  while (bytes > 0) {
    const ssize_t sent = ::splice(loop_.pipe_read_fd_, nullptr, fd_, nullptr, bytes, kSpliceFlags);
    if (sent <= 0) break;
    bytes -= static_cast<size_t>(sent);
    progress = true;
  }
  // What the socket does not take now waits in memory: the pipe must be empty for the next stream.
  // Whether the socket is full or broken is found by the write at the end of the turn.
  while (bytes > 0) {
    const std::span<char> space{loop_.scratch_.get(), kScratchBytes};
    const ssize_t got = ::read(loop_.pipe_read_fd_, space.data(), std::min(bytes, space.size()));
    if (got < 0 && errno == EINTR) continue;
    assert(got > 0);
    send({space.data(), static_cast<size_t>(got)});
    bytes -= static_cast<size_t>(got);
  }
  if (progress) on_sent();
}

void Stream::receive() {
  uint64_t unread = 0;
  if (Stream* target = relay_target(unread); target != nullptr && relay(*target, unread)) return;
  const std::span<char> space = receive_space({loop_.scratch_.get(), kScratchBytes});
  const ssize_t got = ::recv(fd_, space.data(), space.size(), 0);
  if (got > 0) {
    on_data(std::string_view(space.data(), static_cast<size_t>(got)));
  } else if (got == 0) {
    ended_ = true;
    update_interest();
    on_end(0);
  } else if (!is_would_block(errno) && errno != EINTR) {
    on_end(errno);
  }
}

void Stream::flush() {
  if (phase_ != Phase::kOpen || write_blocked_) return;
  on_flush();
  bool progress = false;
  while (!output_.empty()) {
    iovec pieces[kPiecesPerWrite];
    const int count = output_.pieces(pieces, kPiecesPerWrite);
    ssize_t written;
    size_t offered = 0;
    if (count == 1) {
      offered = pieces[0].iov_len;
      written = ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    } else {
      for (int i = 0; i < count; ++i) offered += pieces[i].iov_len;
      msghdr message{};
      message.msg_iov = pieces;
      message.msg_iovlen = static_cast<size_t>(count);
      written = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    }
    if (written < 0) {
      if (errno == EINTR) continue;
      if (!is_would_block(errno)) {
        const int error = errno;
        // What the peer said before it went away may still be there to read.
        if (reading_ && !ended_) receive();
        if (phase_ == Phase::kOpen) on_end(error);
        return;
      }
      written = 0;
    }
    output_.consume(loop_.pool_, static_cast<uint64_t>(written));
    progress = progress || written > 0;
    if (static_cast<size_t>(written) < offered) {
      write_blocked_ = true;
      break;
    }
  }
  update_interest();
  if (progress) on_sent();
}

}  // namespace pikaproxy
