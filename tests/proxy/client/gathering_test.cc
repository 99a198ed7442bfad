#include "proxy/client/gathering.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/reply_framer.h"
#include "common/resp.h"

using namespace pikaproxy;

namespace {

using Kind = Gathering::Kind;

const std::string kUnexpected =
    "-ERR a server's reply has another form than this command's replies have\r\n";

// What clients get for these replies of the parts.
std::string merge(Kind kind, const std::vector<std::string>& replies,
                  std::vector<uint16_t> part_of_key = {}, std::vector<bool> known_scripts = {}) {
  BlockPool pool;
  std::vector<std::unique_ptr<Task>> tasks;
  Gathering gathering;
  gathering.kind = kind;
  gathering.part_of_key = std::move(part_of_key);
  gathering.known_scripts = std::move(known_scripts);
  for (const std::string& reply : replies) {
    tasks.push_back(std::make_unique<Task>());
    tasks.back()->reply.append(pool, reply);
    gathering.parts.push_back(tasks.back().get());
  }
  // Merged replies follow others in the same buffer.
  std::string out = "earlier";
  merge_replies(gathering, out);
  for (const auto& task : tasks) task->reply.clear(pool);
  REQUIRE(out.starts_with("earlier"));
  out.erase(0, 7);
  return out;
}

bool is_one_reply(std::string_view bytes) {
  ReplyFramer framer;
  uint64_t size = 0;
  return framer.feed(bytes, size) == ReplyFramer::Status::kComplete && size == bytes.size();
}

}  // namespace

TEST_SUITE("proxy/gathering") {
  TEST_CASE("values of MGET come in the order of the keys") {
    CHECK(merge(Kind::kMget, {"*2\r\n$1\r\na\r\n$-1\r\n", "*1\r\n$1\r\nb\r\n"}, {0, 1, 0}) ==
          "*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n");
    CHECK(merge(Kind::kMget, {"*1\r\n$0\r\n\r\n", "*1\r\n$2\r\n\r\n\r\n"}, {1, 0}) ==
          "*2\r\n$2\r\n\r\n\r\n$0\r\n\r\n");
  }

  TEST_CASE("an MGET reply with too few values, or none at all, is an error") {
    CHECK(merge(Kind::kMget, {"*1\r\n$1\r\na\r\n", "*1\r\n$1\r\nb\r\n"}, {0, 1, 0}) == kUnexpected);
    CHECK(merge(Kind::kMget, {"*0\r\n", "*1\r\n$1\r\nb\r\n"}, {0, 1}) == kUnexpected);
    CHECK(merge(Kind::kMget, {"*-1\r\n", "*1\r\n$1\r\nb\r\n"}, {0, 1}) == kUnexpected);
    CHECK(merge(Kind::kMget, {":1\r\n", "*1\r\n$1\r\nb\r\n"}, {0, 1}) == kUnexpected);
  }

  TEST_CASE("counts are added") {
    CHECK(merge(Kind::kSum, {":1\r\n", ":0\r\n", ":41\r\n"}) == ":42\r\n");
    CHECK(merge(Kind::kSum, {":1\r\n", "+OK\r\n"}) == kUnexpected);
    CHECK(
        is_one_reply(merge(Kind::kSum, {":9223372036854775807\r\n", ":9223372036854775807\r\n"})));
  }

  TEST_CASE("the first part's error is the reply, in a server's own words") {
    const std::string error = "-WRONGTYPE Operation against a key\r\n";
    for (const Kind kind :
         {Kind::kMget, Kind::kSum, Kind::kAllOk, Kind::kConcat, Kind::kScriptExists}) {
      CHECK(merge(kind, {"*0\r\n", error, "-ERR other\r\n"}, {0, 1, 2}) == error);
    }
    CHECK(merge(Kind::kKill, {error, "-ERR other\r\n"}) == error);
  }

  TEST_CASE("where all must succeed the reply is that of the first") {
    CHECK(merge(Kind::kAllOk, {"+OK\r\n", "+OK\r\n"}) == "+OK\r\n");
    CHECK(merge(Kind::kAllOk, {"$2\r\nab\r\n", "$2\r\nab\r\n"}) == "$2\r\nab\r\n");
  }

  TEST_CASE("what ended a script is told of first, then what kept it from being ended") {
    const std::string idle = "-NOTBUSY No scripts in execution right now.\r\n";
    const std::string unkillable = "-UNKILLABLE Sorry\r\n";
    const std::string other = "-ERR server is not reachable\r\n";
    CHECK(merge(Kind::kKill, {unkillable, other, idle, "+OK\r\n", idle}) == "+OK\r\n");
    CHECK(merge(Kind::kKill, {other, idle, unkillable}) == unkillable);
    CHECK(merge(Kind::kKill, {idle, other, idle}) == other);
    CHECK(merge(Kind::kKill, {idle, idle}) == idle);
  }

  TEST_CASE("of all functions the one that runs is shown") {
    const std::string engines = "$7\r\nengines\r\n*0\r\n";
    const std::string nothing = "$14\r\nrunning_script\r\n$-1\r\n" + engines;
    const std::string running =
        "$14\r\nrunning_script\r\n*2\r\n$4\r\nname\r\n$1\r\nf\r\n" + engines;
    CHECK(merge(Kind::kFunctionStats, {"*4\r\n" + nothing, "*4\r\n" + running}) ==
          "*4\r\n" + running);
    CHECK(merge(Kind::kFunctionStats, {"-ERR gone\r\n", "*4\r\n" + nothing}) == "*4\r\n" + nothing);
    CHECK(merge(Kind::kFunctionStats, {"-ERR gone\r\n", "-ERR too\r\n"}) == "-ERR gone\r\n");
    const std::string map = "%2\r\n$14\r\nrunning_script\r\n";
    const std::string now = "%1\r\n$4\r\nname\r\n$1\r\nf\r\n$7\r\nengines\r\n%0\r\n";
    CHECK(merge(Kind::kFunctionStats, {map + "_\r\n$7\r\nengines\r\n%0\r\n", map + now}) ==
          map + now);
  }

  TEST_CASE("arrays are joined") {
    CHECK(merge(Kind::kConcat, {"*1\r\n$1\r\na\r\n", "*0\r\n", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"}) ==
          "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    CHECK(merge(Kind::kConcat, {"*0\r\n", "*0\r\n"}) == "*0\r\n");
    CHECK(merge(Kind::kConcat, {"*1\r\n$1\r\na\r\n", "*-1\r\n"}) == kUnexpected);
    CHECK(merge(Kind::kConcat, {"*1\r\n$1\r\na\r\n", "$1\r\na\r\n"}) == kUnexpected);
  }

  TEST_CASE("a script exists where every group has it") {
    CHECK(merge(Kind::kScriptExists, {"*3\r\n:1\r\n:1\r\n:0\r\n", "*3\r\n:1\r\n:0\r\n:0\r\n"}) ==
          "*3\r\n:1\r\n:0\r\n:0\r\n");
    CHECK(merge(Kind::kScriptExists, {"*1\r\n:1\r\n", "*2\r\n:1\r\n:1\r\n"}) == kUnexpected);
    CHECK(merge(Kind::kScriptExists, {"*1\r\n:1\r\n", ":1\r\n"}) == kUnexpected);
    CHECK(merge(Kind::kScriptExists, {"*1\r\n:1\r\n", "*1\r\n$1\r\n1\r\n"}) == "*1\r\n:0\r\n");
  }

  TEST_CASE("a script that the proxy has exists, wherever it is") {
    CHECK(merge(Kind::kScriptExists, {"*2\r\n:0\r\n:0\r\n", "*2\r\n:1\r\n:1\r\n"}, {},
                {true, false}) == "*2\r\n:1\r\n:0\r\n");
  }

  TEST_CASE("whatever servers say, the merged reply is one reply") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    static const std::string kReplies[] = {"+OK\r\n",
                                           "-ERR x\r\n",
                                           ":1\r\n",
                                           "*0\r\n",
                                           "*1\r\n:1\r\n",
                                           "*2\r\n$1\r\na\r\n$-1\r\n",
                                           "*-1\r\n",
                                           "*1\r\n*1\r\n+x\r\n",
                                           "$3\r\n\r\n*\r\n",
                                           "$-1\r\n",
                                           "*2\r\n*0\r\n*-1\r\n",
                                           ":99999999999999999999\r\n",
                                           "-\r\n",
                                           "*2\r\n:0\r\n-ERR y\r\n"};
    for (int round = 0; round < 5000; ++round) {
      std::vector<std::string> replies(1 + random() % 4);
      for (std::string& reply : replies) reply = kReplies[random() % std::size(kReplies)];
      std::vector<uint16_t> part_of_key(1 + random() % 5);
      for (uint16_t& part : part_of_key) part = static_cast<uint16_t>(random() % replies.size());
      const auto kind = static_cast<Kind>(random() % 6);
      const std::string merged = merge(kind, replies, part_of_key);
      CAPTURE(merged);
      REQUIRE(is_one_reply(merged));
    }
  }
}
