#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"

namespace pikaproxy {

// Looks names up on a thread of its own, so that a slow name server holds up nobody. Any thread.
class Resolver {
 public:
  using Answer = std::function<void(Result<std::vector<std::string>>)>;

  Resolver();
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `answer` runs on the resolver's thread with the name's addresses as text, at least one.
  // Never after the destructor.
  void resolve(const std::string& host, Answer answer);

  // "127.0.0.1" or "::1": nothing to look up.
  static bool is_literal(const std::string& host);

 private:
  struct Impl;  // Keeps asio out of this header, which nearly every file of proxy/ includes.
  const std::unique_ptr<Impl> impl_;
};

}  // namespace pikaproxy
