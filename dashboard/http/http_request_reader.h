#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "dashboard/http/http_message.h"

namespace pikaproxy {

// How much of a request is accepted, in bytes (headers: a count).
struct HttpLimits {
  size_t target_max = 8 << 10;  // Path and query; 414 beyond.
  size_t head_max = 16 << 10;   // Request line and all headers; 431 beyond.
  size_t headers_max = 100;     // 431 beyond.
  size_t body_max = 1 << 20;    // 413 beyond.
};

// Reads one HTTP/1.0 or 1.1 request from bytes as they come; no sockets, no clock, one thread.
//
//   HttpRequestReader reader(limits);
//   while (...) { used = reader.read(input); input.remove_prefix(used); switch (reader.state()) ...
//   }
//
//   kHead --line by line--> kBody --Content-Length bytes--> kComplete
//     |        \--no body---------------------------------> kComplete
//     '--> kFailed: problem() says why; the connection cannot go on, its framing is unknown.
//
// Strict where leniency lets two readers of one connection disagree about where a request ends (RFC
// 9112): lines end in CR LF, no folded headers, no blank before the colon, one Host, one
// Content-Length of digits, no Transfer-Encoding (411). A line is judged as soon as it is complete,
// so that garbage is answered without waiting for the empty line that garbage never sends.
class HttpRequestReader {
 public:
  enum class State { kHead, kBody, kComplete, kFailed };

  explicit HttpRequestReader(const HttpLimits& limits) : limits_(limits) {}

  // Uses bytes from the front of the input and returns how many. Always stops behind the head, so
  // that the caller can refuse a request before its body is read; call again for the body. Uses
  // nothing in kComplete and kFailed.
  size_t read(std::string_view input);

  State state() const noexcept { return state_; }
  // Of the request as far as it was read; body_size() is known behind the head. The caller may move
  // the request out when it is complete.
  HttpRequest& request() noexcept { return request_; }
  size_t body_size() const noexcept { return body_size_; }
  // The client waits for "100 Continue" before it sends the body.
  bool expects_continue() const noexcept { return expects_continue_; }
  // Only in kFailed.
  const HttpProblem& problem() const noexcept { return problem_; }

 private:
  size_t read_head(std::string_view input);
  size_t read_body(std::string_view input);
  bool refuse_foreign_start(std::string_view start);
  void take_line(std::string_view line);
  void take_request_line(std::string_view line);
  void take_target(std::string_view target);
  void take_header(std::string_view line);
  void take_framing_header(std::string_view name, std::string_view value);
  void finish_head();
  void fail(int status, std::string_view code, std::string detail);

  HttpLimits limits_;
  State state_ = State::kHead;
  HttpRequest request_;
  HttpProblem problem_;

  std::string line_;      // The line that is not complete yet.
  size_t head_size_ = 0;  // Bytes of the head so far.
  size_t body_size_ = 0;
  bool has_request_line_ = false;
  bool skipped_empty_line_ = false;
  bool has_host_ = false;
  bool has_absolute_target_ = false;
  bool has_content_length_ = false;
  bool is_content_length_above_max_ = false;
  bool has_transfer_encoding_ = false;
  bool is_chunked_ = false;
  bool wants_close_ = false;
  bool wants_keep_alive_ = false;
  bool expects_continue_ = false;
};

}  // namespace pikaproxy
