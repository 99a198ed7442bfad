#include "dashboard/http/http_workers.h"

#include <exception>
#include <pthread.h>
#include <signal.h>
#include <utility>

#include "common/log.h"

namespace pikaproxy {
namespace {

HttpResponse failure(const HttpRequest& request, std::string_view what) {
  // What an exception says may hold what a client must not read.
  log_error("http handler failed", "method", request.method, "path", request.path, "error", what);
  return problem_response(
      {500, "internal_error", "The server failed to answer; its log has the reason."});
}

HttpResponse call(const HttpRoute& route, const HttpRequest& request) {
  try {
    return route.handler(request);
  } catch (const std::exception& error) {
    return failure(request, error.what());
  } catch (...) {
    return failure(request, "an exception that is not a std::exception");
  }
}

}  // namespace

HttpWorkers::HttpWorkers(uint32_t threads, Deliver deliver) : deliver_(std::move(deliver)) {
  try {
    for (uint32_t i = 0; i < threads; ++i) {
      threads_.push_back(start_quiet_thread("http-worker", [this] { run(); }));
    }
  } catch (...) {
    stop();
    throw;
  }
}

void HttpWorkers::submit(HttpJob job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void HttpWorkers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void HttpWorkers::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    const HttpJob job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    HttpJobResult result;
    result.connection = job.connection;
    result.keep_alive = job.request.keep_alive;
    result.framing = {job.request.keep_alive, job.request.is_http_1_0,
                      job.request.method == "HEAD"};
    result.framing.is_tls = job.request.is_tls;
    HttpResponse response = call(*job.route, job.request);
    // HEAD asks what the headers would be: of what is still to come there are none but these.
    if (response.source == nullptr || result.framing.is_head) {
      result.bytes = serialize(response, result.framing);
    } else {
      result.source = std::move(response.source);
      result.is_stream = response.is_stream;
      if (result.is_stream) {
        result.keep_alive = result.framing.keep_alive = false;
        result.framing.is_open_ended = true;
        result.bytes = serialize(response, result.framing);
      } else {
        result.pending = std::move(response);
      }
    }
    deliver_(std::move(result));
    lock.lock();
  }
}

std::thread start_quiet_thread(const char* name, std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A new thread inherits the mask of the thread that starts it.
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace pikaproxy
