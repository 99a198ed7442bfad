#pragma once

#include <sys/socket.h>

#include "common/config.h"

namespace pikaproxy {

// A socket address the kernel understands, made from an Address whose host is a literal.
class SocketAddress {
 public:
  // False if the host is a name or the path too long.
  bool set(const Address& address) noexcept;
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const noexcept { return size_; }

 private:
  sockaddr_storage storage_{};
  socklen_t size_ = 0;
};

// What every TCP connection of ours gets: no Nagle delay, and probes after `keepalive` of silence
// (0 = none). Unix sockets are left alone.
void set_socket_options(int fd, Milliseconds keepalive) noexcept;

// "127.0.0.1:6379", "[::1]:6379", "unix:/path" or "unix:" for an unnamed one.
std::string peer_name(int fd);
std::string local_name(int fd);

}  // namespace pikaproxy
