#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/address.h"
#include "common/result.h"
#include "common/tls_context.h"
#include "dashboard/http/http_request_reader.h"
#include "dashboard/http/http_routes.h"

namespace pikaproxy {

struct HttpServerConfig {
  Address listen;
  std::vector<std::string>
      allowed_hosts;  // Names in the Host header beside addresses and localhost.
  std::shared_ptr<const TlsContext> tls;  // HTTPS; null: HTTP.
  uint32_t workers = 4;                   // Threads that run handlers.
  HttpLimits limits;
  uint32_t connections_max = 2048;           // Then the longest idle one is closed for a new one.
  uint32_t connections_per_peer_max = 1792;  // Per IPv4 address or IPv6 /64; further ones get 503.
  uint32_t sources_max = 1280;               // Bodies under way at once; further ones get 503.
  uint64_t buffered_max = 64ull << 20;       // Bytes of requests, all connections; 503 beyond.
  std::chrono::milliseconds handshake_timeout{10'000};  // Of TLS, from the connect on.
  std::chrono::milliseconds request_timeout{10'000};    // From its first byte to its last; 408.
  std::chrono::milliseconds idle_timeout{60'000};       // Between requests, and before the first.
  std::chrono::milliseconds response_timeout{30'000};   // Until the client has taken all of it.
  std::chrono::milliseconds linger_timeout{2'000};      // For the client to read the last response.
  std::chrono::milliseconds stop_timeout{1'000};        // stop() lets responses under way finish.
};

// An HTTP/1.1 server for an admin port that anybody may connect to.
//
//   sockets -- loop thread: accept, read, parse, refuse, write --+-- jobs --> worker threads:
//   handlers
//                         ^                                      |
//                         '------------- eventfd <-- responses --'
//
// The loop thread alone touches sockets, and never waits for a handler; a worker sees nothing but
// complete requests, and never waits for a client. So slow senders, slow readers and idle
// connections cost a connection each, and connections, memory and time are bounded
// (HttpServerConfig). A connection is not read from while its request is being answered: pipelined
// requests are answered in order, and what a client sends ahead stays in the kernel.
//
// cpp-httplib is not used here, although it could be fed from our own sockets: heads must be read
// and bounded by the loop before it sees them, so it would only parse a second time, more leniently
// than the first reader, and two opinions about where a request ends are how requests get smuggled.
// Its 0.11 release also loses pipelined bytes, ignores the body limit for some bodies and sends
// exception texts to clients. The reader that replaces it has 250 lines (http_request_reader.cc).
class HttpServer {
 public:
  // Listens and starts the threads. Errors: the address cannot be used, with what to do.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerConfig config,
                                                   std::vector<HttpRoute> routes);
  ~HttpServer();

  // The port listened on.
  uint16_t port() const noexcept { return port_; }

  // Something happened that bodies under way may want to tell (HttpBodySource). Any thread; cheap.
  void wake_sources();

  // Closes the listener and idle connections, gives responses under way stop_timeout, closes the
  // rest and joins the threads. One thread at a time; more than once is harmless. Waits for running
  // handlers.
  void stop();

 private:
  struct Parts;

  HttpServer(std::unique_ptr<Parts> parts, uint16_t port);

  std::unique_ptr<Parts> parts_;
  uint16_t port_ = 0;
  std::thread loop_thread_;
};

}  // namespace pikaproxy
