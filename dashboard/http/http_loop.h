#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dashboard/http/file_descriptor.h"
#include "dashboard/http/host_check.h"
#include "dashboard/http/http_mailbox.h"
#include "dashboard/http/http_request_reader.h"
#include "dashboard/http/http_routes.h"
#include "dashboard/http/http_server.h"
#include "dashboard/http/http_socket.h"
#include "dashboard/http/tcp_listener.h"

namespace pikaproxy {

// The loop thread of an HttpServer: all sockets, their states and deadlines. Everything but the
// constructor runs on that thread.
//
// A connection's states:
//
//   kHandshaking (with TLS) --> kReading
//
//   kReading --complete--> kHandling --response--> kWriting --keep-alive--> kReading
//      |                                              ^ '------close-------> kLingering --EOF-->
//      gone
//      '--refused (the response is made here)---------'
//
// A response whose body is still to come (HttpBodySource) goes from kHandling to kStreaming or
// kWaiting. kStreaming: what the source has is sent, until it ends, then kLingering. kWaiting: when
// the source has ended the response is made, then kWriting.
class HttpLoop {
 public:
  using Submit = std::function<void(HttpJob)>;

  HttpLoop(const HttpServerConfig& config, const HttpRoutes& routes, TcpListener listener,
           HttpMailbox& mailbox, Submit submit);

  // The errno with which the kernel refused a descriptor; 0 = ready to run.
  int setup_error() const noexcept { return setup_error_; }

  // Until the mailbox says stop and the connections are gone.
  void run();

 private:
  using Clock = std::chrono::steady_clock;

  enum class State {
    kHandshaking,
    kReading,
    kHandling,
    kStreaming,
    kWaiting,
    kWriting,
    kLingering
  };

  struct Connection {
    Connection(const HttpLimits& limits, FileDescriptor fd, const TlsContext* tls)
        : socket(std::move(fd), tls), reader(limits) {}

    uint64_t id = 0;
    HttpSocket socket;
    Peer peer;
    State state = State::kReading;
    uint32_t armed_events = 0;     // What epoll watches for.
    Clock::time_point deadline{};  // Its entry in deadlines_; none while kHandling.
    HttpRequestReader reader;
    bool has_started = false;  // Bytes of the request have arrived.
    bool has_judged = false;   // The head was checked and the request not refused.
    const HttpRoute* route = nullptr;
    std::string input;      // Received and not used: requests sent ahead.
    size_t input_used = 0;  // Bytes at the front of input that are used.
    size_t buffered = 0;    // Bytes counted in buffered_ for this connection.
    std::string output;
    size_t output_sent = 0;
    bool keep_alive = true;  // After the output; otherwise linger and close.
    // kStreaming and kWaiting only:
    std::shared_ptr<HttpBodySource> source;
    Clock::time_point pull_at{};  // In pulls_.
    bool is_source_done = false;
    HttpResponse pending;  // kWaiting.
    HttpFraming framing;   // kWaiting.
  };

  void accept_some();
  bool make_room();
  void refuse_connection(int fd, std::string detail);
  void add_connection(FileDescriptor fd, Peer peer);
  void on_event(Connection& connection, uint32_t events);
  void shake_hands(Connection& connection);
  void refuse_plain_http(Connection& connection);
  enum class Intake { kSome, kNone, kEnd };
  Intake take_input(Connection& connection);
  void read_some(Connection& connection);
  void watch_for_end(Connection& connection);
  void discard_some(Connection& connection);
  void advance(Connection& connection);
  enum class Flush { kDone, kBlocked, kBroken };
  Flush flush(Connection& connection);
  bool has_input(const Connection& connection) const noexcept;
  void consume(Connection& connection);
  void judge(Connection& connection);
  void submit(Connection& connection);
  void respond(Connection& connection, std::string_view bytes, bool keep_alive);
  void refuse(Connection& connection, const HttpProblem& problem, bool keep_alive,
              std::string allow = {});
  void begin_next_request(Connection& connection);
  void linger(Connection& connection);
  void close(Connection& connection);
  void watch(Connection& connection, uint32_t events);
  void clear_deadline(Connection& connection);
  void set_deadline(Connection& connection, Clock::time_point deadline);
  void take_mail();
  void begin_source(Connection& connection, HttpJobResult& result);
  void refuse_source(Connection& connection, const HttpFraming& framing);
  void pull(Connection& connection);
  void end_source(Connection& connection);
  void pull_all();
  void set_pull(Connection& connection, Clock::time_point at);
  void begin_stop();
  void expire();
  int wait_ms() const;

  // Constant after construction.
  const HttpServerConfig& config_;
  const HttpRoutes& routes_;
  const HostCheck host_check_;
  const Submit submit_;
  HttpMailbox& mailbox_;
  FileDescriptor epoll_;
  int setup_error_ = 0;

  // Loop thread only.
  FileDescriptor listener_;
  Clock::time_point now_{};
  Clock::time_point accept_again_at_ = Clock::time_point::max();
  Clock::time_point stop_at_ = Clock::time_point::max();
  bool is_stopping_ = false;
  uint64_t next_id_;
  std::unordered_map<uint64_t, Connection> connections_;
  std::unordered_map<std::string, uint32_t> connections_by_peer_;
  std::set<std::pair<Clock::time_point, uint64_t>> deadlines_;
  std::set<std::pair<Clock::time_point, uint64_t>> pulls_;  // When sources are asked next.
  Clock::time_point wake_at_ = Clock::time_point::max();    // When all of them are asked.
  Clock::time_point woken_at_{};
  uint64_t buffered_ = 0;  // Bytes of requests held, over all connections.
  std::vector<char> scratch_;
};

}  // namespace pikaproxy
