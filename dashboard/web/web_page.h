#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dashboard/http/http_routes.h"

namespace pikaproxy {

// The routes of the browser page: / and /assets/*. Its files are in the binary or, where `web_root`
// is not empty, are read from that directory at each request, for those who work on the page. None
// if the binary has no page and no directory is given.
//
// The page itself is asked for again each time (ETag, 304); the assets have the hash of their
// content in their names and are kept for a year. Compressed where the client takes gzip.
std::vector<HttpRoute> web_page_routes(const std::string& web_root);

// Whether an Accept-Encoding header takes gzip: named, or "*", and not with q=0.
bool accepts_gzip(std::string_view accept_encoding);

// Whether an If-None-Match header names this ETag (or is "*"). Weak and strong are the same here.
bool names_etag(std::string_view if_none_match, std::string_view etag);

}  // namespace pikaproxy
