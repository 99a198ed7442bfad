// Clients' bytes: however they are cut into pieces the outcome is the same, and what is accepted is
// well-formed, since it goes to servers as it is.
//   Input: byte 0 = limits, bytes 1 and 2 = where to cut, the rest = what the client sends.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/request_parser.h"
#include "common/resp.h"

using namespace pikaproxy;

namespace {

using Status = RequestParser::Status;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

std::string encoded(Arguments args) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(args.size()));
  for (const std::string_view arg : args) resp::append_bulk(out, arg);
  return out;
}

// Parsing one request alone gives these arguments.
void require_request(std::string_view bytes, const std::vector<std::string>& words) {
  RequestParser parser;
  RequestProgress progress;
  require(parser.parse(bytes, progress, {}) == Status::kRequest, "an accepted request is one");
  require(parser.size() == bytes.size(), "an accepted request ends where it ended");
  const Arguments args = parser.args();
  require(std::equal(args.begin(), args.end(), words.begin(), words.end()),
          "an accepted request has the same arguments again");
}

struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  size_t consumed = 0;

  bool operator==(const Outcome&) const = default;
};

// As a Client does it: pieces that end at `cuts`, what is incomplete is tried again with more.
Outcome parse(std::string_view bytes, const std::vector<size_t>& cuts,
              const RequestLimits& limits) {
  Outcome outcome;
  RequestParser parser;
  RequestProgress progress;
  size_t start = 0;
  for (const size_t end : cuts) {
    while (start < end) {
      const size_t size = end - start;
      const std::unique_ptr<char[]> copy(new char[size]);
      std::memcpy(copy.get(), bytes.data() + start, size);
      const std::string_view piece(copy.get(), size);
      const Status status = parser.parse(piece, progress, limits);
      if (status == Status::kNeedMore) {
        require(parser.size_hint() > size, "more is needed than there is");
        break;
      }
      if (status == Status::kError) {
        outcome.error = parser.error();
        require(!outcome.error.empty(), "an error has a text");
        return outcome;
      }
      require(parser.size() > 0 && parser.size() <= size, "a request lies within the bytes");
      if (status == Status::kRequest) {
        const Arguments args = parser.args();
        require(!args.empty(), "a request has arguments");
        const std::vector<std::string> words(args.begin(), args.end());
        const std::string_view raw = piece.substr(0, parser.size());
        const std::string again = encoded(args);
        if (!parser.is_inline()) require(again == raw, "a request is in its canonical form");
        require_request(again, words);
        outcome.requests.push_back(words);
      }
      start += parser.size();
      outcome.consumed = start;
      progress = {};
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  RequestLimits limits;
  limits.authenticated = (data[0] & 1) == 0;
  if ((data[0] & 2) != 0) limits.bulk_max = 20;
  if ((data[0] & 4) != 0) limits.request_max = 50;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);

  const Outcome whole = parse(bytes, {bytes.size()}, limits);
  const size_t first = bytes.size() * data[1] / 256;
  const size_t second = first + (bytes.size() - first) * data[2] / 256;
  require(parse(bytes, {first, second, bytes.size()}, limits) == whole, "cuts change nothing");
  if (bytes.size() <= 200) {
    std::vector<size_t> every;
    for (size_t cut = 1; cut <= bytes.size(); ++cut) every.push_back(cut);
    require(parse(bytes, every, limits) == whole, "single bytes change nothing");
  }
  return 0;
}
