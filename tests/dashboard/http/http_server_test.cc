#include "dashboard/http/http_server.h"

#include <fcntl.h>
#include <latch>
#include <random>
#include <stdexcept>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <httplib.h>

#include "tests/dashboard/http/http_client.h"

using namespace pikaproxy;
using std::chrono::milliseconds;

namespace {

constexpr size_t kBigBody = 32 << 20;

HttpResponse text(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

std::vector<HttpRoute> test_routes() {
  return {
      {"GET", "/ping", [](const HttpRequest&) { return text("pong"); }},
      {"GET", "/big", [](const HttpRequest&) { return text(std::string(kBigBody, 'x')); }},
      {"GET", "/peer", [](const HttpRequest& request) { return text(request.peer); }},
      {"GET", "/throw",
       [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("secret"); }},
      {"GET", "/query",
       [](const HttpRequest& request) {
         const std::string* key = request.query_value("key");
         return text(key != nullptr ? *key : "none");
       }},
      {"GET", "/split",
       [](const HttpRequest&) {
         HttpResponse response;
         response.headers.emplace_back("X-Value", "a\r\nX-Injected: b");
         return response;
       }},
      {"POST", "/echo", [](const HttpRequest& request) { return text(request.body); }},
      {"DELETE", "/echo",
       [](const HttpRequest&) {
         HttpResponse response;
         response.status = 204;
         return response;
       }},
  };
}

// Deadlines that no test waits for, unless it sets its own.
HttpServerConfig patient() {
  HttpServerConfig config;
  config.listen = Address{"127.0.0.1", 0, ""};
  config.workers = 2;
  config.request_timeout = config.idle_timeout = config.response_timeout = milliseconds(600'000);
  return config;
}

std::unique_ptr<HttpServer> serve(HttpServerConfig config = patient(),
                                  std::vector<HttpRoute> routes = test_routes()) {
  auto server = HttpServer::start(std::move(config), std::move(routes));
  REQUIRE(server.ok());
  return std::move(*server);
}

// A handler that says when it runs and waits until it may go on.
class Gate {
 public:
  explicit Gate(int handlers = 1) : entered_(handlers) {}
  HttpHandler handler() {
    return [this](const HttpRequest&) {
      entered_.count_down();
      release_.wait();
      return text("done");
    };
  }
  void wait_until_entered() { entered_.wait(); }
  void open() { release_.count_down(); }

 private:
  std::latch entered_;
  std::latch release_{1};
};

void check_alive(HttpServer& server) {
  RawClient client(server.port());
  const RawResponse response = client.get("/ping");
  CHECK(response.status == 200);
  CHECK(response.body == "pong");
}

// Many connections need many descriptors; the shell's limit is often 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

struct Case {
  const char* what;
  std::string bytes;
  int status;
  bool stays_open;
};

std::string get_with(std::string_view headers) {
  return "GET /ping HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) + "\r\n";
}

std::string post_with(std::string_view headers, std::string_view body = {}) {
  return "POST /echo HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) + "\r\n" +
         std::string(body);
}

std::string line(std::string_view request_line) {
  return std::string(request_line) + "\r\nHost: localhost\r\n\r\n";
}

std::string host(std::string_view value) {
  return "GET /ping HTTP/1.1\r\nHost: " + std::string(value) + "\r\n\r\n";
}

std::string many_headers(int count) {
  std::string headers;
  for (int i = 0; i < count; ++i) headers += "X-" + std::to_string(i) + ": v\r\n";
  return headers;
}

const std::vector<Case>& cases() {
  using namespace std::string_literals;
  static const std::vector<Case> table = {
      // Good ones first: strictness must not break what clients send.
      {"plain", get_with(""), 200, true},
      {"empty line first", "\r\n" + get_with(""), 200, true},
      {"query", line("GET /query?key={a}+b%20c&x HTTP/1.1"), 200, true},
      {"absolute target", line("GET http://localhost:1/ping HTTP/1.1"), 200, true},
      {"encoded path", line("GET /p%69ng HTTP/1.1"), 200, true},
      {"asks to close", get_with("Connection: close\r\n"), 200, false},
      {"asks to close among others", get_with("Connection: TE, Close\r\n"), 200, false},
      {"1.0", "GET /ping HTTP/1.0\r\n\r\n", 200, false},
      {"1.0 that stays", "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, true},
      {"header with blanks around", get_with("X-A: \t v \t\r\n"), 200, true},
      {"header with UTF-8", get_with("X-Reason: \xE7\xBB\xB4\r\n"), 200, true},
      {"empty header", get_with("X-A:\r\n"), 200, true},
      {"body", post_with("Content-Length: 3\r\n", "abc"), 200, true},
      {"no body at all", post_with(""), 200, true},
      {"zero body", post_with("Content-Length: 0\r\n"), 200, true},
      {"range is ignored", get_with("Range: bytes=0-0,1-1\r\n"), 200, true},
      {"100 headers", get_with(many_headers(99)), 200, true},
      {"no content", line("DELETE /echo HTTP/1.1"), 204, true},
      // Host.
      {"host with port", host("127.0.0.1:8080"), 200, true},
      {"host v6", host("[::1]:8080"), 200, true},
      {"host in capitals", host("LOCALHOST."), 200, true},
      {"host of another address", host("10.1.2.3"), 200, true},
      {"host of a stranger", host("evil.example"), 421, true},
      {"host that looks local", host("localhost.evil.example"), 421, true},
      {"host that looks like an address", host("127.0.0.1.evil.example"), 421, true},
      {"host with user", host("localhost@evil.example"), 421, true},
      {"host with a bad port", host("localhost:http"), 421, true},
      {"host v6 not closed", host("[::1"), 421, true},
      {"host empty", host(""), 421, true},
      {"absolute target of a stranger", line("GET http://evil.example/ping HTTP/1.1"), 421, true},
      {"no host", "GET /ping HTTP/1.1\r\n\r\n", 400, false},
      {"two hosts", get_with("Host: localhost\r\n"), 400, false},
      {"1.0 of a stranger", "GET /ping HTTP/1.0\r\nHost: evil.example\r\n\r\n", 421, false},
      // Routes.
      {"unknown path", line("GET /nothing HTTP/1.1"), 404, true},
      {"path with dots", line("GET /../ping HTTP/1.1"), 404, true},
      {"path in capitals", line("GET /PING HTTP/1.1"), 404, true},
      {"wrong method", line("POST /ping HTTP/1.1"), 405, true},
      {"options", line("OPTIONS /ping HTTP/1.1"), 405, true},
      {"refused with a body", "POST /ping HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
       421, false},
      {"unknown path with a body", line("PUT /nothing HTTP/1.1\r\nContent-Length: 9"), 404, false},
      // The request line.
      {"unknown method", line("BREW /ping HTTP/1.1"), 501, false},
      {"method in small letters", line("get /ping HTTP/1.1"), 501, false},
      {"trace", line("TRACE /ping HTTP/1.1"), 501, false},
      {"connect", line("CONNECT localhost:80 HTTP/1.1"), 501, false},
      {"http 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, false},
      {"http 0.9", "GET /ping\r\n", 400, false},
      {"http 1.2", line("GET /ping HTTP/1.2"), 505, false},
      {"version in small letters", line("GET /ping http/1.1"), 400, false},
      {"version cut", line("GET /ping HTTP/1"), 400, false},
      {"no target", line("GET HTTP/1.1"), 400, false},
      {"two blanks", line("GET  /ping HTTP/1.1"), 400, false},
      {"blank at the end", line("GET /ping HTTP/1.1 "), 400, false},
      {"blank in the path", line("GET /pi ng HTTP/1.1"), 400, false},
      {"fragment", line("GET /ping#x HTTP/1.1"), 400, false},
      {"not a path", line("GET ping HTTP/1.1"), 400, false},
      {"asterisk", line("OPTIONS * HTTP/1.1"), 400, false},
      {"bad escape", line("GET /%zz HTTP/1.1"), 400, false},
      {"escape cut", line("GET /ping%2 HTTP/1.1"), 400, false},
      {"bad escape in the query", line("GET /ping?a=%g0 HTTP/1.1"), 400, false},
      {"encoded zero", line("GET /ping%00 HTTP/1.1"), 400, false},
      {"encoded line break", line("GET /ping%0d%0a HTTP/1.1"), 400, false},
      {"byte above ASCII", line("GET /\xC3\xA4 HTTP/1.1"), 400, false},
      {"zero byte", line("GET /pi\0ng HTTP/1.1"s), 400, false},
      {"two empty lines first", "\r\n\r\n" + get_with(""), 400, false},
      {"method too long", line(std::string(40, 'G') + " /ping HTTP/1.1"), 400, false},
      {"path too long", line("GET /" + std::string(8192, 'a') + " HTTP/1.1"), 414, false},
      {"path without end", "GET /" + std::string(100'000, 'a'), 414, false},
      {"tls hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"s, 400, false},
      {"redis", "*1\r\n$4\r\nPING\r\n", 400, false},
      {"redis inline", "PING\r\n", 400, false},
      // Headers.
      {"line feed alone", "GET /ping HTTP/1.1\nHost: localhost\n\n", 400, false},
      {"carriage return in a value", get_with("X-A: a\rb\r\n"), 400, false},
      {"zero byte in a value", get_with("X-A: a\0b\r\n"s), 400, false},
      {"folded", get_with("X-A: a\r\n b\r\n"), 400, false},
      {"blank before the colon", get_with("X-A : a\r\n"), 400, false},
      {"no colon", get_with("X-A\r\n"), 400, false},
      {"no name", get_with(": a\r\n"), 400, false},
      {"byte above ASCII in a name", get_with("X-\xC3\xA4: a\r\n"), 400, false},
      {"101 headers", get_with(many_headers(100)), 431, false},
      {"one header too large", get_with("X-A: " + std::string(16384, 'a') + "\r\n"), 431, false},
      {"header without end", "GET /ping HTTP/1.1\r\nX-A: " + std::string(100'000, 'a'), 431, false},
      {"expectation", get_with("Expect: tea\r\n"), 417, false},
      // Length.
      {"chunked", post_with("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 411, false},
      {"chunked in capitals", post_with("Transfer-Encoding: CHUNKED\r\n"), 411, false},
      {"gzip", post_with("Transfer-Encoding: gzip\r\n"), 501, false},
      {"chunked twice", post_with("Transfer-Encoding: chunked, chunked\r\n"), 501, false},
      {"chunked and length", post_with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400,
       false},
      {"chunked 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, false},
      {"two lengths", post_with("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400, false},
      {"list of lengths", post_with("Content-Length: 3, 3\r\n", "abc"), 400, false},
      {"negative length", post_with("Content-Length: -1\r\n"), 400, false},
      {"signed length", post_with("Content-Length: +3\r\n", "abc"), 400, false},
      {"hexadecimal length", post_with("Content-Length: 0x3\r\n", "abc"), 400, false},
      {"empty length", post_with("Content-Length:\r\n"), 400, false},
      {"length above 64 bits", post_with("Content-Length: 99999999999999999999\r\n"), 413, false},
      {"length above the limit", post_with("Content-Length: 1048577\r\n"), 413, false},
      {"get with a body", get_with("Content-Length: 3\r\n") + "abc", 400, false},
  };
  return table;
}

}  // namespace

TEST_SUITE("dashboard/http/http_server") {
  TEST_CASE("each request, good or hostile, gets its status, and hostile ones the end") {
    const auto server = serve();
    for (const Case& c : cases()) {
      CAPTURE(c.what);
      RawClient client(server->port());
      client.send(c.bytes);
      const RawResponse response = client.read();
      CHECK(response.status == c.status);
      CHECK(response.has("X-Content-Type-Options: nosniff\r\n"));
      CHECK(response.has("Cache-Control: no-store\r\n"));
      CHECK(response.has("Connection: close\r\n") == !c.stays_open);
      if (c.status >= 400) {
        CHECK(response.has("Content-Type: application/problem+json\r\n"));
        CHECK(response.body.find("\"status\":" + std::to_string(c.status)) != std::string::npos);
      }
      if (c.stays_open) {
        CHECK(client.get("/ping").body == "pong");
      } else {
        CHECK(client.read_to_end() == "");
      }
    }
  }

  TEST_CASE("each request means the same when it comes byte by byte") {
    const auto server = serve();
    for (const Case& c : cases()) {
      // The long ones are about their length only.
      if (c.bytes.size() > 1000) continue;
      CAPTURE(c.what);
      RawClient client(server->port());
      for (const char byte : c.bytes) {
        if (!client.send({&byte, 1})) break;
      }
      CHECK(client.read().status == c.status);
    }
  }

  TEST_CASE("a path is refused with the methods that it has") {
    const auto server = serve();
    RawClient client(server->port());
    client.send(line("PUT /echo HTTP/1.1"));
    CHECK(client.read().has("Allow: POST, DELETE\r\n"));
    client.send(line("PUT /ping HTTP/1.1"));
    CHECK(client.read().has("Allow: GET, HEAD\r\n"));
  }

  TEST_CASE("HEAD answers as GET does, without the body") {
    const auto server = serve();
    RawClient client(server->port());
    client.send(line("HEAD /ping HTTP/1.1"));
    const RawResponse response = client.read(true);
    CHECK(response.status == 200);
    CHECK(response.has("Content-Length: 4\r\n"));
    client.send(line("HEAD /nothing HTTP/1.1"));
    CHECK(client.read(true).status == 404);
    CHECK(client.get("/ping").body == "pong");
  }

  TEST_CASE("pipelined requests are answered in order") {
    const auto server = serve();
    RawClient client(server->port());
    std::string all;
    for (int i = 0; i < 200; ++i) {
      const std::string body = std::to_string(i);
      all += post_with("Content-Length: " + std::to_string(body.size()) + "\r\n", body);
      if (i % 3 == 0) all += line("GET /nothing HTTP/1.1");
    }
    client.send(all);
    for (int i = 0; i < 200; ++i) {
      REQUIRE(client.read().body == std::to_string(i));
      if (i % 3 == 0) REQUIRE(client.read().status == 404);
    }
  }

  TEST_CASE("a client that has finished sending still gets all its answers") {
    const auto server = serve();
    RawClient client(server->port());
    client.send(get_with("") + get_with(""));
    client.finish_sending();
    CHECK(client.read().body == "pong");
    CHECK(client.read().body == "pong");
    CHECK(client.read_to_end() == "");
  }

  TEST_CASE("a client that stops in the middle of a request gets nothing but the end") {
    const auto server = serve();
    for (const std::string& part : {std::string(), std::string("GET"),
                                    std::string("GET /ping HTTP/1.1\r\nHost: localhost\r\n"),
                                    post_with("Content-Length: 10\r\n", "abc")}) {
      RawClient client(server->port());
      client.send(part);
      client.finish_sending();
      CHECK(client.read_to_end() == "");
    }
    check_alive(*server);
  }

  TEST_CASE("100 Continue is sent to who waits for it") {
    const auto server = serve();
    RawClient client(server->port());
    client.send(post_with("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    CHECK(client.read().status == 100);
    client.send("abc");
    CHECK(client.read().body == "abc");
    // Who does not wait needs none, and who is refused gets the refusal instead.
    client.send(post_with("Content-Length: 3\r\nExpect: 100-continue\r\n", "abc"));
    CHECK(client.read().status == 200);
    client.send(line("POST /nothing HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue"));
    CHECK(client.read().status == 404);
  }

  TEST_CASE("a body up to the limit arrives whole, a larger one is refused before it is read") {
    const auto server = serve();
    RawClient client(server->port());
    const std::string body(1 << 20, 'b');
    client.send(post_with("Content-Length: 1048576\r\n", body));
    CHECK(client.read().body == body);
    // Sent in full nevertheless: the refusal must not be lost by a reset.
    client.send(post_with("Content-Length: 2097152\r\n", body));
    client.send(body);
    CHECK(client.read().status == 413);
    CHECK(client.read_to_end() == "");
  }

  TEST_CASE("the bytes of all bodies together are bounded, and small requests go on") {
    Gate gate;
    auto routes = test_routes();
    routes.push_back({"POST", "/block", gate.handler()});
    HttpServerConfig config = patient();
    config.buffered_max = 100'000;
    const auto server = serve(config, routes);
    const std::string body(90'000, 'a');
    const std::string head = " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n";
    RawClient first(server->port());
    first.send("POST /block" + head + body);
    gate.wait_until_entered();
    RawClient second(server->port());
    second.send("POST /echo" + head + body);
    CHECK(second.read().status == 503);
    check_alive(*server);
    gate.open();
    CHECK(first.read().status == 200);
    // The bytes are free again.
    first.send("POST /echo" + head + body);
    CHECK(first.read().body == body);
  }

  TEST_CASE("many slow senders delay nobody") {
    raise_descriptor_limit();
    HttpServerConfig config = patient();
    config.workers = 1;
    config.connections_max = 1000;
    config.connections_per_peer_max = 1000;
    const auto server = serve(config);
    const std::string request = post_with("Content-Length: 4\r\n", "slow");
    std::vector<std::unique_ptr<RawClient>> slow;
    for (int i = 0; i < 200; ++i) slow.push_back(std::make_unique<RawClient>(server->port()));
    RawClient quick(server->port());
    for (const char byte : request) {
      for (const auto& client : slow) REQUIRE(client->send({&byte, 1}));
      REQUIRE(quick.get("/ping").body == "pong");
    }
    for (const auto& client : slow) CHECK(client->read().body == "slow");
  }

  TEST_CASE("many slow readers delay nobody") {
    HttpServerConfig config = patient();
    config.workers = 1;
    const auto server = serve(config);
    std::vector<std::unique_ptr<RawClient>> slow;
    for (int i = 0; i < 4; ++i) {
      slow.push_back(std::make_unique<RawClient>(server->port()));
      slow.back()->send(line("GET /big HTTP/1.1"));
    }
    for (int i = 0; i < 20; ++i) check_alive(*server);
    CHECK(slow[0]->read().body.size() == kBigBody);
  }

  TEST_CASE("idle connections cost nothing but their number") {
    raise_descriptor_limit();
    HttpServerConfig config = patient();
    config.connections_max = 2000;
    config.connections_per_peer_max = 2000;
    const auto server = serve(config);
    std::vector<std::unique_ptr<RawClient>> idle;
    for (int i = 0; i < 500; ++i) {
      idle.push_back(std::make_unique<RawClient>(server->port()));
      if (i % 2 == 0) REQUIRE(idle.back()->get("/ping").status == 200);
    }
    for (int i = 0; i < 20; ++i) check_alive(*server);
    for (const auto& client : idle) REQUIRE(client->get("/ping").body == "pong");
  }

  TEST_CASE("when all connections are taken, the longest idle one makes room") {
    HttpServerConfig config = patient();
    config.connections_max = 3;
    const auto server = serve(config);
    RawClient first(server->port());
    REQUIRE(first.get("/ping").status == 200);
    RawClient second(server->port());
    REQUIRE(second.get("/ping").status == 200);
    RawClient busy(server->port());
    REQUIRE(busy.get("/ping").status == 200);
    REQUIRE(first.get("/ping").status == 200);
    // "second" has been idle longest now.
    RawClient next(server->port());
    CHECK(next.get("/ping").status == 200);
    CHECK(second.read_to_end() == "");
    CHECK(first.get("/ping").status == 200);
    CHECK(busy.get("/ping").status == 200);
  }

  TEST_CASE("when all connections are busy, a further one is told so") {
    Gate gate(2);
    auto routes = test_routes();
    routes.push_back({"GET", "/block", gate.handler()});
    HttpServerConfig config = patient();
    config.connections_max = 2;
    const auto server = serve(config, routes);
    RawClient first(server->port());
    RawClient second(server->port());
    first.send(line("GET /block HTTP/1.1"));
    second.send(line("GET /block HTTP/1.1"));
    gate.wait_until_entered();
    RawClient third(server->port());
    const RawResponse response = third.read();
    CHECK(response.status == 503);
    CHECK(response.has("Retry-After: 1\r\n"));
    CHECK(third.read_to_end() == "");
    gate.open();
    CHECK(first.read().body == "done");
    CHECK(second.read().body == "done");
  }

  TEST_CASE("one address cannot take all connections") {
    HttpServerConfig config = patient();
    config.connections_per_peer_max = 2;
    const auto server = serve(config);
    RawClient first(server->port());
    auto second = std::make_unique<RawClient>(server->port());
    REQUIRE(first.get("/ping").status == 200);
    REQUIRE(second->get("/ping").status == 200);
    CHECK(RawClient(server->port()).read().status == 503);
    RawClient other(server->port(), "127.0.0.2");
    CHECK(other.get("/peer").body == "127.0.0.2");
    // A connection that ended counts no more.
    second->finish_sending();
    CHECK(second->read_to_end() == "");
    check_alive(*server);
  }

  TEST_CASE("a stuck handler holds its own thread only") {
    Gate gate;
    auto routes = test_routes();
    routes.push_back({"GET", "/block", gate.handler()});
    const auto server = serve(patient(), routes);
    RawClient stuck(server->port());
    stuck.send(line("GET /block HTTP/1.1"));
    gate.wait_until_entered();
    for (int i = 0; i < 10; ++i) check_alive(*server);
    gate.open();
    CHECK(stuck.read().body == "done");
  }

  TEST_CASE("a client that leaves while its handler runs harms nobody") {
    Gate gate;
    auto routes = test_routes();
    routes.push_back({"GET", "/block", gate.handler()});
    const auto server = serve(patient(), routes);
    {
      RawClient leaving(server->port());
      leaving.send(line("GET /block HTTP/1.1"));
      gate.wait_until_entered();
    }
    check_alive(*server);
    gate.open();
    check_alive(*server);
  }

  TEST_CASE("what an exception says stays in the log") {
    const auto server = serve();
    RawClient client(server->port());
    const RawResponse response = client.get("/throw");
    CHECK(response.status == 500);
    CHECK(response.body.find("secret") == std::string::npos);
    CHECK(client.get("/ping").status == 200);
  }

  TEST_CASE("a line break in a value does not make a header") {
    const auto server = serve();
    RawClient client(server->port());
    const RawResponse response = client.get("/split");
    CHECK(response.has("X-Value: a??X-Injected: b\r\n"));
  }

  TEST_CASE("query values are decoded") {
    const auto server = serve();
    RawClient client(server->port());
    CHECK(client.get("/query?x=1&key={a}+b%20%7C%26&key=second").body == "{a} b |&");
    CHECK(client.get("/query?key").body == "");
    CHECK(client.get("/query?").body == "none");
  }

  TEST_CASE("a request that is not complete in time is answered with 408") {
    HttpServerConfig config = patient();
    config.request_timeout = milliseconds(30);
    const auto server = serve(config);
    for (const std::string& part : {std::string("G"), std::string("GET /ping HTTP/1.1\r\nHo"),
                                    post_with("Content-Length: 10\r\n", "abc")}) {
      RawClient client(server->port());
      client.send(part);
      CHECK(client.read().status == 408);
      CHECK(client.read_to_end() == "");
    }
  }

  TEST_CASE("an idle connection is closed in the end") {
    HttpServerConfig config = patient();
    config.idle_timeout = milliseconds(30);
    const auto server = serve(config);
    RawClient silent(server->port());
    CHECK(silent.read_to_end() == "");
  }

  TEST_CASE("a client that does not take its response is cut off") {
    HttpServerConfig config = patient();
    config.response_timeout = milliseconds(30);
    config.connections_per_peer_max = 1;
    const auto server = serve(config);
    RawClient client(server->port());
    client.send(line("GET /big HTTP/1.1"));
    // Others from this address are refused for as long as the connection is there.
    while (RawClient(server->port()).get("/ping").status != 200) {
    }
    CHECK(client.read_to_end().size() < kBigBody);
  }

  TEST_CASE("a flood of headers ends after the limit") {
    const auto server = serve();
    RawClient client(server->port());
    client.send("GET /ping HTTP/1.1\r\n");
    const std::string piece(64 << 10, 'h');
    int pieces = 0;
    while (pieces < 256 && client.send(piece)) ++pieces;
    const RawResponse response = client.read();
    // The kernel may drop the answer when the flood goes on for longer than the server lingers.
    CHECK((response.status == 431 || response.status == 0));
    check_alive(*server);
  }

  TEST_CASE("a port in use is an error that says what to do") {
    const auto server = serve();
    HttpServerConfig config = patient();
    config.listen.port = server->port();
    const auto second = HttpServer::start(config, test_routes());
    REQUIRE(!second.ok());
    CHECK(second.error().find(config.listen.to_string()) != std::string::npos);
    CHECK(second.error().find("stop the process that has this port") != std::string::npos);
    check_alive(*server);
  }

  TEST_CASE("an address that cannot be listened on is an error that names it") {
    for (const Address& address :
         {Address{"192.0.2.1", 0, ""}, Address{"no such name", 0, ""}, Address{"", 0, "/tmp/x"}}) {
      HttpServerConfig config = patient();
      config.listen = address;
      const auto server = HttpServer::start(config, test_routes());
      REQUIRE(!server.ok());
      CHECK(server.error().find(address.to_string()) != std::string::npos);
      CHECK(server.error().find("set admin.listen") != std::string::npos);
    }
  }

  TEST_CASE("the port can be used again at once after stop()") {
    auto server = serve();
    const uint16_t port = server->port();
    check_alive(*server);
    server->stop();
    HttpServerConfig config = patient();
    config.listen.port = port;
    const auto next = serve(config);
    check_alive(*next);
  }

  TEST_CASE("stop() closes connections in every state") {
    HttpServerConfig config = patient();
    config.stop_timeout = milliseconds(30);
    const auto server = serve(config);
    RawClient fresh(server->port());
    RawClient idle(server->port());
    REQUIRE(idle.get("/ping").status == 200);
    RawClient partial(server->port());
    partial.send("GET /ping HT");
    RawClient lingering(server->port());
    lingering.send("nonsense\r\n");
    REQUIRE(lingering.read().status == 400);
    RawClient not_reading(server->port());
    not_reading.send(line("GET /big HTTP/1.1"));
    REQUIRE(idle.get("/ping").status == 200);
    server->stop();
    server->stop();
    CHECK(fresh.read_to_end() == "");
    CHECK(idle.read_to_end() == "");
    CHECK(partial.read_to_end() == "");
    CHECK(lingering.read_to_end() == "");
    CHECK(not_reading.read_to_end().size() < kBigBody);
  }

  TEST_CASE("stop() lets a request under way be answered") {
    Gate gate;
    HttpServerConfig config = patient();
    config.stop_timeout = milliseconds(600'000);
    const auto server = serve(config, {{"GET", "/block", gate.handler()}});
    RawClient idle(server->port());
    RawClient client(server->port());
    client.send(line("GET /block HTTP/1.1"));
    gate.wait_until_entered();
    std::thread stopper([&] { server->stop(); });
    // The idle connection's end shows that stopping has begun.
    CHECK(idle.read_to_end() == "");
    gate.open();
    CHECK(client.read().body == "done");
    CHECK(client.read_to_end() == "");
    stopper.join();
  }

  TEST_CASE("without free descriptors the server waits, and goes on when there are some") {
    const auto server = serve();
    RawClient early(server->port());
    REQUIRE(early.get("/ping").status == 200);
    std::vector<FileDescriptor> fill;
    fill.emplace_back(::dup(0));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(fill[0].get()) + 8;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    while (fill.back().is_open()) fill.emplace_back(::dup(0));
    // The last one open is for the client; accepting it in the server needs one more.
    fill.resize(fill.size() - 2);
    RawClient late(server->port());
    late.send(line("GET /ping HTTP/1.1"));
    // By the second answer the server has tried to accept.
    REQUIRE(early.get("/ping").status == 200);
    REQUIRE(early.get("/ping").status == 200);
    fill.clear();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(late.read().body == "pong");
    check_alive(*server);
  }

  TEST_CASE("random bytes end in an answer or a close, and the server lives") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const std::vector<std::string> words = {
        "GET ",
        "POST ",
        "HEAD ",
        "/ping",
        "/echo",
        "?a=b",
        "%41",
        "%0",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "Host: localhost",
        "Content-Length: ",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Expect: 100-continue",
        "5",
        "abcde",
        ":",
        " ",
        "\t",
        std::string(1, '\0'),
        "\xFF",
        std::string(3000, 'z'),
        "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde"};
    const auto server = serve();
    for (int round = 0; round < 300; ++round) {
      std::string bytes;
      const size_t count = random() % 40;
      for (size_t i = 0; i < count; ++i) {
        bytes += random() % 8 == 0 ? std::string(1, static_cast<char>(random()))
                                   : words[random() % words.size()];
      }
      RawClient client(server->port());
      client.send(bytes);
      client.finish_sending();
      const std::string answer = client.read_to_end();
      CHECK((answer.empty() || answer.starts_with("HTTP/1.1 ")));
    }
    check_alive(*server);
  }

  TEST_CASE("an HTTP client that is not ours understands the server") {
    const auto server = serve();
    httplib::Client client("127.0.0.1", server->port());
    client.set_keep_alive(true);
    for (int i = 0; i < 20; ++i) {
      const auto ping = client.Get("/ping");
      REQUIRE(ping);
      CHECK(ping->status == 200);
      CHECK(ping->body == "pong");
    }
    const auto head = client.Head("/ping");
    REQUIRE(head);
    CHECK(head->get_header_value("Content-Length") == "4");
    const auto echo = client.Post("/echo", std::string(500'000, 'e'), "application/json");
    REQUIRE(echo);
    CHECK(echo->body.size() == 500'000);
    const auto gone = client.Delete("/echo");
    REQUIRE(gone);
    CHECK(gone->status == 204);
    const auto missing = client.Get("/nothing");
    REQUIRE(missing);
    CHECK(missing->status == 404);
  }
}
