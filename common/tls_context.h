#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/result.h"

// OpenSSL's, which nobody needs who only hands these on.
struct ssl_ctx_st;
struct ssl_st;

namespace pikaproxy {

// A certificate with its key, and how TLS is spoken with it: 1.2 and 1.3, with forward secrecy and
// authenticated ciphers alone, no renegotiation. Any thread.
class TlsContext {
 public:
  // `certificate_file`: PEM, the server's certificate first, then the chain up to the root, if any.
  // `key_file`: PEM, without a password.
  // Errors: a file cannot be read or is not that, the key is not the certificate's. Never quotes
  // what it read.
  static Result<std::shared_ptr<TlsContext>> load(std::string certificate_file,
                                                  std::string key_file);

  // Reads the files again; connections from now on get what is in them. On an error what was read
  // before stays in use.
  std::optional<Error> reload();

  // A sentence if clients will not trust the certificate by its date; empty otherwise.
  std::string warning() const;

  // The server's side of a new connection, to be freed with SSL_free(); null if memory is short.
  ssl_st* new_session() const;

 private:
  using Settings = std::shared_ptr<ssl_ctx_st>;

  TlsContext(std::string certificate_file, std::string key_file)
      : certificate_file_(std::move(certificate_file)), key_file_(std::move(key_file)) {}

  Settings settings() const;

  const std::string certificate_file_;
  const std::string key_file_;
  mutable std::mutex mutex_;
  Settings settings_;  // Guarded by mutex_.
};

}  // namespace pikaproxy
