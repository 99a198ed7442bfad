#include "proxy/resolver.h"

namespace pikaproxy {

Resolver::Resolver()
    : context_(1),
      work_(context_.get_executor()),
      resolver_(context_),
      thread_([this] { context_.run(); }) {}

Resolver::~Resolver() {
  context_.stop();
  thread_.join();
}

void Resolver::resolve(const std::string& host, Answer answer) {
  asio::post(context_, [this, host, answer = std::move(answer)] {
    resolver_.async_resolve(
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
  std::error_code ec;
  asio::ip::make_address(host, ec);
  return !ec;
}

}  // namespace pikaproxy
