#include "dashboard/http/http_request_reader.h"

#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;
using State = HttpRequestReader::State;

TEST_SUITE("dashboard/http/http_request_reader") {
  TEST_CASE("a request split at any byte reads the same, and the next one is left alone") {
    const std::string head =
        "POST /a%20b?x=%7B1%7D&y HTTP/1.1\r\nHost: h:1\r\nX-Two: 1\r\nx-two:\t2 \r\n"
        "Content-Length: 4\r\n\r\n";
    const std::string all = head + "body" + "GET /next";
    for (size_t split = 0; split <= all.size(); ++split) {
      CAPTURE(split);
      HttpRequestReader reader(HttpLimits{});
      size_t used = reader.read(all.substr(0, split));
      while (reader.state() != State::kComplete) {
        REQUIRE(reader.state() != State::kFailed);
        const size_t more = reader.read(std::string_view(all).substr(used));
        REQUIRE(more > 0);
        used += more;
      }
      CHECK(used == head.size() + 4);
      const HttpRequest& request = reader.request();
      CHECK(request.method == "POST");
      CHECK(request.path == "/a b");
      CHECK(request.query == NamedValues{{"x", "{1}"}, {"y", ""}});
      CHECK(request.host == "h:1");
      CHECK(request.headers ==
            NamedValues{{"host", "h:1"}, {"x-two", "1"}, {"x-two", "2"}, {"content-length", "4"}});
      CHECK(request.body == "body");
      CHECK(request.keep_alive);
      CHECK(reader.read("GET /next") == 0);
    }
  }

  TEST_CASE("reading stops behind the head, before the body") {
    const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
    HttpRequestReader reader(HttpLimits{});
    CHECK(reader.read(head + "body") == head.size());
    CHECK(reader.state() == State::kBody);
    CHECK(reader.body_size() == 4);
  }

  TEST_CASE("endless heads fail with no more used than the limits") {
    struct {
      std::string start;
      std::string repeated;
      int status;
    } const table[] = {
        {"GET /", "a", 414},
        {"GET / HTTP/1.1\r\nX: ", "a", 431},
        {"GET / HTTP/1.1\r\n", "X: y\r\n", 431},
        {"GET / HTTP/1.1\r\n", std::string(100, 'x') + ": " + std::string(400, 'y') + "\r\n", 431},
    };
    for (const auto& [start, repeated, status] : table) {
      CAPTURE(start);
      const HttpLimits limits;
      HttpRequestReader reader(limits);
      size_t used = reader.read(start);
      while (reader.state() == State::kHead) used += reader.read(repeated);
      REQUIRE(reader.state() == State::kFailed);
      CHECK(reader.problem().status == status);
      CHECK(used <= limits.head_max);
      CHECK(reader.read("more") == 0);
    }
  }

  TEST_CASE("the end of a connection is what the client's version and words say") {
    struct {
      const char* version;
      const char* header;
      bool keep_alive;
    } const table[] = {
        {"1.1", "", true},
        {"1.1", "Connection: keep-alive\r\n", true},
        {"1.1", "Connection: close\r\n", false},
        {"1.1", "Connection: close\r\nConnection: keep-alive\r\n", false},
        {"1.0", "", false},
        {"1.0", "Connection: Keep-Alive\r\n", true},
        {"1.0", "Connection: keep-alive, close\r\n", false},
        {"1.0", "Connection: keep-alives\r\n", false},
    };
    for (const auto& [version, header, keep_alive] : table) {
      CAPTURE(header);
      HttpRequestReader reader(HttpLimits{});
      reader.read("GET / HTTP/" + std::string(version) + "\r\nHost: h\r\n" + header + "\r\n");
      REQUIRE(reader.state() == State::kComplete);
      CHECK(reader.request().keep_alive == keep_alive);
    }
  }
}
