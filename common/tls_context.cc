#include "common/tls_context.h"

#include <utility>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "common/file.h"
#include "common/text.h"

namespace pikaproxy {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;
// Of TLS 1.2; those of 1.3 are all good.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* object) const noexcept { kFree(object); }
};
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
struct FreeBio {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

// The library's own reason, which is a few words without values.
std::string reason() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = error == 0 ? nullptr : ERR_reason_error_string(error);
  return text == nullptr ? "unknown reason" : text;
}

// A key with a password: nobody is there to ask, and the library must not ask the terminal.
int no_password(char*, int, int, void*) {
  return -1;
}

Bio reader_of(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::optional<Error> use_certificates(SSL_CTX* settings, const std::string& file) {
  Result<std::string> text = read_file(file, kFileBytesMax);
  if (!text) return Error{"admin.tls_cert: " + text.error()};
  const Bio reader = reader_of(*text);
  const Certificate own(PEM_read_bio_X509_AUX(reader.get(), nullptr, no_password, nullptr));
  if (own == nullptr) {
    ERR_clear_error();
    return Error{"admin.tls_cert: " + quote(file) + " has no certificate in PEM form"};
  }
  if (SSL_CTX_use_certificate(settings, own.get()) != 1) {
    return Error{"admin.tls_cert: the certificate in " + quote(file) +
                 " cannot be used: " + reason()};
  }
  while (X509* next = PEM_read_bio_X509(reader.get(), nullptr, no_password, nullptr)) {
    SSL_CTX_add0_chain_cert(settings, next);  // Takes it over.
  }
  const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (is_end) return std::nullopt;
  return Error{"admin.tls_cert: a further certificate in " + quote(file) + " cannot be read"};
}

std::optional<Error> use_key(SSL_CTX* settings, const std::string& file) {
  Result<std::string> text = read_file(file, kFileBytesMax);
  if (!text) return Error{"admin.tls_key: " + text.error()};
  const Bio reader = reader_of(*text);
  const Key key(PEM_read_bio_PrivateKey(reader.get(), nullptr, no_password, nullptr));
  OPENSSL_cleanse(text->data(), text->size());
  if (key == nullptr) {
    ERR_clear_error();
    return Error{"admin.tls_key: " + quote(file) +
                 " has no private key in PEM form that can be read without a password"};
  }
  if (SSL_CTX_use_PrivateKey(settings, key.get()) == 1 &&
      SSL_CTX_check_private_key(settings) == 1) {
    return std::nullopt;
  }
  ERR_clear_error();
  return Error{"admin.tls_key: the key in " + quote(file) +
               " does not belong to the certificate in admin.tls_cert"};
}

Result<std::shared_ptr<SSL_CTX>> read_settings(const std::string& certificate_file,
                                               const std::string& key_file) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> settings(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (settings == nullptr) return Error{"TLS cannot be used: " + reason()};
  SSL_CTX_set_min_proto_version(settings.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(settings.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // What is sent may move in memory and grow between attempts; idle connections keep no buffers.
  SSL_CTX_set_mode(settings.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
  // Sessions go on by tickets, which cost no memory here.
  SSL_CTX_set_session_cache_mode(settings.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_cipher_list(settings.get(), kCiphers) != 1) {
    return Error{"TLS cannot be used: " + reason()};
  }
  if (auto error = use_certificates(settings.get(), certificate_file)) return *error;
  if (auto error = use_key(settings.get(), key_file)) return *error;
  return settings;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::load(std::string certificate_file,
                                                     std::string key_file) {
  std::shared_ptr<TlsContext> context(
      new TlsContext(std::move(certificate_file), std::move(key_file)));
  if (auto error = context->reload()) return *error;
  return context;
}

std::optional<Error> TlsContext::reload() {
  Result<Settings> settings = read_settings(certificate_file_, key_file_);
  if (!settings) return Error{settings.error()};
  const std::lock_guard lock(mutex_);
  settings_ = std::move(*settings);
  return std::nullopt;
}

std::string TlsContext::warning() const {
  const Settings settings = this->settings();
  const X509* certificate = SSL_CTX_get0_certificate(settings.get());
  const std::string name = "admin.tls_cert: the certificate in " + quote(certificate_file_);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    return name + " has expired: clients will refuse it";
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    return name + " is not valid yet: clients will refuse it";
  }
  return {};
}

ssl_st* TlsContext::new_session() const {
  SSL* session = SSL_new(settings().get());
  if (session != nullptr) SSL_set_accept_state(session);
  return session;
}

TlsContext::Settings TlsContext::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

}  // namespace pikaproxy
