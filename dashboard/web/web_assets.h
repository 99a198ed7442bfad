#pragma once

#include <span>
#include <string_view>

namespace pikaproxy {

// A file of the page, as it was built into the binary.
struct WebAsset {
  std::string_view path;  // "/index.html", "/assets/app-0a1b2c3d4e.js"
  std::string_view etag;  // Of the content, with its quotes.
  std::string_view plain;
  std::string_view gzip;  // Empty: compressing would not have made it smaller.
};

// All of them, in the order of their paths; none if the binary was built with WEB=OFF. The table is
// made by web/embed.cmake.
std::span<const WebAsset> web_assets() noexcept;

}  // namespace pikaproxy
