#include "dashboard/auth/password_hasher.h"

#include <new>
#include <sodium.h>

namespace pikaproxy {
namespace {

constexpr int kCallersMax = 2;
// 64 MiB, two passes: what libsodium recommends for logins.
constexpr auto kOperations = crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE;
constexpr auto kMemory = crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE;
// A hash with the same cost that no password is known for.
constexpr char kNobody[] =
    "$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

}  // namespace

class PasswordHasher::Turn {
 public:
  explicit Turn(PasswordHasher& hasher) : hasher_(hasher) {
    const std::lock_guard lock(hasher_.count_mutex_);
    is_admitted_ = hasher_.callers_ < kCallersMax;
    if (is_admitted_) ++hasher_.callers_;
  }
  ~Turn() {
    if (!is_admitted_) return;
    const std::lock_guard lock(hasher_.count_mutex_);
    --hasher_.callers_;
  }
  explicit operator bool() const noexcept { return is_admitted_; }

 private:
  PasswordHasher& hasher_;
  bool is_admitted_ = false;
};

std::optional<std::string> PasswordHasher::hash(std::string_view password) {
  const Turn turn(*this);
  if (!turn) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (sodium_init() < 0) throw std::bad_alloc();
  char out[crypto_pwhash_argon2id_STRBYTES];
  if (crypto_pwhash_argon2id_str(out, password.data(), password.size(), kOperations, kMemory) !=
      0) {
    throw std::bad_alloc();
  }
  return out;
}

std::optional<bool> PasswordHasher::verify(std::string_view hash, std::string_view password) {
  const Turn turn(*this);
  if (!turn) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (sodium_init() < 0) throw std::bad_alloc();
  return crypto_pwhash_argon2id_str_verify(std::string(hash).c_str(), password.data(),
                                           password.size()) == 0;
}

bool PasswordHasher::pretend(std::string_view password) {
  return verify(kNobody, password).has_value();
}

}  // namespace pikaproxy
