#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <thread>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>

namespace pikaproxy {

struct Resolver::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::ip::tcp::resolver resolver{context};
  std::thread thread{[this] { context.run(); }};
};

Resolver::Resolver() : impl_(std::make_unique<Impl>()) {}

Resolver::~Resolver() {
  impl_->context.stop();
  impl_->thread.join();
}

void Resolver::resolve(const std::string& host, Answer answer) {
  asio::post(impl_->context, [impl = impl_.get(), host, answer = std::move(answer)] {
    impl->resolver.async_resolve(
        host, "", [answer](std::error_code ec, const asio::ip::tcp::resolver::results_type& found) {
          if (ec) {
            answer(Error{ec.message()});
            return;
          }
          std::vector<std::string> hosts;
          for (const auto& entry : found) hosts.push_back(entry.endpoint().address().to_string());
          if (hosts.empty()) {
            answer(Error{"no address found"});
          } else {
            answer(std::move(hosts));
          }
        });
  });
}

bool Resolver::is_literal(const std::string& host) {
  in6_addr ignored;
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace pikaproxy
