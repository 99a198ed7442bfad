#include "proxy/io/resolver.h"

#include <arpa/inet.h>
#include <chrono>
#include <map>
#include <mutex>
#include <netdb.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>

namespace pikaproxy {
namespace {

using Clock = std::chrono::steady_clock;

// An answer that came too late for the attempt to connect that asked is there for the next one.
constexpr auto kFresh = std::chrono::seconds(3);

Result<std::vector<std::string>> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return Error{::gai_strerror(error)};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, &::freeaddrinfo);
  std::vector<std::string> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text);
    }
  }
  if (addresses.empty()) return Error{"no address found"};
  return addresses;
}

}  // namespace

struct Resolver::State {
  struct Name {
    bool running = false;
    std::vector<Answer> waiting;
    std::vector<std::string> addresses;  // Of the last success.
    Clock::time_point found;             // When that was.
  };

  std::mutex mutex;
  std::map<std::string, Name> names;  // Guarded by mutex. As many as groups had host names.
};

Resolver::Resolver() : state_(std::make_shared<State>()) {}

Resolver::~Resolver() {
  const std::lock_guard lock(state_->mutex);
  for (auto& [host, name] : state_->names) name.waiting.clear();
}

void Resolver::resolve(const std::string& host, Answer answer) {
  const std::lock_guard lock(state_->mutex);
  State::Name& name = state_->names[host];
  if (!name.addresses.empty() && Clock::now() - name.found < kFresh) {
    answer(name.addresses);
    return;
  }
  name.waiting.push_back(std::move(answer));
  if (name.running) return;
  try {
    std::thread([state = state_, host] {
      const Result<std::vector<std::string>> result = look_up(host);
      const std::lock_guard lock(state->mutex);
      State::Name& name = state->names[host];
      name.running = false;
      if (result) {
        name.addresses = *result;
        name.found = Clock::now();
      }
      for (const Answer& answer : name.waiting) answer(result);
      name.waiting.clear();
    }).detach();
    name.running = true;
  } catch (const std::system_error& failure) {
    for (const Answer& waiting : name.waiting) waiting(Error{failure.what()});
    name.waiting.clear();
  }
}

bool Resolver::is_literal(const std::string& host) {
  in6_addr ignored;
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace pikaproxy
