#include "dashboard/http/tcp_listener.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>

namespace pikaproxy {
namespace {

constexpr int kBacklog = 1024;

Error cannot_listen(const Address& address, const std::string& why, std::string_view what_to_do) {
  return Error{"cannot listen for HTTP on " + address.to_string() + ": " + why + "; " +
               std::string(what_to_do)};
}

std::string_view advice(int error) noexcept {
  switch (error) {
    case EADDRINUSE:
      return "stop the process that has this port, or set admin.listen to another one";
    case EADDRNOTAVAIL:
      return "set admin.listen to an address that this machine has";
    case EACCES:
      return "set admin.listen to a port from 1024 on, or give the process CAP_NET_BIND_SERVICE";
    default:
      return "set admin.listen to another address";
  }
}

uint16_t port_of(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  const in_port_t port = bound.ss_family == AF_INET6
                             ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                             : reinterpret_cast<const sockaddr_in&>(bound).sin_port;
  return ntohs(port);
}

// The listening socket, or one that is not open, with errno set.
FileDescriptor try_listen(const addrinfo& info) {
  FileDescriptor fd(::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return fd;
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), info.ai_addr, info.ai_addrlen) == 0 && ::listen(fd.get(), kBacklog) == 0) {
    return fd;
  }
  const int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

}  // namespace

Result<TcpListener> listen_tcp(const Address& address) {
  if (address.is_unix()) {
    return cannot_listen(address, "it is a unix socket", "set admin.listen to host:port");
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int failure = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (failure != 0) {
    return cannot_listen(address, ::gai_strerror(failure),
                         "set admin.listen to an address or a name that this machine knows");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  int first_error = 0;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    TcpListener listener;
    listener.fd = try_listen(*info);
    if (listener.fd.is_open()) {
      listener.port = port_of(listener.fd.get());
      return listener;
    }
    if (first_error == 0) first_error = errno;
  }
  return cannot_listen(address, std::strerror(first_error), advice(first_error));
}

Peer describe_peer(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  if (from.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, text, sizeof text);
    return Peer{text, text};
  }
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    ::inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
    return Peer{text, text};
  }
  ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  return Peer{text, std::string(reinterpret_cast<const char*>(v6.s6_addr), 8)};
}

}  // namespace pikaproxy
