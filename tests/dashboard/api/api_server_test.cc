#include "dashboard/api/api_server.h"

#include <atomic>

#include <doctest/doctest.h>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/openapi.h"
#include "dashboard/store/schema.h"
#include "tests/common/temporary_directory.h"
#include "tests/dashboard/http/http_client.h"

using namespace pikaproxy;

namespace {

constexpr char kPassword[] = "first-password";

struct FakeStatus : ProxyStatus {
  std::string metrics() const override { return "up 1\n"; }
  std::string not_ready_reason() const override { return {}; }
};

// A server with an admin's token, and a few routes of the test's own.
class Fixture {
 public:
  Fixture() {
    config_.admin.listen = Address{"127.0.0.1", 0, ""};
    config_.dashboard.data_dir = directory_.path("data");
    config_.dashboard.admin_password_file =
        directory_.write("password", std::string(kPassword) + "\n");
    database_ = std::move(*Database::open(":memory:", schema_upgrades()));
    audit_ = std::make_unique<StoreAuditLog>(*database_, events_);
    settings_ = std::make_unique<Settings>(*database_);
    tokens_ = std::make_unique<Tokens>(*database_);
    for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin}) {
      auto made = tokens_->create(std::string(role_name(role)), role, "test", std::nullopt);
      secrets_[role] = std::get<Tokens::Created>(made).secret;
    }
    auto server = ApiServer::start(config_, {status_, *database_, events_, *audit_, *settings_},
                                   own_routes());
    REQUIRE_MESSAGE(server.ok(), (server.ok() ? "" : server.error()));
    server_ = std::move(*server);
  }

  RawResponse send(const std::string& method, const std::string& path, const std::string& headers,
                   const std::string& body = "") {
    RawClient client(server_->port());
    std::string text = method + " /api/v1" + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(text + "\r\n" + body);
    return client.read();
  }
  RawResponse as(Role role, const std::string& method, const std::string& path,
                 const std::string& body = "", const std::string& headers = "") {
    return send(method, path,
                "Authorization: Bearer " + secrets_[role] + "\r\n" + headers +
                    (body.empty() ? "" : "Content-Type: application/json\r\n"),
                body);
  }

  static std::string code(const RawResponse& response) {
    return nlohmann::json::parse(response.body)["code"];
  }

  uint16_t port() const { return server_->port(); }
  ApiServer& server() { return *server_; }
  StoreAuditLog& audit() { return *audit_; }
  EventRing& events() { return events_; }
  Database& database() { return *database_; }
  const std::string& secret(Role role) { return secrets_[role]; }

  std::atomic<int> work_done{0};

 private:
  std::vector<ApiRoute> own_routes() {
    return {
        {.method = "POST",
         .path = "/things",
         .operation_id = "createThing",
         .role = Role::kOperator,
         .creates_work = true,
         .handler = [this](const ApiRequest& request) -> ApiResult {
           BodyReader body(request.body);
           const int64_t n = body.integer("n", 0, 9);
           if (auto problem = body.finish()) return *problem;
           if (n == 9) return conflict("no_nine", "Not nine.");
           if (n == 8) throw std::runtime_error("hunter2");
           if (n == 7) throw StoreError{"store: the disk is full: free some space"};
           ApiReply reply;
           reply.status = 201;
           reply.object = "things/1";
           reply.after = {{"n", n}};
           if (!request.dry_run) ++work_done;
           reply.body = {{"n", n}, {"done", work_done.load()}, {"dry_run", request.dry_run}};
           return reply;
         }},
        {.method = "PUT",
         .path = "/topology-like",
         .operation_id = "putTopologyLike",
         .role = Role::kAdmin,
         .needs_version = true,
         .handler = [](const ApiRequest& request) -> ApiResult {
           if (request.topology_version != 42) return stale_version(*request.topology_version, 42);
           ApiReply reply;
           reply.body = {{"fields", request.body.size()}};
           return reply;
         }},
        {.method = "GET",
         .path = "/things/{id}",
         .operation_id = "getThing",
         .query = {"view"},
         .handler = [](const ApiRequest& request) -> ApiResult {
           ApiReply reply;
           reply.body = {{"id", request.path.at("id")}};
           reply.headers.emplace_back("ETag", "\"t42\"");
           return reply;
         }},
    };
  }

  TemporaryDirectory directory_;
  Config config_;
  FakeStatus status_;
  std::unique_ptr<Database> database_;
  EventRing events_;
  std::unique_ptr<StoreAuditLog> audit_;
  std::unique_ptr<Settings> settings_;
  std::unique_ptr<Tokens> tokens_;
  std::map<Role, std::string> secrets_;
  std::unique_ptr<ApiServer> server_;
};

}  // namespace

TEST_SUITE("dashboard/api/api_server") {
  TEST_CASE("what is checked before a handler runs") {
    Fixture f;
    struct Case {
      int status;
      std::string code;
      RawResponse response;
    };
    const std::string json = "Content-Type: application/json\r\n";
    const Case cases[] = {
        {404, "not_found", f.as(Role::kAdmin, "GET", "/nothing")},
        {405, "method_not_allowed", f.as(Role::kAdmin, "DELETE", "/things")},
        {401, "credential_required", f.send("GET", "/settings", "")},
        {401, "bad_credential", f.send("GET", "/settings", "Authorization: Bearer pp_x\r\n")},
        {401, "bad_credential", f.send("GET", "/settings", "Authorization: Basic YTpi\r\n")},
        {401, "session_ended", f.send("GET", "/settings", "Cookie: pikaproxy_0=abc\r\n")},
        {403, "forbidden", f.as(Role::kViewer, "POST", "/things", "{\"n\":1}")},
        {403, "foreign_origin",
         f.as(Role::kAdmin, "POST", "/things", "{\"n\":1}", "Origin: https://evil.example\r\n")},
        {403, "foreign_origin",
         f.as(Role::kAdmin, "POST", "/things", "{\"n\":1}", "Origin: null\r\n")},
        {415, "unsupported_media_type",
         f.send(
             "POST", "/things",
             "Authorization: Bearer " + f.secret(Role::kAdmin) + "\r\nContent-Type: text/plain\r\n",
             "{\"n\":1}")},
        {400, "invalid_body", f.as(Role::kAdmin, "POST", "/things", "[1]")},
        {400, "invalid_body", f.as(Role::kAdmin, "POST", "/things", "{\"n\":1,\"n\":1}")},
        {400, "invalid_body", f.as(Role::kAdmin, "POST", "/things", "{\"n\":1,\"m\":1}")},
        {400, "unknown_parameter", f.as(Role::kAdmin, "POST", "/things?dryrun=true", "{\"n\":1}")},
        {400, "invalid_parameter", f.as(Role::kAdmin, "POST", "/things?dry_run=yes", "{\"n\":1}")},
        {400, "invalid_parameter",
         f.as(Role::kAdmin, "POST", "/things?dry_run=true&dry_run=true", "{\"n\":1}")},
        {400, "unknown_parameter", f.as(Role::kAdmin, "GET", "/things/1?dry_run=true")},
        {400, "invalid_parameter", f.as(Role::kAdmin, "GET", "/things/%ff")},
        {428, "version_required", f.as(Role::kAdmin, "PUT", "/topology-like", "{}")},
        {400, "invalid_header",
         f.as(Role::kAdmin, "PUT", "/topology-like", "{}", "If-Match: \"42\"\r\n")},
        {400, "invalid_body",
         f.as(Role::kAdmin, "PUT", "/topology-like", "{\"topology_version\":-1}")},
        {412, "stale_version",
         f.as(Role::kAdmin, "PUT", "/topology-like", "{\"topology_version\":41}")},
        {400, "invalid_header",
         f.as(Role::kAdmin, "POST", "/things", "{\"n\":1}", "Idempotency-Key: a b\r\n")},
        {409, "no_nine", f.as(Role::kAdmin, "POST", "/things", "{\"n\":9}")},
        {500, "internal_error", f.as(Role::kAdmin, "POST", "/things", "{\"n\":8}")},
        {503, "store_unavailable", f.as(Role::kAdmin, "POST", "/things", "{\"n\":7}")},
    };
    for (const Case& c : cases) {
      CAPTURE(c.code);
      CAPTURE(c.response.body);
      CHECK(c.response.status == c.status);
      CHECK(c.response.has("Content-Type: application/problem+json\r\n"));
      CHECK(Fixture::code(c.response) == c.code);
      CHECK(c.response.body.find("hunter2") == std::string::npos);
    }
    CHECK(f.work_done == 0);
  }

  TEST_CASE("a version is taken from the header or the body, and a dry run is passed on") {
    Fixture f;
    CHECK(f.as(Role::kAdmin, "PUT", "/topology-like", "{}", "If-Match: \"t42\"\r\n").status == 200);
    const auto reply = f.as(Role::kAdmin, "PUT", "/topology-like", "{\"topology_version\":42}");
    CHECK(reply.body == "{\"fields\":0}\n");
    const auto dry = f.as(Role::kOperator, "POST", "/things?dry_run=true", "{\"n\":1}");
    CHECK(nlohmann::json::parse(dry.body)["dry_run"] == true);
    CHECK(f.work_done == 0);
    CHECK(f.audit().find({})[0]["dry_run"] == true);
  }

  TEST_CASE("an encoded slash stays within its parameter") {
    Fixture f;
    CHECK(f.as(Role::kViewer, "GET", "/things/a%2Fb").body == "{\"id\":\"a/b\"}\n");
    CHECK(f.as(Role::kViewer, "GET", "/things/a/b").status == 404);
    CHECK(f.as(Role::kViewer, "GET", "/things/").status == 404);
    const auto same = f.as(Role::kViewer, "GET", "/things/1", "", "If-None-Match: \"t42\"\r\n");
    CHECK(same.status == 304);
  }

  TEST_CASE("the same key gives the first answer, for the same request of the same caller") {
    Fixture f;
    const std::string key = "Idempotency-Key: k1\r\n";
    const auto first = f.as(Role::kAdmin, "POST", "/things", "{\"n\":1}", key);
    const auto again = f.as(Role::kAdmin, "POST", "/things", "{\"n\":1}", key);
    CHECK(first.status == 201);
    CHECK(again.status == 201);
    CHECK(again.body == first.body);
    CHECK(again.has("Idempotent-Replay: true\r\n"));
    CHECK_FALSE(first.has("Idempotent-Replay"));
    CHECK(f.work_done == 1);
    const auto other = f.as(Role::kAdmin, "POST", "/things", "{\"n\":2}", key);
    CHECK(other.status == 422);
    CHECK(f.as(Role::kOperator, "POST", "/things", "{\"n\":2}", key).status == 201);
    CHECK(f.work_done == 2);
    // What failed may be tried again.
    const std::string failing = "Idempotency-Key: k2\r\n";
    CHECK(f.as(Role::kAdmin, "POST", "/things", "{\"n\":9}", failing).status == 409);
    CHECK(f.as(Role::kAdmin, "POST", "/things", "{\"n\":1}", failing).status == 201);
  }

  TEST_CASE("a browser's session needs the CSRF token for changes, and ends at logout") {
    Fixture f;
    const std::string json = "Content-Type: application/json\r\n";
    CHECK(f.send("POST", "/auth/login", json, R"({"username":"admin","password":"wrong-one"})")
              .status == 401);
    CHECK(f.send("POST", "/auth/login", json, R"({"username":"nobody","password":"wrong-one"})")
              .status == 401);
    const auto login =
        f.send("POST", "/auth/login", json, R"({"username":"admin","password":"first-password"})");
    REQUIRE(login.status == 200);
    CHECK(login.has("HttpOnly; SameSite=Strict"));
    const size_t at = login.head.find("Set-Cookie: ") + 12;
    const std::string cookie =
        "Cookie: other=1; " + login.head.substr(at, login.head.find(';', at) - at) + "\r\n";
    const std::string csrf = nlohmann::json::parse(login.body)["csrf_token"];
    CHECK(f.send("GET", "/auth/me", cookie).status == 200);
    CHECK(Fixture::code(f.send("POST", "/things", cookie + json, "{\"n\":1}")) ==
          "csrf_token_required");
    CHECK(f.send("POST", "/things", cookie + json + "X-CSRF-Token: x\r\n", "{\"n\":1}").status ==
          403);
    const std::string token = "X-CSRF-Token: " + csrf + "\r\n";
    CHECK(f.send("POST", "/things", cookie + json + token + "Origin: http://localhost\r\n",
                 "{\"n\":1}")
              .status == 201);
    CHECK(f.send("POST", "/auth/logout", cookie + token).status == 204);
    CHECK(f.send("GET", "/auth/me", cookie).status == 401);
  }

  TEST_CASE("guessing is stopped after five failures") {
    Fixture f;
    const std::string json = "Content-Type: application/json\r\n";
    const std::string guess = R"({"username":"admin","password":"guess"})";
    for (int i = 0; i < 5; ++i) CHECK(f.send("POST", "/auth/login", json, guess).status == 401);
    const auto stopped =
        f.send("POST", "/auth/login", json, R"({"username":"admin","password":"first-password"})");
    CHECK(stopped.status == 429);
    CHECK(stopped.has("Retry-After: "));
  }

  TEST_CASE("users are managed, and one admin always stays") {
    Fixture f;
    const auto user = R"({"name":"ann","role":"viewer","password":"longenough"})";
    CHECK(f.as(Role::kOperator, "POST", "/users", user).status == 403);
    CHECK(f.as(Role::kAdmin, "POST", "/users?dry_run=true", user).status == 200);
    CHECK(f.as(Role::kAdmin, "POST", "/users", user).status == 201);
    CHECK(f.as(Role::kAdmin, "POST", "/users", user).status == 409);
    const std::string roles[] = {"{\"role\":\"viewer\"}", "{\"role\":\"admin\"}"};
    for (const char* suffix : {"?dry_run=true", ""}) {
      CHECK(Fixture::code(f.as(Role::kAdmin, "PATCH", std::string("/users/admin") + suffix,
                               roles[0])) == "last_admin");
      CHECK(Fixture::code(f.as(Role::kAdmin, "DELETE", std::string("/users/admin") + suffix)) ==
            "last_admin");
    }
    CHECK(f.as(Role::kAdmin, "PATCH", "/users/ann", roles[1]).status == 200);
    CHECK(f.as(Role::kAdmin, "DELETE", "/users/admin").status == 204);
    CHECK(f.as(Role::kAdmin, "DELETE", "/users/admin").status == 404);
    const auto list = f.as(Role::kAdmin, "GET", "/users");
    CHECK(list.body.find("argon2") == std::string::npos);
    CHECK(nlohmann::json::parse(list.body)["users"].size() == 1);
  }

  TEST_CASE("a removed token is refused at once") {
    Fixture f;
    const auto made = f.as(Role::kAdmin, "POST", "/tokens", R"({"name":"t","role":"viewer"})");
    REQUIRE(made.status == 201);
    const auto body = nlohmann::json::parse(made.body);
    const std::string header = "Authorization: Bearer " + body["token"].get<std::string>() + "\r\n";
    CHECK(f.send("GET", "/settings", header).status == 200);
    const std::string path = "/tokens/" + std::to_string(body["id"].get<int64_t>());
    CHECK(f.as(Role::kAdmin, "DELETE", path).status == 204);
    CHECK(f.send("GET", "/settings", header).status == 401);
    // Neither the list nor the audit has secrets.
    const std::string secret = body["token"];
    CHECK(f.as(Role::kAdmin, "GET", "/tokens").body.find(secret) == std::string::npos);
    CHECK(f.as(Role::kAdmin, "GET", "/audit").body.find(secret) == std::string::npos);
  }

  TEST_CASE("an event stream tells what happens until its token is removed") {
    Fixture f;
    const auto made = f.as(Role::kAdmin, "POST", "/tokens", R"({"name":"t","role":"viewer"})");
    const auto body = nlohmann::json::parse(made.body);
    RawClient stream(f.port());
    stream.send(
        "GET /api/v1/events?topics=stats HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
        "Bearer " +
        body["token"].get<std::string>() + "\r\n\r\n");
    const RawResponse head = stream.read();
    CHECK(head.status == 200);
    CHECK(head.has("Content-Type: text/event-stream\r\n"));
    f.events().publish("slots", {{"n", 2}});
    f.events().publish("stats", {{"n", 1}});
    const std::string told = stream.read_until("event: stats\ndata: {\"n\":1}\n\n");
    CHECK(told.ends_with("data: {\"n\":1}\n\n"));
    CHECK(told.find("event: slots") == std::string::npos);
    f.as(Role::kAdmin, "DELETE", "/tokens/" + std::to_string(body["id"].get<int64_t>()));
    const std::string all = stream.read_to_end();
    CHECK(all.ends_with("event: bye\ndata: {\"reason\":\"session_ended\"}\n\n"));
  }

  TEST_CASE("polls wait outside the workers: a hundred of them, and others are answered") {
    Fixture f;
    const std::string head = " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                             f.secret(Role::kViewer) + "\r\n\r\n";
    const auto first = nlohmann::json::parse(f.as(Role::kViewer, "GET", "/events/poll").body);
    const std::string next = first["next"];
    std::vector<std::unique_ptr<RawClient>> polls;
    for (int i = 0; i < 100; ++i) {
      polls.push_back(std::make_unique<RawClient>(f.port()));
      polls.back()->send("GET /api/v1/events/poll?wait=30&topics=stats&after=" + next + head);
    }
    CHECK(f.as(Role::kViewer, "GET", "/settings").status == 200);
    f.events().publish("stats", {{"n", 1}});
    for (auto& poll : polls) {
      const RawResponse answer = poll->read();
      CHECK(answer.status == 200);
      CHECK(nlohmann::json::parse(answer.body)["events"].size() == 1);
      // The connection goes on.
      poll->send("GET /api/v1/settings" + head);
      CHECK(poll->read().status == 200);
    }
  }

  TEST_CASE("/metrics asks for a credential when told to") {
    Fixture f;
    RawClient client(f.port());
    CHECK(client.get("/metrics").status == 200);
    f.as(Role::kAdmin, "PATCH", "/settings", R"({"metrics_require_token":true})");
    CHECK(client.get("/metrics").status == 401);
    CHECK(client.get("/healthz").status == 200);
  }

  TEST_CASE("the server's own routes and docs/openapi.yaml agree, both ways") {
    Fixture f;
    std::map<std::string, std::string> routed;
    for (const ApiRoute& route : f.server().routes()) {
      if (route.path.find("thing") != std::string::npos || route.path == "/topology-like") continue;
      std::string method = route.method;
      for (char& c : method) c = static_cast<char>(std::tolower(c));
      routed[method + " " + route.path] =
          route.operation_id + " " + std::string(role_name(route.role));
    }
    std::map<std::string, std::string> documented;
    for (const auto& [path, methods] : openapi_document()["paths"].items()) {
      for (const auto& [method, operation] : methods.items()) {
        if (method == "parameters") continue;
        documented[method + " " + path] = operation["operationId"].get<std::string>() + " " +
                                          operation["x-role"].get<std::string>();
      }
    }
    for (const auto& [where, what] : routed) {
      CAPTURE(where);
      CHECK(documented[where] == what);
    }
  }
}
