#include "proxy/backend/reply_lift.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/ascii.h"
#include "common/resp3.h"

using namespace pikaproxy;

namespace {

const Command& command_of(const std::vector<std::string_view>& args) {
  const Command* command = find_command(args[0]);
  REQUIRE(command != nullptr);
  if (command->subcommands.empty()) return *command;
  const Command* subcommand = find_subcommand(*command, args[1]);
  REQUIRE(subcommand != nullptr);
  return *subcommand;
}

// A reply in one line: blanks stand for line ends.
std::string wire(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (c == ' ') {
      out += "\r\n";
    } else {
      out += c;
    }
  }
  return out + "\r\n";
}

std::string lifted(std::vector<std::string_view> args, std::string_view reply) {
  std::string out;
  lift_reply(wire(reply), reply_shape(command_of(args), args), out);
  return out;
}

}  // namespace

TEST_SUITE("proxy/reply_lift") {
  TEST_CASE("null values become the one null of RESP3, however deep") {
    CHECK(lifted({"get", "k"}, "$-1") == wire("_"));
    CHECK(lifted({"get", "k"}, "*-1") == wire("_"));
    CHECK(lifted({"mget", "a", "b"}, "*2 $-1 $1 b") == wire("*2 _ $1 b"));
    CHECK(lifted({"eval", "x", "0"}, "*2 *2 $-1 *-1 :1") == wire("*2 *2 _ _ :1"));
  }

  TEST_CASE("each shape has its form") {
    CHECK(lifted({"hgetall", "h"}, "*4 $1 a $1 1 $1 b $-1") == wire("%2 $1 a $1 1 $1 b _"));
    CHECK(lifted({"hgetall", "h"}, "*0") == wire("%0"));
    CHECK(lifted({"smembers", "s"}, "*2 $1 a $1 b") == wire("~2 $1 a $1 b"));
    CHECK(lifted({"zscore", "z", "m"}, "$3 1.5") == wire(",1.5"));
    CHECK(lifted({"zscore", "z", "m"}, "$4 -inf") == wire(",-inf"));
    CHECK(lifted({"zscore", "z", "m"}, "$-1") == wire("_"));
    CHECK(lifted({"zmscore", "z", "a", "b"}, "*2 $1 1 $-1") == wire("*2 ,1 _"));
    CHECK(lifted({"zpopmin", "z"}, "*2 $1 a $1 1") == wire("*2 $1 a ,1"));
    CHECK(lifted({"zpopmin", "z", "2"}, "*2 $1 a $1 1") == wire("*1 *2 $1 a ,1"));
    CHECK(lifted({"bzpopmin", "z", "0"}, "*3 $1 z $1 a $1 1") == wire("*3 $1 z $1 a ,1"));
    CHECK(lifted({"zmpop", "1", "z", "min"}, "*2 $1 z *1 *2 $1 a $1 1") ==
          wire("*2 $1 z *1 *2 $1 a ,1"));
    CHECK(lifted({"xread", "streams", "x", "0"}, "*1 *2 $1 x *1 *2 $3 1-1 *2 $1 f $1 v") ==
          wire("%1 $1 x *1 *2 $3 1-1 *2 $1 f $1 v"));
    CHECK(lifted({"geopos", "g", "a", "b"}, "*2 *2 $1 1 $1 2 *-1") == wire("*2 *2 ,1 ,2 _"));
    CHECK(
        lifted({"xinfo", "stream", "x", "full"}, "*2 $6 groups *1 *2 $9 consumers *1 *2 $1 a :1") ==
        wire("%1 $6 groups *1 %1 $9 consumers *1 %1 $1 a :1"));
  }

  TEST_CASE("options decide, and only where they are options") {
    CHECK(lifted({"zrange", "z", "0", "-1"}, "*2 $1 a $1 1") == wire("*2 $1 a $1 1"));
    CHECK(lifted({"zrange", "z", "0", "-1", "WithScores"}, "*2 $1 a $1 1") ==
          wire("*1 *2 $1 a ,1"));
    CHECK(lifted({"zunion", "1", "withscores"}, "*2 $1 a $1 1") == wire("*2 $1 a $1 1"));
    CHECK(lifted({"zunion", "1", "a", "withscores", "aggregate", "max"}, "*2 $1 a $1 1") ==
          wire("*1 *2 $1 a ,1"));
    CHECK(lifted({"zunion", "x", "a", "withscores"}, "-ERR") == wire("-ERR"));
    CHECK(lifted({"zadd", "z", "1", "incr"}, ":1") == wire(":1"));
    CHECK(lifted({"zadd", "z", "xx", "incr", "1", "a"}, "$1 1") == wire(",1"));
    CHECK(lifted({"spop", "s"}, "$1 a") == wire("$1 a"));
    CHECK(lifted({"spop", "s", "1"}, "*1 $1 a") == wire("~1 $1 a"));
  }

  TEST_CASE("a reply of another form stays as it is") {
    CHECK(lifted({"hgetall", "h"}, "-WRONGTYPE") == wire("-WRONGTYPE"));
    CHECK(lifted({"hgetall", "h"}, "+QUEUED") == wire("+QUEUED"));
    CHECK(lifted({"hgetall", "h"}, "*3 $1 a $1 b $1 c") == wire("*3 $1 a $1 b $1 c"));
    CHECK(lifted({"zscore", "z", "m"}, "$5 1.5x3") == wire("$5 1.5x3"));
    CHECK(lifted({"zscore", "z", "m"}, ":1") == wire(":1"));
    CHECK(lifted({"xread", "streams", "x", "0"}, "*1 :1") == wire("%1 :1 _"));
    CHECK(lifted({"zrange", "z", "0", "-1", "withscores"}, "*1 *2 $1 a $1 1") ==
          wire("*1 *2 $1 a $1 1"));
  }

  TEST_CASE("what is nested deeper than any reply is left alone") {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "*1 ";
    CHECK(lifted({"get", "k"}, deep + ":1") == wire(deep + ":1"));
  }

  TEST_CASE("a transaction's replies have each their own shape") {
    const std::vector<std::string_view> all = {"hgetall", "h"};
    const std::vector<const ReplyShape*> shapes = {reply_shape(*find_command("hgetall"), all),
                                                   nullptr};
    std::string out;
    lift_block(wire("*3 *2 $1 a $1 1 *2 $1 a $1 1 $-1"), shapes, out);
    CHECK(out == wire("*3 %1 $1 a $1 1 *2 $1 a $1 1 _"));
    out.clear();
    lift_block(wire("*-1"), shapes, out);
    CHECK(out == wire("_"));
  }
}
