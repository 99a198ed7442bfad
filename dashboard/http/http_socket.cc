#include "dashboard/http/http_socket.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <sys/socket.h>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace pikaproxy {
namespace {

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int limit(size_t size) noexcept {
  return static_cast<int>(std::min<size_t>(size, INT_MAX));
}

}  // namespace

HttpSocket::HttpSocket(FileDescriptor fd, const TlsContext* tls) : fd_(std::move(fd)) {
  if (tls == nullptr) return;
  session_ = tls->new_session();
  // Without memory for TLS there is no connection: never one without TLS instead.
  if (session_ == nullptr || SSL_set_fd(session_, fd_.get()) != 1) fd_.reset();
}

HttpSocket::~HttpSocket() {
  SSL_free(session_);
}

HttpSocket::Status HttpSocket::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_);
  return result == 1 ? Status::kDone : explain(result);
}

bool HttpSocket::drop_to_plain() {
  char first;
  if (::recv(fd_.get(), &first, 1, MSG_PEEK) != 1) return false;
  // TLS begins with 22, HTTP with a method.
  if (first < 'A' || first > 'Z') return false;
  SSL_free(std::exchange(session_, nullptr));
  return true;
}

HttpSocket::Transfer HttpSocket::receive(char* buffer, size_t size) {
  assert(size >= kReadBytesMin);
  if (session_ == nullptr) {
    const ssize_t received = ::recv(fd_.get(), buffer, size, 0);
    if (received > 0) return {Status::kDone, static_cast<size_t>(received)};
    return {received < 0 && would_block(errno) ? Status::kWantsInput : Status::kClosed};
  }
  ERR_clear_error();
  const int received = SSL_read(session_, buffer, limit(size));
  if (received > 0) return {Status::kDone, static_cast<size_t>(received)};
  return {explain(received)};
}

HttpSocket::Transfer HttpSocket::send(std::string_view bytes) {
  if (session_ == nullptr) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) return {Status::kDone, static_cast<size_t>(sent)};
    return {sent < 0 && would_block(errno) ? Status::kWantsOutput : Status::kClosed};
  }
  ERR_clear_error();
  const int sent = SSL_write(session_, bytes.data(), limit(bytes.size()));
  if (sent > 0) return {Status::kDone, static_cast<size_t>(sent)};
  return {explain(sent)};
}

bool HttpSocket::finish() {
  if (session_ != nullptr) {
    ERR_clear_error();
    if (SSL_shutdown(session_) < 0) return false;
  }
  return ::shutdown(fd_.get(), SHUT_WR) == 0;
}

HttpSocket::Status HttpSocket::discard(char* buffer, size_t size) {
  const ssize_t received = ::recv(fd_.get(), buffer, size, 0);
  if (received > 0) return Status::kDone;
  return received < 0 && would_block(errno) ? Status::kWantsInput : Status::kClosed;
}

HttpSocket::Status HttpSocket::explain(int result) {
  switch (SSL_get_error(session_, result)) {
    case SSL_ERROR_WANT_READ:
      return Status::kWantsInput;
    case SSL_ERROR_WANT_WRITE:
      return Status::kWantsOutput;
    default:
      return Status::kClosed;
  }
}

}  // namespace pikaproxy
