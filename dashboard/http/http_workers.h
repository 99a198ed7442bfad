#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dashboard/http/http_routes.h"

namespace pikaproxy {

// A request for a handler, and what came of it. A connection has at most one on its way, so the
// number of connections bounds the queue.
struct HttpJob {
  uint64_t connection = 0;
  const HttpRoute* route = nullptr;
  HttpRequest request;
};
struct HttpJobResult {
  uint64_t connection = 0;
  std::string bytes;  // The response as it goes on the wire; its head only where a stream follows.
  bool keep_alive = false;
  // Where set: the loop makes the rest. `pending` and `framing` are for a body sent as a whole.
  std::shared_ptr<HttpBodySource> source = {};
  bool is_stream = false;
  HttpResponse pending = {};
  HttpFraming framing = {};
};

// Threads that run handlers. They never see a socket: a client that sends or reads slowly holds
// none.
class HttpWorkers {
 public:
  using Deliver = std::function<void(HttpJobResult)>;

  // `deliver` is called on the worker threads. Throws std::system_error if there can be no more
  // threads.
  HttpWorkers(uint32_t threads, Deliver deliver);
  ~HttpWorkers() { stop(); }

  // Any thread.
  void submit(HttpJob job);
  // Waits for the handlers that run, drops the jobs that do not yet. Once; then nothing is
  // delivered.
  void stop();

 private:
  void run();

  const Deliver deliver_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<HttpJob> jobs_;  // Guarded by mutex_.
  bool stopping_ = false;     // Guarded by mutex_.
  std::vector<std::thread> threads_;
};

// Starts a thread that takes no signals (they are the main thread's) and has a name of at most 15
// characters for top and gdb.
std::thread start_quiet_thread(const char* name, std::function<void()> body);

}  // namespace pikaproxy
