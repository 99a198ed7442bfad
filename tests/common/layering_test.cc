// Dependencies go one way: proxy and dashboard know common, not each other. The build attaches
// include paths to the library that may use them, but headers in /usr/include are found all the
// same; this reads the #include lines.

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace {

struct Layer {
  std::string_view folder;
  std::vector<std::string_view> forbidden;  // How a header's name may not begin.
};

std::vector<std::filesystem::path> sources_of(std::string_view folder) {
  std::vector<std::filesystem::path> files;
  const auto root = std::filesystem::path(PIKAPROXY_SOURCE_DIR) / folder;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".cc" || extension == ".h") files.push_back(entry.path());
  }
  return files;
}

// The name between the quotes or angle brackets; empty if the line includes nothing.
std::string included_by(const std::string& line) {
  const size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string::npos || line[hash] != '#') return {};
  const size_t word = line.find_first_not_of(" \t", hash + 1);
  if (word == std::string::npos || line.compare(word, 7, "include") != 0) return {};
  const size_t open = line.find_first_of("\"<", word);
  if (open == std::string::npos) return {};
  const size_t close = line.find_first_of("\">", open + 1);
  return line.substr(open + 1, close - open - 1);
}

}  // namespace

TEST_SUITE("common/layering") {
  TEST_CASE("the reader of #include lines finds them") {
    CHECK(included_by("#include \"proxy/client/task.h\"") == "proxy/client/task.h");
    CHECK(included_by("  # include <asio/post.hpp>  // why") == "asio/post.hpp");
    CHECK(included_by("// #include <asio.hpp>") == "");
    CHECK(included_by("#if 1") == "");
    CHECK(included_by("") == "");
  }

  TEST_CASE("no layer includes what lies above it or beside it") {
    const std::array<Layer, 3> layers = {{
        {"common", {"proxy/", "dashboard/", "asio", "httplib", "sqlite3"}},
        {"proxy", {"dashboard/", "httplib", "sqlite3"}},
        {"dashboard", {"proxy/"}},
    }};
    for (const Layer& layer : layers) {
      const auto files = sources_of(layer.folder);
      CHECK(files.size() > 5);
      for (const auto& path : files) {
        // The one file that knows both sides.
        if (layer.folder == "proxy" && path.filename() == "main.cc") continue;
        std::ifstream file(path);
        std::string line;
        while (std::getline(file, line)) {
          const std::string name = included_by(line);
          for (const std::string_view prefix : layer.forbidden) {
            CAPTURE(path.string());
            CAPTURE(line);
            if (name.starts_with(prefix)) FAIL_CHECK(layer.folder << " may not include this");
          }
        }
      }
    }
  }
}
