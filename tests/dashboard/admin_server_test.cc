#include "dashboard/admin_server.h"

#include <string>

#include <doctest/doctest.h>

#include "common/version.h"
#include "tests/dashboard/http/http_client.h"

using namespace pikaproxy;

namespace {

struct FakeStatus : ProxyStatus {
  std::string metrics() const override { return "# HELP up Up.\n# TYPE up gauge\nup 1\n"; }
  std::string not_ready_reason() const override { return reason; }

  std::string reason;
};

AdminConfig any_port() {
  AdminConfig config;
  config.listen = Address{"127.0.0.1", 0, ""};
  config.allowed_hosts = {"Proxy1.Example"};
  return config;
}

}  // namespace

TEST_SUITE("dashboard/admin_server") {
  TEST_CASE("the pages of the admin port") {
    FakeStatus status;
    auto server = AdminServer::start(any_port(), status);
    REQUIRE(server.ok());
    RawClient client((*server)->port());

    const RawResponse metrics = client.get("/metrics");
    CHECK(metrics.status == 200);
    CHECK(metrics.has("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    CHECK(metrics.body == status.metrics());

    CHECK(client.get("/healthz").body == "ok\n");
    CHECK(client.get("/readyz").body == "ready\n");

    const RawResponse version = client.get("/version");
    CHECK(version.has("Content-Type: application/json\r\n"));
    CHECK(version.body ==
          std::string("{\"version\":\"") + kVersion + "\",\"commit\":\"" + kCommit + "\"}\n");

    const RawResponse index = client.get("/");
    CHECK(index.status == 200);
    for (const char* path : {"/metrics", "/healthz", "/readyz", "/version"}) {
      CHECK(index.body.find(path) != std::string::npos);
    }
  }

  TEST_CASE("a proxy that is not ready says why, and lives") {
    FakeStatus status;
    status.reason = "no server of group g2 is reachable";
    auto server = AdminServer::start(any_port(), status);
    REQUIRE(server.ok());
    RawClient client((*server)->port());
    const RawResponse response = client.get("/readyz");
    CHECK(response.status == 503);
    CHECK(response.has("Retry-After: "));
    CHECK(response.body == status.reason + "\n");
    CHECK(client.get("/healthz").status == 200);
  }

  TEST_CASE("a configured name may be in the Host header, another one may not") {
    FakeStatus status;
    auto server = AdminServer::start(any_port(), status);
    REQUIRE(server.ok());
    RawClient client((*server)->port());
    client.send("GET /healthz HTTP/1.1\r\nHost: proxy1.example:19001\r\n\r\n");
    CHECK(client.read().status == 200);
    client.send("GET /healthz HTTP/1.1\r\nHost: proxy2.example\r\n\r\n");
    CHECK(client.read().status == 421);
  }

  TEST_CASE("a second admin server on the port is refused") {
    FakeStatus status;
    auto first = AdminServer::start(any_port(), status);
    REQUIRE(first.ok());
    AdminConfig config = any_port();
    config.listen.port = (*first)->port();
    const auto second = AdminServer::start(config, status);
    REQUIRE(!second.ok());
    CHECK(second.error().find("Address already in use") != std::string::npos);
  }
}
