#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "common/address.h"
#include "common/ascii.h"
#include "common/request_parser.h"
#include "common/resp.h"

namespace pikaproxy {

// A small Redis in a thread of its own, which can hang, keep replies back and be asked what it saw.
// It knows CLIENT ID and CLIENT KILL. Any thread may call its methods.
class ScriptedServer {
 public:
  using Words = std::vector<std::string>;

  ScriptedServer() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_, 64);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = Address{"127.0.0.1", ntohs(address.sin_port), ""};
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedServer() {
    ending_ = true;
    thread_.join();
    for (auto& [id, connection] : connections_) ::close(connection.fd);
    for (const int fd : killed_sockets_) ::close(fd);
    ::close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  const Address& address() const noexcept { return address_; }

  // While hung it reads and accepts nothing.
  void hang(bool on) { hung_ = on; }
  // The connections that there are now are not read from until go_on(). New ones are: a request
  // that should be dead gets every chance to run late.
  void stall() { stalled_ = last_id_.load(); }
  void go_on() { stalled_ = 0; }
  // A connection that is killed is read from no more, and unknown, but stays open until this is
  // taken back: Pika closes one when its thread has done with the last request.
  void finish_slowly(bool on) { finishes_slowly_ = on; }
  // Requests with this name are executed, but not answered until the name is taken back ("").
  void keep_back(const std::string& name) {
    const std::lock_guard lock(mutex_);
    kept_back_ = name;
  }
  // Replies to requests with this name, instead of doing what it says.
  void answer(const std::string& name, const std::string& reply) {
    const std::lock_guard lock(mutex_);
    answers_[name] = reply;
  }

  // Requests so far, but for those of handshakes.
  std::vector<Words> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  size_t count(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const Words& words : seen_) count += words[0] == name ? 1 : 0;
    return count;
  }
  // "" = not there.
  std::string value(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = store_.find(key);
    return found == store_.end() ? "" : found->second;
  }
  void set(const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    store_[key] = value;
  }
  size_t killed() const {
    const std::lock_guard lock(mutex_);
    return killed_;
  }
  bool owes_replies() const {
    const std::lock_guard lock(mutex_);
    return !owed_.empty();
  }

 private:
  struct Connection {
    int fd = -1;
    std::string input;
    std::string address;
  };

  void run() {
    while (!ending_) {
      pollfd wait{listener_, POLLIN, 0};
      if (hung_) {
        ::poll(nullptr, 0, 1);
        continue;
      }
      if (::poll(&wait, 1, 0) > 0) accept();
      bool did = false;
      for (auto it = connections_.rbegin(); it != connections_.rend();) {
        const uint64_t id = it->first;
        ++it;
        did = serve(id) || did;
        it = std::make_reverse_iterator(connections_.lower_bound(id));
      }
      pay();
      if (!finishes_slowly_) {
        for (const int fd : killed_sockets_) ::close(fd);
        killed_sockets_.clear();
      }
      if (!did) ::poll(nullptr, 0, 1);
    }
  }
  void accept() {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const int fd = ::accept4(listener_, reinterpret_cast<sockaddr*>(&peer), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    connections_[++last_id_] =
        Connection{fd, "", "127.0.0.1:" + std::to_string(ntohs(peer.sin_port))};
  }
  bool serve(uint64_t id) {
    if (id <= stalled_) return false;
    Connection& connection = connections_[id];
    char bytes[65536];
    const ssize_t got = ::recv(connection.fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
      close(id);
      return true;
    }
    connection.input.append(bytes, static_cast<size_t>(got));
    RequestParser parser;
    RequestProgress progress;
    while (connections_.contains(id) && parser.parse(connection.input, progress, RequestLimits{}) ==
                                            RequestParser::Status::kRequest) {
      Words words(parser.args().begin(), parser.args().end());
      words[0] = to_upper(words[0]);
      const std::string input = connection.input.substr(parser.size());
      connection.input = input;
      progress = {};
      std::string reply;
      bool is_kept_back = false;
      {
        const std::lock_guard lock(mutex_);
        if (words[0] != "PING" && words[0] != "CLIENT" && words[0] != "SELECT") {
          seen_.push_back(words);
        }
        reply = execute(id, words);
        is_kept_back = !kept_back_.empty() && words[0] == kept_back_;
        if (is_kept_back) owed_.emplace_back(id, reply);
      }
      if (!is_kept_back) send(id, reply);
    }
    return true;
  }
  // What was kept back and may go now.
  void pay() {
    std::vector<std::pair<uint64_t, std::string>> owed;
    {
      const std::lock_guard lock(mutex_);
      if (!kept_back_.empty()) return;
      owed.swap(owed_);
    }
    for (const auto& [id, reply] : owed) send(id, reply);
  }
  void send(uint64_t id, const std::string& reply) {
    const auto connection = connections_.find(id);
    if (connection == connections_.end()) return;
    [[maybe_unused]] const ssize_t sent =
        ::send(connection->second.fd, reply.data(), reply.size(), MSG_NOSIGNAL);
  }
  void close(uint64_t id, bool is_killed = false) {
    if (is_killed) {
      killed_sockets_.push_back(connections_[id].fd);
    } else {
      ::close(connections_[id].fd);
    }
    connections_.erase(id);
  }
  // With mutex_ held.
  std::string execute(uint64_t id, const Words& words) {
    std::string joined = words[0];
    if (words[0] == "CLIENT") joined += " " + to_upper(words[1]);
    if (const auto answer = answers_.find(joined); answer != answers_.end()) return answer->second;
    std::string out;
    if (joined == "PING") return "+PONG\r\n";
    if (joined == "SELECT" || joined == "CLIENT SETNAME") return "+OK\r\n";
    if (joined == "CLIENT ID") return ":" + std::to_string(id) + "\r\n";
    if (joined == "CLIENT KILL") return kill(words);
    if (joined == "SET") {
      store_[words[1]] = words[2];
      return "+OK\r\n";
    }
    if (joined == "MSET") {
      for (size_t i = 1; i < words.size(); i += 2) store_[words[i]] = words[i + 1];
      return "+OK\r\n";
    }
    if (joined == "FLUSHALL") {
      store_.clear();
      return "+OK\r\n";
    }
    const auto append = [&](const std::string& key) {
      const auto found = store_.find(key);
      if (found == store_.end()) {
        out += resp::kNull;
      } else {
        resp::append_bulk(out, found->second);
      }
    };
    if (joined == "GET") {
      append(words[1]);
      return out;
    }
    if (joined == "MGET") {
      resp::append_array(out, static_cast<int64_t>(words.size()) - 1);
      for (size_t i = 1; i < words.size(); ++i) append(words[i]);
      return out;
    }
    return "-ERR unknown command '" + joined + "'\r\n";
  }
  std::string kill(const Words& words) {
    const bool by_id = words.size() == 6;  // CLIENT KILL ID n ADDR a
    for (auto& [id, connection] : connections_) {
      const bool is_it = by_id ? std::to_string(id) == words[3] && connection.address == words[5]
                               : connection.address == words[2];
      if (!is_it) continue;
      ++killed_;
      const uint64_t gone = id;
      close(gone, true);
      return by_id ? ":1\r\n" : "+OK\r\n";
    }
    return by_id ? ":0\r\n" : "-ERR No such client\r\n";
  }

  int listener_ = -1;
  Address address_;
  std::atomic<bool> ending_{false};
  std::atomic<bool> hung_{false};
  std::atomic<bool> finishes_slowly_{false};
  std::atomic<uint64_t> stalled_{0};  // Connections up to this id.
  std::atomic<uint64_t> last_id_{0};

  // Its thread only.
  std::map<uint64_t, Connection> connections_;
  std::vector<int> killed_sockets_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, std::string> store_;
  std::map<std::string, std::string> answers_;
  std::vector<Words> seen_;
  std::vector<std::pair<uint64_t, std::string>> owed_;
  std::string kept_back_;
  size_t killed_ = 0;

  std::thread thread_;
};

}  // namespace pikaproxy
