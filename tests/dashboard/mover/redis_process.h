#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "dashboard/mover/server_link.h"
#include "tests/common/temporary_directory.h"

namespace pikaproxy {

// A redis-server of a test's own, on a free port of 127.0.0.1, with its files in a directory that
// goes with it. Ends with the scope, and with the test program.
class RedisProcess {
 public:
  // `options` as on the command line: {"--requirepass", "secret"}.
  explicit RedisProcess(std::vector<std::string> options = {}) : options_(std::move(options)) {
    access_.address = {"127.0.0.1", free_port(), ""};
    for (size_t i = 0; i + 1 < options_.size(); ++i) {
      if (options_[i] == "--requirepass") access_.password = options_[i + 1];
    }
    start();
  }
  ~RedisProcess() { end(SIGKILL); }
  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;

  const ServerAccess& access() const noexcept { return access_; }

  void start() {
    std::vector<std::string> args = {"redis-server",
                                     "--port",
                                     std::to_string(access_.address.port),
                                     "--bind",
                                     "127.0.0.1",
                                     "--save",
                                     "",
                                     "--appendonly",
                                     "no",
                                     "--dir",
                                     directory_.path(""),
                                     "--logfile",
                                     directory_.path("log"),
                                     "--enable-debug-command",
                                     "yes"};
    args.insert(args.end(), options_.begin(), options_.end());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      const int null = ::open("/dev/null", O_RDWR);
      ::dup2(null, 0);
      ::dup2(null, 1);
      ::dup2(null, 2);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      auto link = ServerLink::connect(access_, "", std::chrono::seconds(5));
      if (link && !(*link)->call({"DBSIZE"}, std::chrono::seconds(5)).text.starts_with("LOADING")) {
        link_ = std::move(*link);
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("redis-server does not start; is it installed? " +
                             TemporaryDirectory::read_whole_file(directory_.path("log")));
  }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::kill(pid_, SIGCONT);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  void restart() {
    end(SIGKILL);
    start();
  }
  void freeze() { ::kill(pid_, SIGSTOP); }
  void thaw() { ::kill(pid_, SIGCONT); }

  // One command over a connection of the test.
  Reply operator()(const Args& args) {
    Reply reply = link_->call(args, std::chrono::seconds(20));
    if (reply.is_error() && reply.text.starts_with("LINK ")) {
      auto link = ServerLink::connect(access_, "", std::chrono::seconds(20));
      if (!link) return reply;
      link_ = std::move(*link);
      reply = link_->call(args, std::chrono::seconds(20));
    }
    return reply;
  }
  ServerLink& link() { return *link_; }
  int64_t keys() { return (*this)({"DBSIZE"}).integer; }

 private:
  // Free a moment ago, which has to do: redis-server cannot be asked for any port.
  static uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in addr{};
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof addr;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&addr), size) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &size) != 0) {
      throw std::runtime_error("no free port");
    }
    ::close(fd);
    return ntohs(addr.sin_port);
  }

  const std::vector<std::string> options_;
  TemporaryDirectory directory_;
  ServerAccess access_;
  pid_t pid_ = -1;
  std::unique_ptr<ServerLink> link_;
};

}  // namespace pikaproxy
