#include "proxy/io/listener.h"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "proxy/io/socket_options.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// Accepted in one go before other work gets its turn.
constexpr int kAcceptsPerTurn = 64;
constexpr std::string_view kTooManyClients = "-ERR max number of clients reached\r\n";

Error cannot_listen(const std::string& address, const std::string& why) {
  return Error{"cannot listen on " + address + ": " + why};
}

// A socket file that nobody answers on is a leftover of a process that was killed.
bool is_stale_socket(const SocketAddress& address, const std::string& path) {
  struct stat file;
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool refused = ::connect(fd, address.get(), address.size()) != 0 && errno == ECONNREFUSED;
  ::close(fd);
  return refused;
}

Result<int> listen_on(const SocketAddress& target, const std::string& name, int backlog) {
  const int family = target.get()->sa_family;
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot_listen(name, std::strerror(errno));
  const int on = 1;
  if (family != AF_UNIX) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd, target.get(), target.size()) != 0 || ::listen(fd, backlog) != 0) {
    const int error = errno;
    ::close(fd);
    const char* const taken = family == AF_UNIX ? "a file is there, or another process listens"
                                                : "another process listens there";
    return cannot_listen(name, error == EADDRINUSE ? taken : std::strerror(error));
  }
  return fd;
}

}  // namespace

Result<std::vector<std::unique_ptr<Listener>>> Listener::listen(asio::io_context& context,
                                                                WorkerManager& manager,
                                                                const ProxyConfig& config,
                                                                const Address& address,
                                                                uint8_t number) {
  std::vector<std::unique_ptr<Listener>> listeners;
  const auto backlog = static_cast<int>(config.tcp_backlog);
  const std::string name = address.to_string();
  if (address.is_unix()) {
    SocketAddress target;
    target.set(address);
    if (is_stale_socket(target, address.path)) ::unlink(address.path.c_str());
    // The mode must hold from the first moment on, hence the mask instead of a chmod afterwards.
    const mode_t old_mask = ::umask(~config.unix_mode & 0777);
    const Result<int> fd = listen_on(target, name, backlog);
    ::umask(old_mask);
    if (!fd) return Error{fd.error()};
    listeners.emplace_back(new Listener(context, manager, *fd, number, address.path));
    return listeners;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(address.host.c_str(), nullptr, &hints, &found); error != 0) {
    return cannot_listen(name, ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    char host[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, host, sizeof host, nullptr, 0,
                      NI_NUMERICHOST) != 0) {
      continue;
    }
    SocketAddress target;
    if (!target.set(Address{host, address.port, ""})) continue;
    const Result<int> fd = listen_on(target, name, backlog);
    if (!fd) return Error{fd.error()};
    listeners.emplace_back(new Listener(context, manager, *fd, number, ""));
  }
  if (listeners.empty()) return cannot_listen(name, "the host has no usable address");
  return listeners;
}

Listener::Listener(asio::io_context& context, WorkerManager& manager, int fd, uint8_t number,
                   std::string unix_path)
    : manager_(manager),
      socket_(context, fd),
      number_(number),
      pause_(context),
      unix_path_(std::move(unix_path)) {}

Listener::~Listener() {
  stop();
}

void Listener::start() {
  log_info("listening", "address", local_name(socket_.native_handle()));
  wait();
}

void Listener::stop() {
  pause_.cancel();
  if (!socket_.is_open()) return;
  socket_.close();
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
}

void Listener::wait() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code ec) {
    if (!ec) accept_all();
  });
}

void Listener::accept_all() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd =
        ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      // Out of descriptors or memory: the waiting client stays in the backlog, and asking again at
      // once would only burn the CPU.
      log_error("cannot accept clients", "error", std::strerror(errno));
      pause_.expires_after(std::chrono::milliseconds(100));
      pause_.async_wait([this](std::error_code ec) {
        if (!ec) wait();
      });
      return;
    }
    if (!manager_.add_client(fd, number_)) refuse(fd);
  }
  wait();
}

void Listener::refuse(int fd) {
  manager_.rejected().add();
  // A new socket's send buffer has room for one line.
  [[maybe_unused]] const ssize_t sent =
      ::send(fd, kTooManyClients.data(), kTooManyClients.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::close(fd);
}

}  // namespace pikaproxy
