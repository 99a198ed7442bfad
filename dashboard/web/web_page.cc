#include "dashboard/web/web_page.h"

#include <fstream>
#include <iterator>
#include <optional>

#include "dashboard/auth/secrets.h"
#include "dashboard/web/web_assets.h"

namespace pikaproxy {
namespace {

// Everything the page needs comes from here, and nothing else may run in it. Styles that scripts
// set on elements are no inline styles in this sense.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'";
constexpr char kForever[] = "public, max-age=31536000, immutable";

std::string_view content_type(std::string_view path) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (path.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

HttpResponse serve(const WebAsset& asset, const HttpRequest& request, bool is_kept) {
  HttpResponse response;
  response.content_type = content_type(asset.path);
  response.headers = {{"Cache-Control", is_kept ? kForever : "no-cache"},
                      {"ETag", std::string(asset.etag)},
                      {"Vary", "Accept-Encoding"},
                      {"Content-Security-Policy", kPolicy},
                      {"Referrer-Policy", "no-referrer"},
                      {"X-Frame-Options", "DENY"}};
  const std::string* known = request.header("if-none-match");
  if (known != nullptr && names_etag(*known, asset.etag)) {
    response.status = 304;
    return response;
  }
  const std::string* encodings = request.header("accept-encoding");
  if (!asset.gzip.empty() && encodings != nullptr && accepts_gzip(*encodings)) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = asset.gzip;
  } else {
    response.body = asset.plain;
  }
  return response;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// For development: nothing is kept, since names may stay while contents change.
HttpResponse serve_from(const std::string& root, const HttpRequest& request) {
  const std::string path = request.path == "/" ? "/index.html" : request.path;
  // Dots lead out of the directory; files with such names are never made.
  const auto content = path.find("..") == std::string::npos ? read_file(root + path) : std::nullopt;
  if (!content) {
    return problem_response(
        {404, "not_found", path + " is not in the directory of dashboard.web_root."});
  }
  const std::string etag = '"' + sha256_hex(*content).substr(0, 16) + '"';
  return serve({path, etag, *content, {}}, request, false);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The elements of a header's list, without blanks around them.
template <typename Visit>
void for_each_element(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    visit(trim(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  bool is_named = false;
  bool is_refused = false;
  for_each_element(accept_encoding, [&](std::string_view element) {
    const size_t semicolon = element.find(';');
    const std::string coding = to_lower(trim(element.substr(0, semicolon)));
    if (coding != "gzip" && coding != "*") return;
    std::string_view weight =
        semicolon == std::string_view::npos ? "" : trim(element.substr(semicolon + 1));
    // "q=0", "q=0.0" and "q=0.000" refuse.
    const bool is_zero =
        weight.starts_with("q=0") && weight.find_first_not_of("0.", 2) == std::string_view::npos;
    if (is_zero && coding == "gzip") is_refused = true;
    if (!is_zero) is_named = true;
  });
  return is_named && !is_refused;
}

bool names_etag(std::string_view if_none_match, std::string_view etag) {
  bool is_named = false;
  for_each_element(if_none_match, [&](std::string_view element) {
    if (element.starts_with("W/")) element.remove_prefix(2);
    is_named = is_named || element == etag || element == "*";
  });
  return is_named;
}

std::vector<HttpRoute> web_page_routes(const std::string& web_root) {
  std::vector<HttpRoute> routes;
  if (!web_root.empty()) {
    const auto handler = [web_root](const HttpRequest& request) {
      return serve_from(web_root, request);
    };
    routes.push_back({"GET", "/", handler});
    routes.push_back({"GET", "/assets/{name}", handler});
    return routes;
  }
  for (const WebAsset& asset : web_assets()) {
    const bool is_page = asset.path == "/index.html";
    routes.push_back({"GET", is_page ? "/" : std::string(asset.path),
                      [&asset, is_page](const HttpRequest& request) {
                        return serve(asset, request, !is_page);
                      }});
  }
  return routes;
}

}  // namespace pikaproxy
