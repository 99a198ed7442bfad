#include "dashboard/http/http_server.h"

#include <cstring>
#include <system_error>
#include <utility>

#include "dashboard/http/http_loop.h"
#include "dashboard/http/http_mailbox.h"
#include "dashboard/http/http_workers.h"
#include "dashboard/http/tcp_listener.h"

namespace pikaproxy {

struct HttpServer::Parts {
  Parts(HttpServerConfig config_in, std::vector<HttpRoute> routes_in, TcpListener listener)
      : config(std::move(config_in)),
        routes(std::move(routes_in)),
        loop(config, routes, std::move(listener), mailbox,
             [this](HttpJob job) { workers.submit(std::move(job)); }),
        workers(config.workers, [this](HttpJobResult result) { mailbox.put(std::move(result)); }) {}

  const HttpServerConfig config;
  const HttpRoutes routes;
  HttpMailbox mailbox;
  HttpLoop loop;
  HttpWorkers workers;
};

namespace {

Error cannot_start(std::string_view why, std::string_view what_to_do) {
  return Error{"cannot start the HTTP server: " + std::string(why) + "; " +
               std::string(what_to_do)};
}

}  // namespace

HttpServer::HttpServer(std::unique_ptr<Parts> parts, uint16_t port)
    : parts_(std::move(parts)), port_(port) {
  loop_thread_ = start_quiet_thread("http-loop", [this] { parts_->loop.run(); });
}

HttpServer::~HttpServer() {
  stop();
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerConfig config,
                                                      std::vector<HttpRoute> routes) {
  auto listener = listen_tcp(config.listen);
  if (!listener) return Error{listener.error()};
  const uint16_t port = listener->port;
  // A Host header may name the server as its configuration does.
  config.allowed_hosts.push_back(config.listen.host);
  try {
    auto parts =
        std::make_unique<Parts>(std::move(config), std::move(routes), std::move(*listener));
    if (const int error = parts->loop.setup_error(); error != 0) {
      return cannot_start(std::strerror(error), "raise the limit of open files");
    }
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(parts), port));
  } catch (const std::system_error& error) {
    return cannot_start(error.what(), "raise the limit of threads");
  }
}

void HttpServer::wake_sources() {
  parts_->mailbox.wake_sources();
}

void HttpServer::stop() {
  if (!loop_thread_.joinable()) return;
  parts_->mailbox.request_stop();
  loop_thread_.join();
  parts_->workers.stop();
  // Sockets that were not done in time.
  parts_.reset();
}

}  // namespace pikaproxy
