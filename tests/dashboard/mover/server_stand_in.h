#pragma once

#include <arpa/inet.h>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "dashboard/mover/server_link.h"

namespace pikaproxy {

// A server on a free port of 127.0.0.1 that answers what a derived class says; one thread for each
// client. A derived class calls stop() in its destructor.
class ServerStandIn {
 public:
  const ServerAccess& access() const noexcept { return access_; }

 protected:
  // Of one connection, for its thread.
  struct Client {
    int fd = -1;
    std::string addr;  // "ip:port"
    uint32_t db = 0;
    bool is_killed = false;  // Gets no answers any more; closed after its commands.
  };

  ServerStandIn() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in addr{};
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof addr;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&addr), size) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&addr), &size) != 0) {
      throw std::runtime_error("no port for a stand-in");
    }
    access_.address = {"127.0.0.1", ntohs(addr.sin_port), ""};
    acceptor_ = std::thread([this] { accept_clients(); });
  }
  virtual ~ServerStandIn() = default;

  // On the client's thread.
  virtual std::string answer(const Args& args, Client& client) = 0;

  void stop() {
    if (stopping_.exchange(true)) return;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(clients_mutex_);
      for (const auto& [fd, client] : clients_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  // "ip:port" of those connected and not killed.
  std::vector<std::string> client_addrs() {
    const std::lock_guard lock(clients_mutex_);
    std::vector<std::string> addrs;
    for (const auto& [fd, client] : clients_) {
      if (!client->is_killed) addrs.push_back(client->addr);
    }
    return addrs;
  }
  // As Pika: it is off the list at once, and closed when it has done with its commands.
  bool kill(const std::string& addr) {
    const std::lock_guard lock(clients_mutex_);
    for (const auto& [fd, client] : clients_) {
      if (client->addr != addr || client->is_killed) continue;
      client->is_killed = true;
      ::shutdown(fd, SHUT_RD);
      return true;
    }
    return false;
  }

 private:
  void accept_clients() {
    while (true) {
      sockaddr_in addr{};
      socklen_t size = sizeof addr;
      const int fd = ::accept4(listener_, reinterpret_cast<sockaddr*>(&addr), &size, SOCK_CLOEXEC);
      if (fd < 0 || stopping_) {
        if (fd >= 0) ::close(fd);
        return;
      }
      const std::lock_guard lock(clients_mutex_);
      threads_.emplace_back([this, fd, port = ntohs(addr.sin_port)] {
        serve(fd, "127.0.0.1:" + std::to_string(port));
      });
    }
  }

  void serve(int fd, std::string addr) {
    Client client;
    client.fd = fd;
    client.addr = std::move(addr);
    {
      const std::lock_guard lock(clients_mutex_);
      clients_[fd] = &client;
      if (stopping_) ::shutdown(fd, SHUT_RDWR);
    }
    std::string input;
    char bytes[4096];
    while (true) {
      const ssize_t size = ::recv(fd, bytes, sizeof bytes, 0);
      if (size <= 0) break;
      input.append(bytes, static_cast<size_t>(size));
      Args args;
      std::string output;
      while (take_command(input, args)) output += answer(args, client);
      const std::lock_guard lock(clients_mutex_);
      if (client.is_killed) break;
      if (!output.empty()) (void)::send(fd, output.data(), output.size(), MSG_NOSIGNAL);
    }
    const std::lock_guard lock(clients_mutex_);
    clients_.erase(fd);
    ::close(fd);
  }

  static bool take_command(std::string& input, Args& args) {
    args.clear();
    size_t at = 0;
    const auto number = [&](char type, long& value) {
      const size_t end = input.find("\r\n", at);
      if (end == std::string::npos || input[at] != type) return false;
      value = std::atol(input.c_str() + at + 1);
      at = end + 2;
      return true;
    };
    long count = 0;
    if (input.empty() || !number('*', count)) return false;
    for (long i = 0; i < count; ++i) {
      long size = 0;
      if (at >= input.size() || !number('$', size)) return false;
      if (input.size() < at + static_cast<size_t>(size) + 2) return false;
      args.push_back(input.substr(at, static_cast<size_t>(size)));
      at += static_cast<size_t>(size) + 2;
    }
    input.erase(0, at);
    return true;
  }

  ServerAccess access_;
  const int listener_;
  std::atomic<bool> stopping_{false};
  std::mutex clients_mutex_;
  // Guarded by clients_mutex_.
  std::map<int, Client*> clients_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace pikaproxy
