#include "proxy/routing/md5.h"

#include <cstdlib>
#include <memory>

#include <openssl/evp.h>

namespace pikaproxy {
namespace {

struct Free {
  void operator()(EVP_MD* md) const noexcept { EVP_MD_free(md); }
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

const EVP_MD* algorithm() noexcept {
  // "-fips": a machine that allows only FIPS algorithms may still place keys by MD5.
  static const std::unique_ptr<EVP_MD, Free> md5(EVP_MD_fetch(nullptr, "MD5", "-fips"));
  return md5.get();
}

// A context that has its algorithm; null if there is none or no memory.
EVP_MD_CTX* make_context() noexcept {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  if (context != nullptr && EVP_DigestInit_ex(context, algorithm(), nullptr) != 1) {
    EVP_MD_CTX_free(context);
    return nullptr;
  }
  return context;
}

}  // namespace

bool md5_available() noexcept {
  return algorithm() != nullptr;
}

std::array<uint8_t, 16> md5(std::string_view bytes) noexcept {
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(make_context());
  std::array<uint8_t, 16> digest;
  // Without an algorithm in the call OpenSSL starts over with the context's own. What can fail is
  // memory; a wrong digest would send the key to the wrong server, so there is no going on.
  if (context == nullptr || EVP_DigestInit_ex(context.get(), nullptr, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    std::abort();
  }
  return digest;
}

}  // namespace pikaproxy
