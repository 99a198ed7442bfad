#pragma once

#include <memory>
#include <string>
#include <vector>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include "common/config.h"
#include "common/result.h"

namespace pikaproxy {

class WorkerManager;

// Accepts clients on one address and hands them to the workers. Runs on the thread of `context`.
class Listener {
 public:
  // Listens at once. `number`: see Client, which gets it. A host name may stand for several
  // addresses: all of them are listened on. Errors: the address is taken or not ours, as a
  // sentence.
  static Result<std::vector<std::unique_ptr<Listener>>> listen(asio::io_context& context,
                                                               WorkerManager& manager,
                                                               const ProxyConfig& config,
                                                               const Address& address,
                                                               uint8_t number);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start();
  // No more clients. A unix socket's file is removed.
  void stop();

 private:
  Listener(asio::io_context& context, WorkerManager& manager, int fd, uint8_t number,
           std::string unix_path);

  void wait();
  void accept_all();
  void refuse(int fd);

  WorkerManager& manager_;
  asio::posix::stream_descriptor socket_;
  const uint8_t number_;
  asio::steady_timer pause_;
  const std::string unix_path_;
};

}  // namespace pikaproxy
