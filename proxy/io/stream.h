#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <sys/socket.h>

#include "proxy/io/byte_queue.h"
#include "proxy/io/event_loop.h"

namespace pikaproxy {

// A connected socket in an EventLoop: Client and Backend derive from it. Reads when the kernel has
// data, into the loop's scratch memory unless the owner names its own; writes once per turn
// whatever was queued. Loop's thread only.
class Stream {
 public:
  virtual ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool is_open() const noexcept { return fd_ >= 0; }
  int fd() const noexcept { return fd_; }
  uint64_t output_bytes() const noexcept { return output_.bytes(); }

 protected:
  // When in a turn it is written. Servers last: their answers should not come before all requests
  // of the turn are out.
  enum class Order : uint8_t { kFirst, kLast };

  Stream(EventLoop& loop, Order order) noexcept : loop_(loop), order_(order) {}

  // Takes over a connected, non-blocking socket. False (errno set) if the kernel refuses.
  bool attach(int fd);
  // Starts to connect; on_connect() tells the outcome, never from within this call.
  // False (errno set) if it failed at once.
  bool connect(const sockaddr* address, socklen_t size);
  // Closes the socket and drops the output; on_close() is not called.
  void close() noexcept;
  // The same, but the socket stays open and becomes the caller's; -1 if there was none.
  int release() noexcept;

  // Queued output is written at the end of the turn.
  void send(std::string_view bytes);
  void send_own(char* data, size_t begin, size_t end, size_t capacity);
  // Tries to write at once from the caller's memory and queues what the kernel does not take: saves
  // a copy of large pieces.
  void send_large(std::string_view bytes);
  // Moves what is queued there to the end of the output.
  void send_queue(ByteQueue& queue);

  // Nothing is queued and the socket takes bytes, as far as is known: fit for relay_target().
  bool can_send_at_once() const noexcept {
    return output_.empty() && phase_ == Phase::kOpen && !write_blocked_;
  }

  // Off: the kernel's receive buffer fills, and the peer has to wait.
  void set_reading(bool on);

  // Where the next bytes should go: the loop's scratch memory, a part of it, or memory of the
  // owner.
  virtual std::span<char> receive_space(std::span<char> scratch) { return scratch; }
  // `bytes` lie in that space; in scratch memory they are gone after the call.
  virtual void on_data(std::string_view bytes) = 0;
  // Where the next bytes go unread: the kernel passes up to `bytes` of them on without copying.
  // Null: they are received as above.
  virtual Stream* relay_target(uint64_t& /*bytes*/) { return nullptr; }
  // So many were taken from our socket for that stream.
  virtual void on_relayed(uint64_t /*bytes*/) {}
  // 0 = connected, else an errno.
  virtual void on_connect(int /*error*/) {}
  // The peer closed (0) or the socket failed (errno). The stream is still open; the owner closes
  // it. After a 0 (end of input) the owner may go on writing.
  virtual void on_end(int error) = 0;
  // Some output was written.
  virtual void on_sent() {}
  // About to write: the last chance to note the time.
  virtual void on_flush() {}

  EventLoop& loop_;

 private:
  friend class EventLoop;

  enum class Phase : uint8_t { kClosed, kConnecting, kOpen };

  void forget_socket() noexcept;
  void handle_events(uint32_t events);
  void receive();
  bool relay(Stream& target, uint64_t bytes);
  void take_from_pipe(size_t bytes);
  void finish_connect();
  void flush();
  void mark_dirty() noexcept;
  void update_interest() noexcept;

  ByteQueue output_;
  Stream* next_dirty_ = nullptr;
  int fd_ = -1;
  Phase phase_ = Phase::kClosed;
  const Order order_;
  bool dirty_ = false;
  bool reading_ = true;
  bool write_blocked_ = false;  // The kernel's send buffer is full; wait for EPOLLOUT.
  bool ended_ = false;          // End of input seen: reading again would only tell so again.
  uint32_t interest_ = 0;       // What epoll watches for.
};

}  // namespace pikaproxy
