#include "common/reply_framer.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "common/resp.h"

using namespace pikaproxy;

namespace {

using Status = ReplyFramer::Status;
using Dialect = ReplyFramer::Dialect;

// What framing some bytes led to.
struct Outcome {
  std::vector<std::string> replies;
  std::string rest;  // Of an incomplete reply.
  bool failed = false;

  bool operator==(const Outcome&) const = default;
};

// Feeds pieces that end at `cuts`, each in memory of its own size.
Outcome frame_pieces(std::string_view bytes, std::vector<size_t> cuts,
                     Dialect dialect = Dialect::kResp2) {
  cuts.push_back(bytes.size());
  Outcome outcome;
  ReplyFramer framer(dialect);
  size_t start = 0;
  for (const size_t end : cuts) {
    while (start < end) {
      const std::unique_ptr<char[]> copy(new char[end - start]);
      std::copy_n(bytes.data() + start, end - start, copy.get());
      const std::string_view piece(copy.get(), end - start);
      uint64_t consumed = 0;
      const Status status = framer.feed(piece, consumed);
      if (status == Status::kError) {
        outcome.failed = true;
        outcome.rest.clear();
        return outcome;
      }
      REQUIRE(consumed > 0);
      REQUIRE(consumed <= piece.size());
      outcome.rest += piece.substr(0, consumed);
      start += consumed;
      if (status == Status::kNeedMore) {
        REQUIRE(start == end);
        REQUIRE(!framer.at_start());
        break;
      }
      REQUIRE(framer.at_start());
      outcome.replies.push_back(std::exchange(outcome.rest, {}));
    }
  }
  return outcome;
}

Outcome frame_whole(std::string_view bytes, Dialect dialect = Dialect::kResp2) {
  return frame_pieces(bytes, {}, dialect);
}

bool is_one_reply(std::string_view bytes, Dialect dialect = Dialect::kResp2) {
  const Outcome outcome = frame_whole(bytes, dialect);
  return !outcome.failed && outcome.replies == std::vector<std::string>{std::string(bytes)};
}

bool is_incomplete(std::string_view bytes, Dialect dialect = Dialect::kResp2) {
  const Outcome outcome = frame_whole(bytes, dialect);
  return !outcome.failed && outcome.replies.empty();
}

std::string random_reply(std::mt19937& random, int depth, Dialect dialect = Dialect::kResp2);

// Of the types that only RESP3 has.
std::string random_resp3(std::mt19937& random, int depth) {
  std::string out;
  const auto elements = [&](int64_t count) {
    for (int64_t i = 0; i < count; ++i) out += random_reply(random, depth - 1, Dialect::kResp3);
  };
  const int64_t count = random() % 4;
  switch (random() % (depth > 0 ? 10 : 7)) {
    case 0:
      return "_\r\n";
    case 1:
      return "#t\r\n";
    case 2:
      return "#f\r\n";
    case 3:
      return ",-1.5e3\r\n";
    case 4:
      return "(123456789012345678901234567890\r\n";
    case 5:
      return "!5\r\nE \r\nx\r\n";
    case 6:
      return "=6\r\ntxt:\r\n\r\n";
    case 7:
      resp::append_header(out, '%', count);
      elements(2 * count);
      return out;
    case 8:
      resp::append_header(out, '~', count);
      elements(count);
      return out;
    default:
      resp::append_header(out, '|', count);
      elements(2 * count + 1);
      return out;
  }
}

std::string random_reply(std::mt19937& random, int depth, Dialect dialect) {
  if (dialect == Dialect::kResp3 && random() % 2 == 0) return random_resp3(random, depth);
  std::string out;
  switch (random() % (depth > 0 ? 8 : 6)) {
    case 0:
      resp::append_status(out, std::string(random() % 20, 'o'));
      break;
    case 1:
      resp::append_error(out, "ERR " + std::string(random() % 20, 'e'));
      break;
    case 2:
      resp::append_integer(out, static_cast<int32_t>(random()));
      break;
    case 3:
      resp::append_null(out);
      break;
    case 4:
      out = "*-1\r\n";
      break;
    case 5: {
      std::string body(random() % 30, '\0');
      for (char& c : body) c = "\r\n$*0a"[random() % 6];
      resp::append_bulk(out, body);
      break;
    }
    default: {
      const unsigned elements = random() % 5;
      resp::append_array(out, elements);
      for (unsigned i = 0; i < elements; ++i) out += random_reply(random, depth - 1, dialect);
    }
  }
  return out;
}

std::vector<size_t> random_cuts(std::mt19937& random, size_t size) {
  std::vector<size_t> cuts(random() % 6);
  for (size_t& cut : cuts) cut = random() % (size + 1);
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

// Walks a reply to its last leaf with cursors; returns the bytes it saw, which must be all.
std::string walked(std::string_view reply, int depth = 0) {
  REQUIRE(depth < 100);
  ReplyCursor cursor(reply);
  const char type = cursor.type();
  if (type != '*' && type != '%' && type != '~') {
    const std::string out(cursor.next());
    REQUIRE(cursor.at_end());
    return out;
  }
  const int64_t length = cursor.enter();
  std::string out;
  resp::append_header(out, type, type == '%' ? length / 2 : length);
  for (int64_t i = 0; i < length; ++i) {
    const std::string_view element = cursor.next();
    REQUIRE(!element.empty());
    out += walked(element, depth + 1);
  }
  REQUIRE(cursor.at_end());
  return out;
}

}  // namespace

TEST_SUITE("common/reply_framer") {
  TEST_CASE("every kind of reply ends where it ends") {
    for (const std::string_view reply :
         {"+OK\r\n", "+\r\n", "-ERR no\r\n", "-\r\n", ":0\r\n", ":-17\r\n", "$0\r\n\r\n",
          "$3\r\nabc\r\n", "$4\r\n\r\n\r\n\r\n", "$-1\r\n", "*0\r\n", "*-1\r\n",
          "*2\r\n$1\r\na\r\n:1\r\n", "*1\r\n*1\r\n*1\r\n*0\r\n", "*3\r\n$-1\r\n*-1\r\n+x\r\n",
          "*2\r\n*0\r\n*2\r\n+a\r\n-b\r\n", "$03\r\nabc\r\n", "*00\r\n"}) {
      CAPTURE(reply);
      CHECK(is_one_reply(reply));
      for (size_t size = 0; size < reply.size(); ++size) {
        REQUIRE(is_incomplete(reply.substr(0, size)));
      }
      const std::string two = std::string(reply) + std::string(reply);
      CHECK(frame_whole(two).replies.size() == 2);
    }
  }

  TEST_CASE("replies split at any two bytes are the same replies") {
    const std::string bytes =
        "+OK\r\n*3\r\n$5\r\nhe\r\no\r\n*2\r\n:1\r\n$-1\r\n$0\r\n\r\n*0\r\n-ERR x\r\n*-1\r\n:-5\r\n";
    const Outcome expected = frame_whole(bytes);
    REQUIRE(expected.replies.size() == 6);
    for (size_t first = 0; first <= bytes.size(); ++first) {
      for (size_t second = first; second <= bytes.size(); ++second) {
        REQUIRE(frame_pieces(bytes, {first, second}) == expected);
      }
    }
  }

  TEST_CASE("what is not RESP2 is an error") {
    for (const std::string_view bytes :
         {"x",        "\r\n",       "_\r\n",   "%1\r\n",  "~1\r\n",        "#t\r\n",
          ",1.0\r\n", ">1\r\n",     "=3\r\n",  "(1\r\n",  "|1\r\n",        "HTTP/1.1 200 OK\r\n",
          "$x",       "$\r",        "$ 1",     "$1 ",     "$+1",           "$--1",
          "$-2\r\n",  "$-0\r\n",    "$-\r",    "$1\n",    "$1\rx",         "*x",
          "*\r",      "*-2\r\n",    "*-0\r\n", "*1-",     "+a\rb",         "+a\r\r",
          "$1\r\nab", "$1\r\na\rx", "$0\r\nx", "*1\r\nx", "*1\r\n$-3\r\n", "*2\r\n+a\r\n\r\n"}) {
      CAPTURE(bytes);
      CHECK(frame_whole(bytes).failed);
      CHECK(frame_pieces(bytes, {bytes.size() - 1}).failed);
    }
    CHECK(frame_whole(std::string_view("\0", 1)).failed);
  }

  TEST_CASE("every kind of RESP3 reply ends where it ends") {
    for (const std::string_view reply : {"_\r\n",
                                         "#t\r\n",
                                         "#f\r\n",
                                         ",1.5\r\n",
                                         ",inf\r\n",
                                         "(-12345678901234567890\r\n",
                                         "!7\r\nERR\r\nno\r\n",
                                         "=5\r\ntxt:a\r\n",
                                         "=4\r\ntxt:\r\n",
                                         "%0\r\n",
                                         "~0\r\n",
                                         "%1\r\n+a\r\n:1\r\n",
                                         "%2\r\n+a\r\n*1\r\n_\r\n~1\r\n:1\r\n#t\r\n",
                                         ">1\r\n+a\r\n",
                                         ">2\r\n+invalidate\r\n_\r\n",
                                         "|1\r\n+ttl\r\n:1\r\n$1\r\na\r\n",
                                         "|0\r\n:1\r\n",
                                         "*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
                                         "*-1\r\n",
                                         "$-1\r\n",
                                         "+OK\r\n"}) {
      CAPTURE(reply);
      CHECK(is_one_reply(reply, Dialect::kResp3));
      for (size_t size = 0; size < reply.size(); ++size) {
        REQUIRE(is_incomplete(reply.substr(0, size), Dialect::kResp3));
      }
      const std::string two = std::string(reply) + std::string(reply);
      CHECK(frame_whole(two, Dialect::kResp3).replies.size() == 2);
    }
  }

  TEST_CASE("what is not RESP3 is an error") {
    for (const std::string_view bytes : {"_x\r\n",
                                         "#x\r\n",
                                         "#tt\r\n",
                                         "#\r\n",
                                         "%-1\r\n",
                                         "~-1\r\n",
                                         ">-1\r\n",
                                         "|-1\r\n",
                                         "!-1\r\n",
                                         "=-1\r\n",
                                         "=3\r\n",
                                         "$?\r\n",
                                         "*?\r\n",
                                         "%?\r\n",
                                         ";4\r\n",
                                         ".\r\n",
                                         "*1\r\n>1\r\n",
                                         "|1\r\n+a\r\n+b\r\n>1\r\n",
                                         "%1\r\n>0\r\n",
                                         ">1\r\n>1\r\n",
                                         "%2147483649\r\n",
                                         "%9999999999999999999\r\n",
                                         "x",
                                         "%x",
                                         "~ 1"}) {
      CAPTURE(bytes);
      CHECK(frame_whole(bytes, Dialect::kResp3).failed);
      CHECK(frame_pieces(bytes, {bytes.size() - 1}, Dialect::kResp3).failed);
    }
  }

  TEST_CASE("random RESP3 replies split at random points are found again") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 5000; ++round) {
      Outcome expected;
      std::string bytes;
      for (unsigned left = 1 + random() % 4; left > 0; --left) {
        expected.replies.push_back(random_reply(random, 4, Dialect::kResp3));
        bytes += expected.replies.back();
      }
      CAPTURE(bytes);
      REQUIRE(frame_pieces(bytes, random_cuts(random, bytes.size()), Dialect::kResp3) == expected);
      for (const std::string& reply : expected.replies) {
        if (reply.find("*-1") == std::string::npos) REQUIRE(walked(reply) == reply);
      }
    }
  }

  TEST_CASE("lengths that no server sends are an error, at once") {
    CHECK(is_incomplete("$8589934592\r\n"));
    CHECK(frame_whole("$8589934593\r\n").failed);
    CHECK(frame_whole("$999999999999999999\r\n").failed);
    CHECK(frame_whole("$1000000000000000000").failed);
    CHECK(frame_whole("$18446744073709551615").failed);
    CHECK(frame_whole("*4294967296\r\n").failed);
    CHECK(frame_whole("*999999999999999999\r\n").failed);
    CHECK(frame_whole("*18446744073709551617").failed);
    // Not one by one either.
    std::string nested;
    for (int i = 0; i < 10; ++i) nested += "*1000000000\r\n";
    CHECK(frame_whole(nested).failed);
    CHECK(is_incomplete("*4294967295\r\n"));
  }

  TEST_CASE("a line that does not end is an error from 1 MiB on") {
    CHECK(is_incomplete("+" + std::string(1 << 20, 'x')));
    CHECK(frame_whole("+" + std::string((1 << 20) + 1, 'x')).failed);
    CHECK(is_one_reply("+" + std::string(1 << 20, 'x') + "\r\n"));
    std::vector<size_t> cuts;
    for (size_t cut = 1000; cut < (1 << 20); cut += 1000) cuts.push_back(cut);
    CHECK(frame_pieces("-" + std::string((1 << 20) + 1, 'x'), cuts).failed);
  }

  TEST_CASE("depth costs nothing") {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "*1\r\n";
    CHECK(is_incomplete(deep));
    CHECK(is_one_reply(deep + ":1\r\n"));
  }

  TEST_CASE("a framer that is reset starts anew") {
    ReplyFramer framer;
    uint64_t consumed = 0;
    REQUIRE(framer.feed("*2\r\n$100\r\nab", consumed) == Status::kNeedMore);
    CHECK(!framer.at_start());
    framer.reset(Dialect::kResp2);
    CHECK(framer.at_start());
    CHECK(framer.feed("+OK\r\n+NO", consumed) == Status::kComplete);
    CHECK(consumed == 5);
  }

  TEST_CASE("no bytes are no reply and no error") {
    ReplyFramer framer;
    uint64_t consumed = 99;
    CHECK(framer.feed("", consumed) == Status::kNeedMore);
    CHECK(consumed == 0);
    CHECK(framer.at_start());
  }

  TEST_CASE("random replies split at random points are found again") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 5000; ++round) {
      Outcome expected;
      std::string bytes;
      for (unsigned left = 1 + random() % 4; left > 0; --left) {
        expected.replies.push_back(random_reply(random, 4));
        bytes += expected.replies.back();
      }
      CAPTURE(bytes);
      REQUIRE(frame_pieces(bytes, random_cuts(random, bytes.size())) == expected);
      for (const std::string& reply : expected.replies) {
        if (reply.find("*-1") == std::string::npos) REQUIRE(walked(reply) == reply);
      }
    }
  }

  TEST_CASE("mutated replies never crash, and fail or not wherever they are split") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 20'000; ++round) {
      std::string bytes = random_reply(random, 3) + random_reply(random, 3);
      for (unsigned left = 1 + random() % 3; left > 0 && !bytes.empty(); --left) {
        const size_t at = random() % bytes.size();
        const char c = "\r\n*$:+-0199x\xFF"[random() % 13];
        switch (random() % 3) {
          case 0:
            bytes[at] = c;
            break;
          case 1:
            bytes.insert(at, 1, c);
            break;
          default:
            bytes.erase(at, 1);
        }
      }
      CAPTURE(bytes);
      const Outcome outcome = frame_whole(bytes);
      REQUIRE(frame_pieces(bytes, random_cuts(random, bytes.size())) == outcome);
      // Bytes that are no reply at all are no danger to the readers of replies.
      ReplyCursor cursor(bytes);
      cursor.enter();
      while (!cursor.next().empty()) continue;
      int64_t number = 0;
      reply_integer(bytes, number);
      reply_text(bytes);
    }
  }

  TEST_CASE("a cursor walks the elements of an array") {
    ReplyCursor cursor("*4\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n$-1\r\n-ERR x\r\n");
    CHECK(cursor.type() == '*');
    CHECK(cursor.enter() == 4);
    CHECK(cursor.next() == "$1\r\na\r\n");
    CHECK(cursor.type() == '*');
    CHECK(cursor.next() == "*2\r\n:1\r\n:2\r\n");
    CHECK(cursor.next() == "$-1\r\n");
    CHECK(!cursor.at_end());
    CHECK(cursor.next() == "-ERR x\r\n");
    CHECK(cursor.at_end());
    CHECK(cursor.type() == '\0');
    CHECK(cursor.next() == "");
    CHECK(cursor.enter() == -1);
  }

  TEST_CASE("a cursor enters nothing but an array") {
    CHECK(ReplyCursor("*0\r\n").enter() == 0);
    CHECK(ReplyCursor("*-1\r\n").enter() == -1);
    CHECK(ReplyCursor("$1\r\na\r\n").enter() == -1);
    CHECK(ReplyCursor("%2\r\n:1\r\n:1\r\n:2\r\n:2\r\n").enter() == 4);
    CHECK(ReplyCursor("~1\r\n:1\r\n").enter() == 1);
    CHECK(ReplyCursor(">0\r\n").enter() == 0);
    CHECK(ReplyCursor("_\r\n").enter() == -1);
    CHECK(ReplyCursor("*1").enter() == -1);
    CHECK(ReplyCursor("*x\r\n").enter() == -1);
    CHECK(ReplyCursor("").enter() == -1);
  }

  TEST_CASE("the text of an element is what is between its frame") {
    CHECK(reply_text("+OK\r\n") == "OK");
    CHECK(reply_text("-ERR x\r\n") == "ERR x");
    CHECK(reply_text(":12\r\n") == "12");
    CHECK(reply_text("$3\r\na\r\n\r\n") == "a\r\n");
    CHECK(reply_text("$0\r\n\r\n") == "");
    CHECK(reply_text("$-1\r\n") == "");
    CHECK(reply_text("*1\r\n:1\r\n") == "");
    CHECK(reply_text(",1.5\r\n") == "1.5");
    CHECK(reply_text("(12\r\n") == "12");
    CHECK(reply_text("!5\r\nERR x\r\n") == "ERR x");
    CHECK(reply_text("=5\r\ntxt:a\r\n") == "a");
    CHECK(reply_text("=4\r\ntxt:\r\n") == "");
    CHECK(reply_text("_\r\n") == "");
    CHECK(reply_text("+OK") == "");
    CHECK(reply_text("") == "");
    CHECK(reply_text("\r\n") == "");
  }

  TEST_CASE("only an integer reply is a number") {
    int64_t value = 0;
    CHECK(reply_integer(":-9223372036854775808\r\n", value));
    CHECK(value == INT64_MIN);
    for (const std::string_view element :
         {"", ":", ":\r\n", ":x\r\n", ":1x\r\n", ":+1\r\n", ":9223372036854775808\r\n", "+1\r\n",
          "$1\r\n1\r\n", "*-1\r\n"}) {
      CAPTURE(element);
      CHECK(!reply_integer(element, value));
    }
  }

  TEST_CASE("bytes of a value may be passed unseen, and the end is found all the same") {
    const std::string reply = "*2\r\n$10\r\n0123456789\r\n:1\r\n";
    ReplyFramer framer;
    uint64_t consumed = 0;
    CHECK(framer.body_left() == 0);
    CHECK(framer.feed(reply.substr(0, 12), consumed) == ReplyFramer::Status::kNeedMore);
    CHECK(framer.body_left() == 7);
    framer.pass(4);
    CHECK(framer.body_left() == 3);
    framer.pass(3);
    CHECK(framer.body_left() == 0);
    CHECK(framer.feed(reply.substr(19), consumed) == ReplyFramer::Status::kComplete);
    CHECK(consumed == reply.size() - 19);
    CHECK(framer.at_start());
  }
}
