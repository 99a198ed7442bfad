#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>

#include <doctest/doctest.h>

#include "dashboard/http/file_descriptor.h"

namespace pikaproxy {

struct RawResponse {
  int status = 0;    // 0: the server closed without a complete response.
  std::string head;  // Status line and headers.
  std::string body;

  bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

// A blocking client that sends exactly the bytes it is told to. Reads give up after a minute, which
// is a failed test and not a measurement.
class RawClient {
 public:
  explicit RawClient(uint16_t port, const char* from = nullptr)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(fd_.is_open());
    const timeval patience{60, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (from != nullptr) {
      const sockaddr_in source = address(from, 0);
      REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source) == 0);
    }
    connect(port);
  }

  // False if the server has closed in the meantime.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(size));
    }
    return true;
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }

  // The next response; of one to HEAD there is no body to read.
  RawResponse read(bool is_head = false) {
    RawResponse response;
    size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return response;
    }
    response.head = received_.substr(0, end + 4);
    received_.erase(0, end + 4);
    const int status = std::stoi(response.head.substr(9, 3));
    size_t length = 0;
    const size_t header = response.head.find("Content-Length: ");
    if (header != std::string::npos && !is_head)
      length = std::stoul(response.head.substr(header + 16));
    while (received_.size() < length) {
      if (!receive()) return response;
    }
    response.body = received_.substr(0, length);
    received_.erase(0, length);
    response.status = status;
    return response;
  }

  RawResponse get(std::string_view path) {
    send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return read();
  }

  // All that comes until it has the text, which is the end of what is returned.
  std::string read_until(std::string_view text) {
    size_t at = 0;
    while ((at = received_.find(text)) == std::string::npos) {
      if (!receive()) return std::exchange(received_, {});
    }
    std::string taken = received_.substr(0, at + text.size());
    received_.erase(0, taken.size());
    return taken;
  }

  // All that comes until the server closes. A reset counts as closing.
  std::string read_to_end() {
    while (receive()) {
    }
    return std::exchange(received_, {});
  }

 private:
  static sockaddr_in address(const char* host, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, host, &address.sin_addr);
    return address;
  }

  void connect(uint16_t port) {
    const sockaddr_in server = address("127.0.0.1", port);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0);
  }

  bool receive() {
    char bytes[16384];
    const ssize_t size = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    REQUIRE_MESSAGE(!(size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)),
                    "the server neither answers nor closes");
    if (size <= 0) return false;
    received_.append(bytes, static_cast<size_t>(size));
    return true;
  }

  FileDescriptor fd_;
  std::string received_;
};

}  // namespace pikaproxy
