#include "proxy/io/socket_options.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstddef>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

namespace pikaproxy {
namespace {

std::string name_of(const sockaddr_storage& storage, socklen_t size) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (storage.ss_family) {
    case AF_INET: {
      const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
      inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
      return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    case AF_INET6: {
      const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
      return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    case AF_UNIX: {
      const auto& local = reinterpret_cast<const sockaddr_un&>(storage);
      const size_t header = offsetof(sockaddr_un, sun_path);
      if (size <= header) return "unix:";
      return "unix:" + std::string(local.sun_path, strnlen(local.sun_path, size - header));
    }
    default:
      return "?";
  }
}

}  // namespace

bool SocketAddress::set(const Address& address) noexcept {
  storage_ = {};
  if (address.is_unix()) {
    auto& local = reinterpret_cast<sockaddr_un&>(storage_);
    if (address.path.size() >= sizeof local.sun_path) return false;
    local.sun_family = AF_UNIX;
    std::memcpy(local.sun_path, address.path.data(), address.path.size());
    size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() + 1);
    return true;
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage_);
  if (inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    size_ = sizeof v4;
    return true;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage_);
  if (inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    size_ = sizeof v6;
    return true;
  }
  return false;
}

void set_socket_options(int fd, Milliseconds keepalive) noexcept {
  int on = 1;
  if (::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return;  // Not TCP.
  if (keepalive.count() == 0) return;
  // Probes at a third of the time each, so a dead peer is found in twice that time.
  const int idle = std::max(1, static_cast<int>(keepalive.count() / 1000));
  const int interval = std::max(1, idle / 3);
  const int probes = 3;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

std::string peer_name(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "?";
  return name_of(storage, size);
}

std::string local_name(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "?";
  return name_of(storage, size);
}

}  // namespace pikaproxy
