#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "dashboard/http/file_descriptor.h"
#include "dashboard/mover/move_engine.h"
#include "dashboard/mover/stop_signal.h"

struct redisReader;

namespace pikaproxy {

// What a server answered.
struct Reply {
  enum class Kind : uint8_t { kStatus, kError, kInteger, kBulk, kNil, kArray };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // Of a status, error (with its code) or bulk.
  std::vector<Reply> elements;

  bool is_error() const noexcept { return kind == Kind::kError; }
  bool is_array() const noexcept { return kind == Kind::kArray; }
  bool is_bulk() const noexcept { return kind == Kind::kBulk; }
  bool is_nil() const noexcept { return kind == Kind::kNil; }
  bool is_ok() const noexcept { return kind == Kind::kStatus && text == "OK"; }
  bool is_integer(int64_t value) const noexcept {
    return kind == Kind::kInteger && integer == value;
  }
  // Whether it is an error that says the server lacks the command.
  bool is_unknown_command() const noexcept;

  bool operator==(const Reply&) const = default;
};

using Args = std::vector<std::string>;

// A connection to one server for control commands: blocking, with a deadline for every exchange,
// and ended by a StopSignal. After a failure it is broken for good; what had been sent may still
// run at the server (docs/slot-migration.md, "Settling"), so who gave it up may need its identity.
// One thread at a time.
class ServerLink {
 public:
  using Clock = std::chrono::steady_clock;

  // Connects, logs in and takes `name` (CLIENT SETNAME), which is unique among the server's clients
  // if the identity is to be known. `stop` outlives the link; null: nothing ends waiting early.
  static Result<std::unique_ptr<ServerLink>> connect(const ServerAccess& server,
                                                     const std::string& name,
                                                     std::chrono::milliseconds timeout,
                                                     StopSignal* stop = nullptr);
  ~ServerLink();
  ServerLink(const ServerLink&) = delete;
  ServerLink& operator=(const ServerLink&) = delete;

  // Adds a command to the next exchange().
  void add(const Args& args);
  // As add(), for a command of many arguments that are not at hand as one vector.
  void begin(size_t args);
  void arg(std::string_view value);
  size_t added() const noexcept { return added_; }

  // Sends what was added and reads an answer for each. False: the link is broken, see error().
  bool exchange(std::vector<Reply>& replies, std::chrono::milliseconds timeout);
  // One command. A broken link gives an error reply that begins with "LINK ".
  Reply call(const Args& args, std::chrono::milliseconds timeout);
  // Remembers the database; asks the server only when it changes.
  bool select(uint32_t db, std::chrono::milliseconds timeout);

  // Reads what still comes after the link was given up. True: all answers have come, or the server
  // has closed the connection.
  bool drain(std::chrono::milliseconds timeout);

  bool is_broken() const noexcept { return broken_; }
  // Whether commands were sent whose answers have not come.
  bool has_unanswered() const noexcept { return unanswered_ > 0; }
  // A sentence with the server's address.
  const std::string& error() const noexcept { return error_; }

  const ServerAccess& server() const noexcept { return server_; }
  const std::string& name() const noexcept { return name_; }
  // Its number at the server (CLIENT ID or CLIENT LIST); 0 if the server does not tell: Pika.
  int64_t client_id() const noexcept { return client_id_; }
  // "ip:port" of our end as the server sees it, without a number; empty if not known.
  const std::string& client_addr() const noexcept { return client_addr_; }
  // The server's ip, without port; empty for a unix socket.
  std::string peer_ip() const;
  Clock::duration idle_time() const noexcept { return Clock::now() - last_use_; }

 private:
  struct ReaderDeleter {
    void operator()(redisReader* reader) const noexcept;
  };

  ServerLink(ServerAccess server, std::string name, StopSignal* stop);
  bool open(Clock::time_point deadline);
  bool log_in(std::chrono::milliseconds timeout);
  bool identify(std::chrono::milliseconds timeout);
  bool fail(std::string_view what);
  // Waits until the socket is ready for `events`; 0 at the deadline or when stopped.
  short wait(short events, Clock::time_point deadline);
  bool receive();
  // -1: broken, 0: nothing complete yet, 1: one reply taken.
  int take(Reply& reply);

  const ServerAccess server_;
  const std::string name_;
  StopSignal* const stop_;
  FileDescriptor socket_;
  std::unique_ptr<redisReader, ReaderDeleter> reader_;
  std::string output_;
  size_t added_ = 0;
  size_t unanswered_ = 0;
  bool broken_ = false;
  bool closed_ = false;  // By the server, or on the way.
  std::string error_;
  uint32_t db_ = 0;
  int64_t client_id_ = 0;
  std::string client_addr_;
  Clock::time_point last_use_ = Clock::now();
};

}  // namespace pikaproxy
