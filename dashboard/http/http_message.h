#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dashboard/http/http_body_source.h"

namespace pikaproxy {

// Name and value, in the order of arrival; a name may occur more than once.
using NamedValues = std::vector<std::pair<std::string, std::string>>;

// A complete request, as a handler sees it. Everything was checked by HttpRequestReader.
struct HttpRequest {
  std::string method;           // One of kHttpMethods.
  std::string path;             // Percent-decoded, begins with "/", no control characters.
  std::string raw_path;         // As it was sent.
  NamedValues path_parameters;  // Of the route's template, decoded.
  NamedValues query;            // Decoded, "+" is a space; a name without "=" has an empty value.
  NamedValues headers;          // Names in lower case, values without surrounding blanks.
  std::string body;             // As many bytes as Content-Length said; empty without one.
  std::string host;  // Of the Host header or an absolute target, with its port; may be empty (1.0).
  std::string peer;  // The client's address without its port, e.g. "127.0.0.1".
  bool is_http_1_0 = false;
  bool is_tls = false;
  bool keep_alive = true;  // What the client asked for, by version and Connection header.

  // The first value of that name, or nullptr. `name` in lower case.
  const std::string* header(std::string_view name) const noexcept;
  // The first value of that name, or nullptr.
  const std::string* query_value(std::string_view name) const noexcept;
};

// The methods the server knows; any other is answered with 501.
inline constexpr std::string_view kHttpMethods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                                    "PATCH", "DELETE", "OPTIONS"};

// What a handler answers. Content-Length, Date, Connection, X-Content-Type-Options and (unless set
// here) Cache-Control: no-store are added by serialize().
struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  NamedValues headers;  // Further ones. Control characters in values are replaced when sent.
  // Where set, the body goes on with what this gives:
  std::shared_ptr<HttpBodySource> source = {};
  bool is_stream = false;  // true: sent as it comes, ends with the connection; false: sent as a
                           // whole, when the source has ended.
};

// An RFC 9457 problem. `code` is a stable word for programs; `detail` a sentence for people that
// says what is wrong and what to do. Neither may hold secrets.
struct HttpProblem {
  int status = 500;
  std::string_view code;  // A literal.
  std::string detail;
};

// The standard phrase of a status, e.g. "Not Found".
std::string_view reason_phrase(int status) noexcept;

// An application/problem+json response.
HttpResponse problem_response(const HttpProblem& problem);

// How the response is put on the wire.
struct HttpFraming {
  bool keep_alive = true;
  bool is_http_1_0 = false;    // A 1.0 client must be told that the connection stays open.
  bool is_head = false;        // Headers as for GET, no body.
  bool is_open_ended = false;  // No Content-Length: the body ends with the connection.
  bool is_tls = false;         // Browsers are told to keep to HTTPS.
};

std::string serialize(const HttpResponse& response, const HttpFraming& framing);

// `text` as a JSON string with its quotes. Bytes outside ASCII are written as \u00XX, so the result
// is valid JSON whatever the bytes were.
std::string json_quote(std::string_view text);

// Decodes %XX, and "+" when told; nothing for a malformed escape.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

// ASCII only, independent of locale.
std::string to_lower(std::string_view text);

}  // namespace pikaproxy
