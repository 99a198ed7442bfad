#include "dashboard/auth/secrets.h"

#include <sodium.h>
#include <stdexcept>
#include <vector>

namespace pikaproxy {
namespace {

// Harmless to repeat, and safe from several threads.
void set_up() {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
}

}  // namespace

std::string random_text(size_t bytes) {
  set_up();
  std::vector<unsigned char> random(bytes);
  randombytes_buf(random.data(), bytes);
  constexpr int kVariant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(bytes, kVariant), '\0');
  sodium_bin2base64(text.data(), text.size(), random.data(), bytes, kVariant);
  text.pop_back();  // The terminating zero.
  return text;
}

std::string sha256_hex(std::string_view text) {
  set_up();
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  char hex[2 * sizeof hash + 1];
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  return hex;
}

bool is_same_secret(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace pikaproxy
