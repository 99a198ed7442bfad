#include "common/stray_line.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/reply_framer.h"

using namespace pikaproxy;

namespace {

// The replies in `bytes`, which come in pieces of `piece` bytes, each with a '|' behind it; "!" at
// the end for what is none.
std::string read(const std::string& bytes, size_t piece) {
  std::string out;
  ReplyFramer framer;
  StrayLine stray_line;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    std::string_view rest = std::string_view(bytes).substr(at, piece);
    while (!rest.empty()) {
      if (framer.at_start() && !stray_line.take(rest)) return out + "!";
      if (rest.empty()) break;
      uint64_t size = 0;
      const ReplyFramer::Status status = framer.feed(rest, size);
      if (status == ReplyFramer::Status::kError) return out + "!";
      out += rest.substr(0, size);
      rest.remove_prefix(size);
      if (status != ReplyFramer::Status::kComplete) continue;
      out += '|';
      stray_line.allow();
    }
  }
  return out;
}

}  // namespace

TEST_SUITE("common/stray_line") {
  TEST_CASE("an empty line behind a reply is skipped, however it is cut, and nothing else is") {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"+a\r\n+b\r\n", "+a\r\n|+b\r\n|"},
        {"-ERR x*-1\r\n\r\n+b\r\n", "-ERR x*-1\r\n|+b\r\n|"},
        {"-a\r\n\r\n-b\r\n\r\n:1\r\n", "-a\r\n|-b\r\n|:1\r\n|"},
        {"-a\r\n\r\n", "-a\r\n|"},
        {"$2\r\n\r\n\r\n\r\n+b\r\n", "$2\r\n\r\n\r\n|+b\r\n|"},
        {"\r\n+a\r\n", "!"},
        {"-a\r\n\r\n\r\n+b\r\n", "-a\r\n|!"},
        {"-a\r\n\n+b\r\n", "-a\r\n|!"},
        {"-a\r\n\r+b\r\n", "-a\r\n|!"},
        {"-a\r\n \r\n+b\r\n", "-a\r\n|!"},
    };
    for (const auto& [bytes, replies] : cases) {
      for (size_t piece = 1; piece <= bytes.size(); ++piece) {
        CAPTURE(bytes);
        CAPTURE(piece);
        CHECK(read(bytes, piece) == replies);
      }
    }
  }
  TEST_CASE("an empty line within an array is an error") {
    CHECK(read("*2\r\n-a\r\n\r\n+b\r\n", 100) == "!");
  }
}
