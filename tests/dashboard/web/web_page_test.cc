#include "dashboard/web/web_page.h"

#include <zlib.h>

#include <doctest/doctest.h>

#include "dashboard/web/web_assets.h"
#include "tests/common/temporary_directory.h"

using namespace pikaproxy;

namespace {

HttpResponse ask(const std::vector<HttpRoute>& routes, const std::string& path,
                 NamedValues headers = {}) {
  HttpRequest request;
  request.method = "GET";
  request.path = request.raw_path = path;
  request.headers = std::move(headers);
  const HttpRoutes table(routes);
  const HttpRoutes::Match match = table.find("GET", path, path);
  REQUIRE(match.route != nullptr);
  return match.route->handler(request);
}

std::string header(const HttpResponse& response, std::string_view name) {
  for (const auto& [each, value] : response.headers) {
    if (each == name) return value;
  }
  return {};
}

std::string gunzip(const std::string& compressed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK);
  std::string plain(4u << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  CHECK(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  return plain;
}

}  // namespace

TEST_SUITE("dashboard/web/web_page") {
  TEST_CASE("gzip is sent to those who take it") {
    for (const char* text : {"gzip", "deflate, gzip;q=1.0", "br, GZIP ", "*", "gzip;q=0.5"}) {
      CAPTURE(text);
      CHECK(accepts_gzip(text));
    }
    for (const char* text : {"", "br", "gzip;q=0", "gzip; q=0.000", "identity", "*, gzip;q=0"}) {
      CAPTURE(text);
      CHECK_FALSE(accepts_gzip(text));
    }
  }

  TEST_CASE("an ETag is known in any list, weak or strong") {
    for (const char* text : {"\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"}) {
      CAPTURE(text);
      CHECK(names_etag(text, "\"a\""));
    }
    CHECK_FALSE(names_etag("\"b\"", "\"a\""));
    CHECK_FALSE(names_etag("", "\"a\""));
  }

  TEST_CASE("the page in the binary is asked for again, what it loads is kept") {
    if (web_assets().empty()) return;  // Built with WEB=OFF.
    const auto routes = web_page_routes("");
    const HttpResponse page = ask(routes, "/");
    CHECK(page.status == 200);
    CHECK(page.content_type == "text/html; charset=utf-8");
    CHECK(header(page, "Cache-Control") == "no-cache");
    CHECK(header(page, "Content-Security-Policy").find("script-src 'self';") != std::string::npos);
    CHECK(header(page, "Referrer-Policy") == "no-referrer");
    CHECK(ask(routes, "/", {{"if-none-match", header(page, "ETag")}}).status == 304);

    size_t count = 0;
    for (const WebAsset& asset : web_assets()) {
      if (asset.path == "/index.html") continue;
      CAPTURE(asset.path);
      // Every asset is part of the page, or of a script of it.
      const HttpResponse plain = ask(routes, std::string(asset.path));
      CHECK(plain.body == asset.plain);
      CHECK(header(plain, "Cache-Control") == "public, max-age=31536000, immutable");
      CHECK(plain.content_type != "application/octet-stream");
      if (asset.gzip.empty()) continue;
      const HttpResponse zipped =
          ask(routes, std::string(asset.path), {{"accept-encoding", "gzip, br"}});
      CHECK(header(zipped, "Content-Encoding") == "gzip");
      CHECK(header(zipped, "Vary") == "Accept-Encoding");
      CHECK(gunzip(zipped.body) == asset.plain);
      ++count;
    }
    CHECK(count >= 3);
  }

  TEST_CASE("a directory is read anew at each request, and nothing outside of it") {
    const TemporaryDirectory directory;
    directory.write("index.html", "first");
    directory.write("secret.js", "outside");
    const auto routes = web_page_routes(directory.path(""));
    CHECK(ask(routes, "/").body == "first");
    directory.write("index.html", "second");
    const HttpResponse page = ask(routes, "/");
    CHECK(page.body == "second");
    CHECK(ask(routes, "/", {{"if-none-match", header(page, "ETag")}}).status == 304);
    CHECK(ask(routes, "/assets/missing.js").status == 404);
    CHECK(HttpRoutes(routes).find("GET", "/secret.js", "/secret.js").route == nullptr);
    HttpRequest request;
    request.path = "/assets/../secret.js";
    CHECK(routes.back().handler(request).status == 404);
  }
}
