#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "common/tls_context.h"
#include "dashboard/http/file_descriptor.h"

namespace pikaproxy {

// A connection's bytes, under TLS or as they are. Never waits. One thread.
class HttpSocket {
 public:
  // What came of an attempt.
  enum class Status {
    kDone,
    kWantsInput,   // Try again when the socket is readable,
    kWantsOutput,  // or when it is writable.
    kClosed,       // It ended or broke; nothing can be sent or received any more.
  };
  struct Transfer {
    Status status = Status::kDone;
    size_t size = 0;  // Bytes; more than 0 if and only if kDone.
  };

  // No TLS without a context. `fd` does not block.
  HttpSocket(FileDescriptor fd, const TlsContext* tls);
  ~HttpSocket();
  HttpSocket(const HttpSocket&) = delete;

  int fd() const noexcept { return fd_.get(); }
  bool is_tls() const noexcept { return session_ != nullptr; }

  // To be repeated until kDone, before anything else. Takes up to a millisecond of computing.
  Status handshake();
  // Instead of handshake(), when the socket is readable: whether the client does not speak TLS but
  // seems to speak HTTP. The connection goes on without TLS then.
  bool drop_to_plain();

  // `buffer` holds kReadBytesMin bytes or more, so that TLS keeps back none that it has decrypted,
  // of which the socket would tell nobody.
  static constexpr size_t kReadBytesMin = 16 << 10;
  Transfer receive(char* buffer, size_t size);
  // `bytes` is not empty. After less than all was taken, the next attempt goes on with the rest.
  Transfer send(std::string_view bytes);

  // Tells the client that no more comes; false if it is gone.
  bool finish();
  // After finish(): takes what the client still sends, as it is. Not kDone: nothing was there.
  Status discard(char* buffer, size_t size);

 private:
  Status explain(int result);

  FileDescriptor fd_;
  ssl_st* session_ = nullptr;
};

}  // namespace pikaproxy
