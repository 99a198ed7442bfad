// Servers' bytes: however they are cut into pieces the replies are the same, nothing is lost
// between them, and the readers of replies cope with all of them.
//   Input: bytes 0 and 1 = where to cut, the rest = what the server sends.

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

#include "common/reply_framer.h"
#include "common/stray_line.h"
#include "proxy/backend/reply_lift.h"
#include "proxy/client/gathering.h"

using namespace pikaproxy;

namespace {

using Status = ReplyFramer::Status;
using Dialect = ReplyFramer::Dialect;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

bool is_one_reply(std::string_view bytes) {
  ReplyFramer framer(Dialect::kResp3);
  uint64_t consumed = 0;
  return framer.feed(bytes, consumed) == Status::kComplete && consumed == bytes.size();
}

struct Outcome {
  std::vector<std::string> replies;
  std::string rest;
  bool failed = false;

  bool operator==(const Outcome&) const = default;
};

// `careless`: an empty line may stand behind each reply.
Outcome frame(std::string_view bytes, const std::vector<size_t>& cuts, Dialect dialect,
              bool careless = false) {
  Outcome outcome;
  ReplyFramer framer(dialect);
  StrayLine stray_line;
  size_t start = 0;
  for (const size_t end : cuts) {
    while (start < end) {
      const size_t size = end - start;
      const std::unique_ptr<char[]> copy(new char[size]);
      std::memcpy(copy.get(), bytes.data() + start, size);
      std::string_view piece(copy.get(), size);
      if (careless && framer.at_start()) {
        const bool is_allowed = stray_line.take(piece);
        start = end - piece.size();
        if (!is_allowed) {
          outcome.failed = true;
          outcome.rest.clear();
          return outcome;
        }
        if (piece.empty()) continue;
      }
      uint64_t consumed = 0;
      const Status status = framer.feed(piece, consumed);
      if (status == Status::kError) {
        outcome.failed = true;
        outcome.rest.clear();
        return outcome;
      }
      require(consumed > 0 && consumed <= piece.size(), "some of the bytes belong to the reply");
      outcome.rest.append(piece.substr(0, consumed));
      start += consumed;
      if (status == Status::kNeedMore) {
        require(start == end, "all bytes belong to a reply that goes on");
        require(!framer.at_start(), "a reply that goes on has begun");
      } else {
        require(framer.at_start(), "a complete reply leaves nothing behind");
        outcome.replies.push_back(outcome.rest);
        outcome.rest.clear();
        stray_line.allow();
      }
    }
  }
  return outcome;
}

// An array's elements make up the array.
void walk(std::string_view reply, int depth) {
  require(is_one_reply(reply), "a reply alone is one reply");
  ReplyCursor cursor(reply);
  reply_text(reply);
  int64_t number = 0;
  reply_integer(reply, number);
  const int64_t length = cursor.enter();
  if (length < 0) return;
  size_t bytes = reply.find('\n') + 1;
  for (int64_t i = 0; i < length; ++i) {
    const std::string_view element = cursor.next();
    require(!element.empty(), "an array has as many elements as it says");
    bytes += element.size();
    if (depth < 4) walk(element, depth + 1);
  }
  require(cursor.at_end() && bytes == reply.size(), "an array ends with its last element");
}

// Replies of several groups make one reply.
void merge(const std::vector<std::string>& replies) {
  BlockPool pool;
  std::vector<std::unique_ptr<Task>> tasks;
  Gathering gathering;
  for (size_t i = 0; i < replies.size(); ++i) {
    tasks.push_back(std::make_unique<Task>());
    tasks.back()->reply.append(pool, replies[i]);
    gathering.parts.push_back(tasks.back().get());
    gathering.part_of_key.push_back(static_cast<uint16_t>(i));
    gathering.part_of_key.push_back(static_cast<uint16_t>(replies.size() - 1 - i));
  }
  for (int kind = 0; kind <= static_cast<int>(Gathering::Kind::kScriptExists); ++kind) {
    gathering.kind = static_cast<Gathering::Kind>(kind);
    std::string merged;
    merge_replies(gathering, merged);
    require(is_one_reply(merged), "merged replies are one reply");
  }
  for (const auto& task : tasks) task->reply.clear(pool);
  require(pool.bytes_in_use() == 0, "all memory comes back");
}

// A server without RESP3 and a client with it: whatever the reply, it stays one.
void lift(const std::string& reply) {
  static const std::vector<const ReplyShape*> kShapes = [] {
    std::vector<const ReplyShape*> shapes = {nullptr};
    const std::vector<std::string_view> args = {"x", "1", "incr", "idx", "withscores"};
    for (size_t i = 0; i < command_count(); ++i) {
      const ReplyShape* shape = reply_shape(command_at(i), args);
      if (shape != nullptr && shape != shapes.back()) shapes.push_back(shape);
    }
    return shapes;
  }();
  for (const ReplyShape* shape : kShapes) {
    std::string lifted;
    lift_reply(reply, shape, lifted);
    require(is_one_reply(lifted), "a lifted reply is one reply");
  }
}

void check(std::string_view bytes, const uint8_t* data, Dialect dialect) {
  const Outcome whole = frame(bytes, {bytes.size()}, dialect);
  size_t framed = whole.rest.size();
  for (const std::string& reply : whole.replies) framed += reply.size();
  require(whole.failed || framed == bytes.size(), "every byte belongs to some reply");

  const size_t first = bytes.size() * data[0] / 256;
  const size_t second = first + (bytes.size() - first) * data[1] / 256;
  require(frame(bytes, {first, second, bytes.size()}, dialect) == whole, "cuts change nothing");
  if (bytes.size() <= 200) {
    std::vector<size_t> every;
    for (size_t cut = 1; cut <= bytes.size(); ++cut) every.push_back(cut);
    require(frame(bytes, every, dialect) == whole, "single bytes change nothing");
    require(frame(bytes, every, dialect, true) == frame(bytes, {bytes.size()}, dialect, true),
            "nor do they where empty lines are skipped");
  }
  if (!whole.failed) {
    require(frame(bytes, {bytes.size()}, dialect, true) == whole,
            "skipping empty lines takes nothing else");
  }

  for (const std::string& reply : whole.replies) {
    walk(reply, 0);
    if (dialect == Dialect::kResp2) lift(reply);
  }
  if (!whole.replies.empty()) merge(whole.replies);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  check(bytes, data, Dialect::kResp2);
  check(bytes, data, Dialect::kResp3);
  // The readers get replies that were framed, but must not fall over others either.
  ReplyCursor cursor(bytes);
  cursor.enter();
  while (!cursor.next().empty()) continue;
  reply_text(bytes);
  return 0;
}
