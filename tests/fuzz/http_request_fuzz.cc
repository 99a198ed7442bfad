// Requests to the admin port: whatever the bytes are and however they are split, the reader neither
// reads beyond them nor keeps more than its limits, and comes to the same end.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dashboard/http/host_check.h"
#include "dashboard/http/http_request_reader.h"

namespace {

using pikaproxy::HttpRequestReader;

// Small, so that a fuzzer's short inputs reach them.
pikaproxy::HttpLimits small_limits() {
  return {.target_max = 64, .head_max = 512, .headers_max = 8, .body_max = 32};
}

void require(bool condition) {
  if (!condition) std::abort();
}

struct End {
  HttpRequestReader::State state;
  int status;
  size_t used;
};

End read_in_pieces(std::string_view input, size_t piece_max) {
  const pikaproxy::HttpLimits limits = small_limits();
  HttpRequestReader reader(limits);
  size_t used = 0;
  while (used < input.size()) {
    const std::string_view piece = input.substr(used, piece_max);
    const size_t taken = reader.read(piece);
    require(taken <= piece.size());
    used += taken;
    if (reader.state() == HttpRequestReader::State::kComplete ||
        reader.state() == HttpRequestReader::State::kFailed) {
      break;
    }
    require(taken > 0);
  }
  const bool failed = reader.state() == HttpRequestReader::State::kFailed;
  if (failed) {
    require(reader.problem().status >= 400);
    require(!reader.problem().detail.empty());
  } else {
    require(used <= limits.head_max + limits.body_max);
  }
  if (reader.state() == HttpRequestReader::State::kComplete) {
    const pikaproxy::HttpRequest& request = reader.request();
    require(request.path.starts_with('/'));
    require(request.headers.size() <= limits.headers_max);
    require(request.body.size() == reader.body_size());
    (void)pikaproxy::HostCheck({}).allows(request.host);
  }
  // Where a refused request is cut off depends on the pieces; only why must not.
  return {reader.state(), failed ? reader.problem().status : 0, failed ? 0 : used};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const End whole = read_in_pieces(input, size + 1);
  for (const size_t piece_max : {size_t{1}, size_t{7}}) {
    const End split = read_in_pieces(input, piece_max);
    require(split.state == whole.state);
    require(split.status == whole.status);
    require(split.used == whole.used);
  }
  return 0;
}
