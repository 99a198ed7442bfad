#pragma once

#include <arpa/inet.h>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "common/ascii.h"
#include "common/resp.h"
#include "common/slot.h"
#include "dashboard/mover/server_link.h"

namespace pikaproxy {

// Answers what the engine asks of a codis-server, with keys in memory. Its two migrating commands
// hand keys to another one of these.
//   Source: codis extern/redis-3.2.11/src/slots.c.
class CodisStandIn {
 public:
  CodisStandIn() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
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
  ~CodisStandIn() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : fds_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& client : clients_) client.join();
    for (const int fd : fds_) ::close(fd);
    ::close(listener_);
  }

  const ServerAccess& access() const noexcept { return access_; }
  void send_to(CodisStandIn& target) { target_ = &target; }
  // The answer to migrating commands from now on; empty: they work.
  void refuse_with(std::string error) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(error);
  }
  void set(uint32_t db, const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    dbs_[db][key] = value;
  }
  size_t keys(uint32_t db = 0) {
    const std::lock_guard lock(mutex_);
    return dbs_[db].size();
  }

 private:
  void accept_clients() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0 || stopping_) {
        if (fd >= 0) ::close(fd);
        return;
      }
      const std::lock_guard lock(mutex_);
      fds_.push_back(fd);
      clients_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    std::string input;
    uint32_t db = 0;
    char bytes[4096];
    while (true) {
      const ssize_t size = ::recv(fd, bytes, sizeof bytes, 0);
      if (size <= 0) return;
      input.append(bytes, static_cast<size_t>(size));
      Args args;
      std::string output;
      while (take_command(input, args)) output += answer(args, db);
      if (!output.empty()) (void)::send(fd, output.data(), output.size(), MSG_NOSIGNAL);
    }
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

  std::string answer(const Args& args, uint32_t& db) {
    const std::string& name = args[0];
    if (name == "SELECT") {
      db = static_cast<uint32_t>(std::atoi(args[1].c_str()));
      return std::string(resp::kOk);
    }
    if (name == "CLIENT") {
      if (args[1] == "SETNAME") return std::string(resp::kOk);
      if (args[1] == "ID") return resp::error("ERR Syntax error, try CLIENT (LIST | KILL)");
      if (args[1] == "LIST") return resp::bulk("");
      return resp::integer(0);
    }
    if (name == "PING") return "+PONG\r\n";
    const std::lock_guard lock(mutex_);
    auto& keys = dbs_[db];
    if (name == "INFO") {
      std::string text = "# Server\r\nredis_version:3.2.11\r\nrole:master\r\n# Keyspace\r\n";
      for (const auto& [number, map] : dbs_) {
        if (map.empty()) continue;
        text += "db" + std::to_string(number) + ":keys=" + std::to_string(map.size()) +
                ",expires=0,avg_ttl=0\r\n";
      }
      return resp::bulk(text);
    }
    if (name == "TYPE") return keys.count(args[1]) ? "+string\r\n" : "+none\r\n";
    if (name == "STRLEN") return resp::integer(static_cast<int64_t>(keys[args[1]].size()));
    if (name == "EXISTS") return resp::integer(static_cast<int64_t>(keys.count(args[1])));
    if (name == "SLOTSMGRTTAGONE" && args.size() == 5) {
      if (!refusal_.empty()) return resp::error(refusal_);
      return resp::integer(move(db, args[4]));
    }
    if (name == "SLOTSMGRTTAGSLOT" && args.size() == 5) {
      if (!refusal_.empty()) return resp::error(refusal_);
      const auto slot = static_cast<SlotId>(std::atoi(args[4].c_str()));
      int64_t moved = 0;
      int64_t left = 0;
      std::string one;
      for (const auto& [key, value] : keys) {
        if (slot_of(key) != slot) continue;
        if (left++ == 0) one = key;
      }
      if (left > 0) moved = move(db, one);
      return "*2\r\n" + resp::integer(moved) + resp::integer(left - moved);
    }
    if (name.starts_with("SLOTS")) return resp::error("ERR wrong number of arguments");
    return resp::error("ERR unknown command '" + name + "'");
  }

  // With mutex_ held: the key and all with its tag.
  int64_t move(uint32_t db, const std::string& key) {
    auto& keys = dbs_[db];
    int64_t moved = 0;
    for (auto it = keys.begin(); it != keys.end();) {
      const bool goes =
          it->first == key || (hash_part(key) != key && hash_part(it->first) == hash_part(key));
      if (!goes) {
        ++it;
        continue;
      }
      target_->set(db, it->first, it->second);
      it = keys.erase(it);
      ++moved;
    }
    return moved;
  }

  ServerAccess access_;
  const int listener_;
  std::atomic<bool> stopping_{false};
  CodisStandIn* target_ = nullptr;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::map<uint32_t, std::map<std::string, std::string>> dbs_;
  std::string refusal_;
  std::vector<int> fds_;
  std::vector<std::thread> clients_;
  std::thread acceptor_;
};

}  // namespace pikaproxy
