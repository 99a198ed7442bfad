#include "dashboard/http/http_request_reader.h"

#include <algorithm>
#include <charconv>

namespace pikaproxy {
namespace {

constexpr size_t kMethodMax = 32;
// " HTTP/1.1\r\n" and the blank behind the method.
constexpr size_t kRequestLineRest = 12;

bool is_token_char(char c) noexcept {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

bool has_control(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), is_control);
}

std::string_view trim_blanks(std::string_view text) noexcept {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Whether a comma-separated list has the word, whatever its case.
bool list_has(std::string_view list, std::string_view word) {
  while (true) {
    const size_t comma = list.find(',');
    if (to_lower(trim_blanks(list.substr(0, comma))) == word) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

size_t HttpRequestReader::read(std::string_view input) {
  if (state_ == State::kHead) return read_head(input);
  if (state_ == State::kBody) return read_body(input);
  return 0;
}

size_t HttpRequestReader::read_head(std::string_view input) {
  size_t used = 0;
  while (state_ == State::kHead && used < input.size()) {
    const size_t newline = input.find('\n', used);
    const bool is_whole = newline != std::string_view::npos;
    const std::string_view piece = input.substr(used, is_whole ? newline + 1 - used : newline);
    // No more is kept than the limits allow, however the bytes arrive.
    const size_t line_max = kMethodMax + limits_.target_max + kRequestLineRest;
    if (!has_request_line_ && line_.size() + piece.size() > line_max) {
      line_ += piece.substr(0, kMethodMax + 1);
      if (refuse_foreign_start(line_)) return used;
      fail(414, "target_too_long",
           "The request line is longer than " + std::to_string(line_max) + " bytes.");
      return used;
    }
    if (head_size_ + piece.size() > limits_.head_max) {
      fail(431, "headers_too_large",
           "The request's headers are longer than " + std::to_string(limits_.head_max) + " bytes.");
      return used;
    }
    head_size_ += piece.size();
    used += piece.size();
    line_ += piece;
    if (!is_whole) {
      if (!has_request_line_) refuse_foreign_start(line_);
      return used;
    }
    if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
      fail(400, "bad_request", "A line of the request does not end in CR LF.");
      return used;
    }
    take_line(std::string_view(line_).substr(0, line_.size() - 2));
    line_.clear();
  }
  return used;
}

// TLS on the plain port, or another protocol altogether, is told so at once: it may never send a
// line end. True if the request line's start cannot become one of HTTP.
bool HttpRequestReader::refuse_foreign_start(std::string_view start) {
  // May turn out to be the one empty line that is allowed.
  if (start == "\r" && !skipped_empty_line_) return false;
  start = start.substr(0, kMethodMax + 1);
  const std::string_view method = start.substr(0, start.find(' '));
  if (is_token(method) && method.size() <= kMethodMax) return false;
  fail(400, "bad_request",
       "This is not HTTP/1.1 in plain text. Use http:// and the port of the admin server.");
  return true;
}

size_t HttpRequestReader::read_body(std::string_view input) {
  const size_t used = std::min(input.size(), body_size_ - request_.body.size());
  request_.body += input.substr(0, used);
  if (request_.body.size() == body_size_) state_ = State::kComplete;
  return used;
}

void HttpRequestReader::take_line(std::string_view line) {
  if (!has_request_line_) {
    // RFC 9112 2.2: some clients send an empty line behind a body.
    if (line.empty() && !skipped_empty_line_) {
      skipped_empty_line_ = true;
      return;
    }
    has_request_line_ = true;
    return take_request_line(line);
  }
  if (line.empty()) return finish_head();
  take_header(line);
}

void HttpRequestReader::take_request_line(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  const std::string_view method = line.substr(0, first);
  if (first == std::string_view::npos || first == last || !is_token(method) ||
      method.size() > kMethodMax) {
    return fail(400, "bad_request", "The request line is not \"METHOD /path HTTP/1.1\".");
  }
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.' ||
      version[5] < '0' || version[5] > '9' || version[7] < '0' || version[7] > '9') {
    return fail(400, "bad_request", "The request line does not end in HTTP/1.1.");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return fail(505, "version_not_supported", "This server speaks HTTP/1.1 and HTTP/1.0.");
  }
  if (std::find(std::begin(kHttpMethods), std::end(kHttpMethods), method) ==
      std::end(kHttpMethods)) {
    return fail(501, "method_not_implemented",
                "The method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.");
  }
  request_.method = method;
  request_.is_http_1_0 = version == "HTTP/1.0";
  take_target(target);
}

void HttpRequestReader::take_target(std::string_view target) {
  if (target.size() > limits_.target_max) {
    return fail(414, "target_too_long",
                "The path is longer than " + std::to_string(limits_.target_max) + " bytes.");
  }
  const bool is_printable = std::all_of(target.begin(), target.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > ' ' && byte < 0x7F && c != '#';
  });
  if (!is_printable) {
    return fail(400, "bad_request",
                "The path holds a blank, \"#\" or a byte that is not ASCII: write it as %XX.");
  }
  // The form for a forward proxy, which RFC 9112 3.2.2 tells every server to take. Its host counts,
  // not the Host header's.
  if (target.starts_with("http://")) {
    target.remove_prefix(7);
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    request_.host = target.substr(0, end);
    has_absolute_target_ = true;
    target.remove_prefix(end);
    if (target.empty()) target = "/";
  }
  if (!target.starts_with('/')) {
    return fail(400, "bad_request", "The path does not begin with \"/\".");
  }
  const size_t mark = target.find('?');
  auto path = percent_decode(target.substr(0, mark), false);
  if (!path || has_control(*path)) {
    return fail(400, "bad_request", "The path holds a malformed %XX or a control character.");
  }
  request_.path = std::move(*path);
  request_.raw_path = target.substr(0, mark);
  if (mark == std::string_view::npos) return;
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) {
      return fail(400, "bad_request", "The query holds a malformed %XX.");
    }
    request_.query.emplace_back(std::move(*name), std::move(*value));
  }
}

void HttpRequestReader::take_header(std::string_view line) {
  if (request_.headers.size() == limits_.headers_max) {
    return fail(431, "headers_too_large",
                "The request has more than " + std::to_string(limits_.headers_max) + " headers.");
  }
  const size_t colon = line.find(':');
  const std::string_view raw_name = line.substr(0, colon);
  if (colon == std::string_view::npos || !is_token(raw_name)) {
    return fail(400, "bad_request", "A header is not \"Name: value\" on a line of its own.");
  }
  const std::string_view value = trim_blanks(line.substr(colon + 1));
  for (const char c : value) {
    if (is_control(c) && c != '\t') {
      return fail(400, "bad_request", "A header's value holds a control character.");
    }
  }
  std::string name = to_lower(raw_name);
  take_framing_header(name, value);
  if (state_ == State::kHead) request_.headers.emplace_back(std::move(name), std::string(value));
}

void HttpRequestReader::take_framing_header(std::string_view name, std::string_view value) {
  if (name == "host") {
    if (has_host_) return fail(400, "bad_request", "The request has more than one Host header.");
    has_host_ = true;
    if (!has_absolute_target_) request_.host = value;
  } else if (name == "content-length") {
    if (has_content_length_) {
      return fail(400, "bad_request", "The request has more than one Content-Length.");
    }
    has_content_length_ = true;
    const bool is_number =
        !value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_number) return fail(400, "bad_request", "Content-Length is not a number.");
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), body_size_);
    is_content_length_above_max_ = ec != std::errc() || body_size_ > limits_.body_max;
  } else if (name == "transfer-encoding") {
    has_transfer_encoding_ = true;
    is_chunked_ = to_lower(value) == "chunked";
  } else if (name == "connection") {
    wants_close_ = wants_close_ || list_has(value, "close");
    wants_keep_alive_ = wants_keep_alive_ || list_has(value, "keep-alive");
  } else if (name == "expect") {
    if (to_lower(value) != "100-continue") {
      return fail(417, "expectation_failed", "The only expectation met here is 100-continue.");
    }
    expects_continue_ = true;
  }
}

void HttpRequestReader::finish_head() {
  if (!has_host_ && !request_.is_http_1_0) {
    return fail(400, "bad_request", "The request has no Host header.");
  }
  if (has_transfer_encoding_) {
    if (has_content_length_ || request_.is_http_1_0) {
      return fail(
          400, "bad_request",
          "The request's length is ambiguous: send Content-Length and no Transfer-Encoding.");
    }
    if (!is_chunked_) {
      return fail(
          501, "encoding_not_implemented",
          "Transfer-Encoding is not supported: send the body as it is, with Content-Length.");
    }
    return fail(411, "length_required",
                "A chunked body is not accepted: send it whole, with Content-Length.");
  }
  if (is_content_length_above_max_) {
    return fail(413, "body_too_large",
                "The body is longer than " + std::to_string(limits_.body_max) + " bytes.");
  }
  if (body_size_ > 0 && (request_.method == "GET" || request_.method == "HEAD")) {
    return fail(400, "bad_request", request_.method + " takes no body: leave it out.");
  }
  request_.keep_alive = !wants_close_ && (!request_.is_http_1_0 || wants_keep_alive_);
  state_ = body_size_ > 0 ? State::kBody : State::kComplete;
  if (state_ == State::kComplete) expects_continue_ = false;
}

void HttpRequestReader::fail(int status, std::string_view code, std::string detail) {
  problem_ = HttpProblem{status, code, std::move(detail)};
  state_ = State::kFailed;
}

}  // namespace pikaproxy
