#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace pikaproxy {

// argon2id by libsodium. One hash at a time, since each takes 64 MiB and a good part of a second on
// a slow machine; a second caller waits, a third is told that it is busy, so that guessing
// passwords can occupy neither the memory nor all threads. Any thread.
class PasswordHasher {
 public:
  // Nothing: busy. Throws std::bad_alloc if there is no memory for it.
  std::optional<std::string> hash(std::string_view password);
  std::optional<bool> verify(std::string_view hash, std::string_view password);
  // Takes as long as a verification that fails: for users that do not exist. False: busy.
  bool pretend(std::string_view password);

 private:
  class Turn;

  std::mutex mutex_;
  std::mutex count_mutex_;
  int callers_ = 0;  // Guarded by count_mutex_.
};

}  // namespace pikaproxy
