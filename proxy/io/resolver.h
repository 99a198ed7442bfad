#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace pikaproxy {

// Looks names up, each on a thread of its own while that takes, so that a name server that is slow
// for one name holds up neither workers nor other names. Any thread.
class Resolver {
 public:
  using Answer = std::function<void(Result<std::vector<std::string>>)>;

  Resolver();
  // Forgets the questions that are still open.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `answer` gets the name's addresses as text, at least one: at once if they were looked up a
  // moment ago, else later, on another thread. It must only pass them on: the resolver is locked.
  // Who asks for a name that is being looked up waits for the same answer.
  void resolve(const std::string& host, Answer answer);

  // "127.0.0.1" or "::1": nothing to look up.
  static bool is_literal(const std::string& host);

 private:
  struct State;  // Shared with the threads, which may outlive the resolver.
  const std::shared_ptr<State> state_;
};

}  // namespace pikaproxy
