#include "common/request_parser.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/resp.h"

using namespace pikaproxy;

namespace {

using Status = RequestParser::Status;
using Words = std::vector<std::string>;

// What parsing some bytes led to.
struct Outcome {
  std::vector<Words> requests;
  std::vector<std::string> raws;  // Their bytes.
  std::vector<bool> inline_form;
  std::string error;    // Of the last one, if that is why it ended.
  size_t consumed = 0;  // By requests and by what asks for nothing.

  bool operator==(const Outcome&) const = default;
};

std::string request(const Words& words) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(words.size()));
  for (const std::string& word : words) resp::append_bulk(out, word);
  return out;
}

// Parses as a Client does: bytes come in pieces that end at `cuts`, what is incomplete is tried
// again with more behind it, never at the same address. The memory ends where the bytes end, so
// that the sanitizers see a look beyond them.
Outcome parse_pieces(std::string_view bytes, std::vector<size_t> cuts,
                     const RequestLimits& limits = {}) {
  cuts.push_back(bytes.size());
  Outcome outcome;
  RequestParser parser;
  RequestProgress progress;
  size_t start = 0;
  size_t wanted = 0;
  for (const size_t end : cuts) {
    while (start < end) {
      const size_t size = end - start;
      const std::unique_ptr<char[]> copy(new char[size]);
      std::copy_n(bytes.data() + start, size, copy.get());
      const std::string_view piece(copy.get(), size);
      const Status status = parser.parse(piece, progress, limits);
      if (status == Status::kNeedMore) {
        REQUIRE(parser.size_hint() > size);
        wanted = start + parser.size_hint();
        break;
      }
      if (status == Status::kError) {
        outcome.error = parser.error();
        REQUIRE(!outcome.error.empty());
        return outcome;
      }
      REQUIRE(parser.size() > 0);
      REQUIRE(parser.size() <= size);
      if (status == Status::kRequest) {
        REQUIRE(start + parser.size() >= wanted);
        outcome.requests.emplace_back(parser.args().begin(), parser.args().end());
        outcome.raws.emplace_back(piece.substr(0, parser.size()));
        outcome.inline_form.push_back(parser.is_inline());
      }
      start += parser.size();
      outcome.consumed = start;
      progress = {};
      wanted = 0;
    }
  }
  return outcome;
}

Outcome parse_whole(std::string_view bytes, const RequestLimits& limits = {}) {
  return parse_pieces(bytes, {}, limits);
}

std::string error_of(std::string_view bytes, const RequestLimits& limits = {}) {
  return parse_whole(bytes, limits).error;
}

// Bytes that are parsed to one request and nothing else.
Words words_of(std::string_view bytes) {
  const Outcome outcome = parse_whole(bytes);
  REQUIRE(outcome.error == "");
  REQUIRE(outcome.requests.size() == 1);
  REQUIRE(outcome.consumed == bytes.size());
  return outcome.requests[0];
}

std::string random_word(std::mt19937& random) {
  static constexpr char kLikely[] = "\r\n*$-+:0123456789aZ \"'\\x\t\v\0";
  std::string word(random() % (random() % 20 == 0 ? 300 : 12), '\0');
  for (char& c : word) {
    c = random() % 4 == 0 ? static_cast<char>(random()) : kLikely[random() % (sizeof kLikely - 1)];
  }
  return word;
}

Words random_words(std::mt19937& random) {
  Words words(1 + random() % (random() % 20 == 0 ? 40 : 4));
  for (std::string& word : words) word = random_word(random);
  return words;
}

std::vector<size_t> random_cuts(std::mt19937& random, size_t size) {
  std::vector<size_t> cuts(random() % 6);
  for (size_t& cut : cuts) cut = random() % (size + 1);
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

}  // namespace

TEST_SUITE("common/request_parser") {
  TEST_CASE("a command split at any byte parses to the same arguments") {
    const std::string bytes[] = {
        request({"GET", "key"}),
        request({"SET", "key", std::string("a\r\nb\0c", 6), "", "$5\r\nEX"}),
        request({""}),
        request({"ECHO", std::string(1234, 'x')}),
        "*0\r\n*-1\r\n\r\n\n" + request({"PING"}),
        "SET key \"va lue\" 'x y'\r\n",
        "\r\n  \r\nPING\n" + request({"PING"}) + "GET a\r\n",
        request({"GET", "a"}) + request({"GET", "b"}) + "*1\r\n!",
        "PING\r\nGET \"open\r\n",
        "*2\r\n$3\r\nGET\r\n$1\r\nab\r\n",
    };
    for (const std::string& whole : bytes) {
      CAPTURE(whole);
      const Outcome expected = parse_whole(whole);
      for (size_t first = 0; first <= whole.size(); ++first) {
        REQUIRE(parse_pieces(whole, {first}) == expected);
        for (size_t second = first; second <= std::min(whole.size(), first + 40); ++second) {
          REQUIRE(parse_pieces(whole, {first, second}) == expected);
        }
      }
      std::vector<size_t> every_byte;
      for (size_t cut = 1; cut < whole.size(); ++cut) every_byte.push_back(cut);
      CHECK(parse_pieces(whole, every_byte) == expected);
    }
  }

  TEST_CASE("the arguments are what was encoded, and the request's bytes are told apart") {
    const std::string first = request({"SET", "k", std::string("\0\r\n", 3)});
    const std::string second = request({"GET", ""});
    const Outcome outcome = parse_whole(first + second + "GET");
    REQUIRE(outcome.requests.size() == 2);
    CHECK(outcome.requests[0] == Words{"SET", "k", std::string("\0\r\n", 3)});
    CHECK(outcome.requests[1] == Words{"GET", ""});
    CHECK(outcome.raws == Words{first, second});
    CHECK(outcome.consumed == first.size() + second.size());
    CHECK(outcome.inline_form == std::vector<bool>{false, false});
  }

  TEST_CASE("an empty line, an empty array and a null array ask for nothing") {
    for (const std::string_view nothing :
         {"\r\n", "\n", "   \r\n", "\t\v\f \n", "*0\r\n", "*-1\r\n", "*-7\r\n"}) {
      CAPTURE(nothing);
      RequestParser parser;
      RequestProgress progress;
      CHECK(parser.parse(nothing, progress, {}) == Status::kNothing);
      CHECK(parser.size() == nothing.size());
    }
  }

  TEST_CASE("without bytes more are needed") {
    RequestParser parser;
    RequestProgress progress;
    CHECK(parser.parse("", progress, {}) == Status::kNeedMore);
    CHECK(parser.size_hint() == 1);
  }

  TEST_CASE("every malformed array has the text of Redis' error") {
    const std::string long_digits(70'000, '1');
    const std::string bad_array[] = {
        "*\r\n",        "*x\r\n",     "*1x\r\n",       "*1 \r\n",
        "* 1\r\n",      "*+1\r\n",    "*01\r\n",       "*00\r\n",
        "*-0\r\n",      "*--1\r\n",   "*-\r\n",        "*1.0\r\n",
        "*0x1\r\n",     "*1\n$4\r\n", "*1\r$4\r\n",    "*1\r\r\n",
        "*1048577\r\n", "**\r\n",     "*2147483648\n", "*9223372036854775807\r\n",
        "*\n",          "*1e1\r\n",   "*$1\r\n",       "*9223372036854775808\r\n",
        "*1_0\r\n",     "*\t1\r\n",   "*\xFF\r\n",     "*99999999999999999999999\r\n",
    };
    for (const std::string& bytes : bad_array) {
      CAPTURE(bytes);
      CHECK(error_of(bytes) == "invalid multibulk length");
    }
    CHECK(error_of("*" + long_digits) == "invalid multibulk length");
    CHECK(error_of(std::string("*1\0\r\n", 5)) == "invalid multibulk length");
    CHECK(error_of(std::string("*\0001\r\n", 5)) == "invalid multibulk length");

    const std::string bad_bulk[] = {
        "-1",
        "-5",
        "x",
        "",
        "4x",
        " 4",
        "4 ",
        "+4",
        "04",
        "00",
        "-0",
        "--4",
        "-",
        "0x4",
        "4.0",
        "4\n",
        "4\r",
        "\x80",
        "536870913",
        "4294967300",
        "9223372036854775807",
        "$4",
        "1_0",
        "1e1",
        "*4",
        "18446744073709551620",
        "99999999999999999999999999",
    };
    for (const std::string& length : bad_bulk) {
      CAPTURE(length);
      CHECK(error_of("*1\r\n$" + length + "\r\nPING\r\n") == "invalid bulk length");
      CHECK(error_of("*2\r\n$4\r\nPING\r\n$" + length + "\r\nPING\r\n") == "invalid bulk length");
    }
    CHECK(error_of("*1\r\n$" + long_digits) == "invalid bulk length");
  }

  TEST_CASE("an argument that is no bulk string is named in the error") {
    CHECK(error_of("*1\r\n:4\r\n") == "expected '$', got ':'");
    CHECK(error_of("*1\r\n*1\r\n") == "expected '$', got '*'");
    CHECK(error_of("*1\r\nPING\r\n") == "expected '$', got 'P'");
    CHECK(error_of("*2\r\n$4\r\nPING\r\n+x\r\n") == "expected '$', got '+'");
    CHECK(error_of("*1\r\n\r\n") == "expected '$', got '?'");
    CHECK(error_of(std::string("*1\r\n\0", 5)) == "expected '$', got '?'");
    CHECK(error_of("*1\r\n\xFF") == "expected '$', got '?'");
  }

  TEST_CASE("an argument must end where its length says") {
    for (const std::string_view bytes :
         {"*1\r\n$4\r\nPINGG\r\n", "*1\r\n$4\r\nPIN\r\n\r\n", "*1\r\n$4\r\nPING\n\n",
          "*1\r\n$4\r\nPING\rx", "*1\r\n$0\r\nx\r\n", "*2\r\n$1\r\na$1\r\nb\r\n"}) {
      CAPTURE(bytes);
      CHECK(error_of(bytes) == "expected CRLF after bulk string");
    }
  }

  TEST_CASE("an error does not wait for bytes that cannot change it") {
    CHECK(error_of("*x") == "invalid multibulk length");
    CHECK(error_of("*1\r\nx") == "expected '$', got 'x'");
    CHECK(error_of("*1\r\n$-") == "");
    CHECK(error_of("*1\r\n$-1\r\n") == "invalid bulk length");
    CHECK(error_of("*1\r\n$4\r\nPINGx") == "expected CRLF after bulk string");
  }

  TEST_CASE("the largest number of arguments is a wait, one more is an error") {
    CHECK(error_of("*1048576\r\n") == "");
    CHECK(error_of("*1048577\r\n") == "invalid multibulk length");
    Words words(1024 * 1024, "a");
    CHECK(words_of(request(words)) == words);
  }

  TEST_CASE("a bulk length above the limit is an error, not a wait") {
    RequestLimits limits;
    limits.bulk_max = 1000;
    CHECK(error_of("*1\r\n$1000\r\n", limits) == "");
    CHECK(error_of("*1\r\n$1001\r\n", limits) == "invalid bulk length");
    CHECK(error_of("*1\r\n$536870912\r\n") == "");
  }

  TEST_CASE("a request above the limit is an error as soon as that is known") {
    RequestLimits limits;
    limits.request_max = 100;
    const std::string fits = request({"SET", "k", std::string(73, 'x')});
    REQUIRE(fits.size() == 100);
    CHECK(parse_whole(fits, limits).requests.size() == 1);
    const std::string error = "request is larger than the limit of 100 bytes (proxy.request_max)";
    CHECK(error_of("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$74\r\n", limits) == error);
    CHECK(error_of("*50\r\n" + std::string(40, ' '), limits) == "expected '$', got ' '");
    std::string many = "*50\r\n";
    for (int i = 0; i < 50; ++i) many += "$0\r\n\r\n";
    CHECK(error_of(many, limits) == error);
  }

  TEST_CASE("strangers may send ten arguments of 16 KiB") {
    RequestLimits stranger;
    stranger.authenticated = false;
    CHECK(error_of("*10\r\n", stranger) == "");
    CHECK(error_of("*11\r\n", stranger) == "unauthenticated multibulk length");
    CHECK(error_of("*1048577\r\n", stranger) == "invalid multibulk length");
    CHECK(error_of("*1\r\n$16384\r\n", stranger) == "");
    CHECK(error_of("*1\r\n$16385\r\n", stranger) == "unauthenticated bulk length");
    CHECK(error_of("*1\r\n$536870913\r\n", stranger) == "invalid bulk length");
    CHECK(parse_whole(request({"AUTH", "secret"}), stranger).requests.size() == 1);
  }

  TEST_CASE("inline words are split and unquoted as in Redis") {
    const std::pair<std::string, Words> table[] = {
        {"PING", {"PING"}},
        {"  GET \t key  ", {"GET", "key"}},
        {"\v\fGET\rkey", {"GET", "key"}},
        {"GET a\vb\fc", {"GET", "a\vb\fc"}},
        {"SET k \"\"", {"SET", "k", ""}},
        {"SET k ''", {"SET", "k", ""}},
        {"\"\"", {""}},
        {"SET k \"a b\"", {"SET", "k", "a b"}},
        {"SET k 'a b'", {"SET", "k", "a b"}},
        {R"(SET k "\n\r\t\b\a\\\"\q")", {"SET", "k", "\n\r\t\b\a\\\"q"}},
        {R"(SET k "\x41\x6a\xFf")", {"SET", "k", "Aj\xFF"}},
        {R"(SET k "\x4g\xg4\x4")", {"SET", "k", "x4gxg4x4"}},
        {R"(SET k "\x00")", {"SET", "k", std::string(1, '\0')}},
        {R"(SET k 'it\'s' 'a\nb\\c')", {"SET", "k", "it's", R"(a\nb\\c)"}},
        {R"(SET k "it's" 'say "x"')", {"SET", "k", "it's", R"(say "x")"}},
        {R"(SET k a\nb \x41)", {"SET", "k", R"(a\nb)", R"(\x41)"}},
        {"SET k a\"b c\"", {"SET", "k", "ab c"}},
        {"SET k a'b c'", {"SET", "k", "ab c"}},
        {"SET k \"a\"\v\"b\"", {"SET", "k", "a", "b"}},
        {"$4", {"$4"}},
        {"+OK", {"+OK"}},
        {"GET \xFF\x80", {"GET", "\xFF\x80"}},
    };
    for (const auto& [line, words] : table) {
      CAPTURE(line);
      CHECK(words_of(line + "\r\n") == words);
      CHECK(words_of(line + "\n") == words);
    }
    CHECK(parse_whole("PING\r\n").inline_form == std::vector<bool>{true});
  }

  TEST_CASE("quotes that are not closed, or closed within a word, are an error") {
    for (const std::string_view line :
         {"GET \"a", "GET 'a", "GET \"a'", "GET 'a\"", "GET \"a\"b", "GET 'a'b", "GET \"a\"\"b\"",
          "GET \"", "GET '", "GET \"a\\\"", "GET 'a\\'", "GET 'a\\\\'", "\"", "GET a\"b\"c",
          "GET \"\\"}) {
      CAPTURE(line);
      CHECK(error_of(std::string(line) + "\r\n") == "unbalanced quotes in request");
    }
  }

  TEST_CASE("an inline NUL byte is an error") {
    CHECK(error_of(std::string("GET a\0b\r\n", 9)) == "NUL byte in inline request");
    CHECK(error_of(std::string("\0\n", 2)) == "NUL byte in inline request");
  }

  TEST_CASE("an inline request without a line end within 64 KiB is an error") {
    CHECK(error_of(std::string(65'535, 'x')) == "");
    CHECK(error_of(std::string(65'536, 'x')) == "too big inline request");
    CHECK(error_of(std::string(65'536, 'x') + "\n") == "too big inline request");
    const std::string longest(65'535, 'x');
    CHECK(words_of(longest + "\n") == Words{longest});
    const std::string most_words = [] {
      std::string line;
      while (line.size() < 65'000) line += "a ";
      return line;
    }();
    CHECK(words_of(most_words + "\n").size() == 32'500);
  }

  TEST_CASE("the hint never lies beyond the end of the request") {
    const std::string whole = request({"MSET", "a", std::string(5000, 'x'), "b", "", "c", "1"});
    for (size_t size = 1; size < whole.size(); ++size) {
      RequestParser parser;
      RequestProgress progress;
      REQUIRE(parser.parse(std::string_view(whole).substr(0, size), progress, {}) ==
              Status::kNeedMore);
      REQUIRE(parser.size_hint() > size);
      REQUIRE(parser.size_hint() <= whole.size());
    }
  }

  TEST_CASE("a parser that has shrunk goes on") {
    RequestParser parser;
    RequestProgress progress;
    REQUIRE(parser.parse(request(Words(100'000, "x")), progress, {}) == Status::kRequest);
    parser.shrink();
    progress = {};
    REQUIRE(parser.parse("PING x\r\n", progress, {}) == Status::kRequest);
    CHECK(parser.args().size() == 2);
    parser.shrink();
    CHECK(parser.args()[1] == "x");
  }

  TEST_CASE("random requests split at random points come out as they went in") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 3000; ++round) {
      std::string bytes;
      Outcome expected;
      for (unsigned left = 1 + random() % 5; left > 0; --left) {
        if (random() % 8 == 0) bytes += random() % 2 == 0 ? "\r\n" : "*0\r\n";
        expected.requests.push_back(random_words(random));
        expected.raws.push_back(request(expected.requests.back()));
        expected.inline_form.push_back(false);
        bytes += expected.raws.back();
      }
      expected.consumed = bytes.size();
      CAPTURE(bytes);
      REQUIRE(parse_pieces(bytes, random_cuts(random, bytes.size())) == expected);
    }
  }

  TEST_CASE("mutated requests never crash, and what is accepted is well-formed") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    static constexpr char kBytes[] = "\r\n*$-+0159 \"'\\x\0\xFF";
    for (int round = 0; round < 20'000; ++round) {
      std::string bytes;
      for (unsigned left = 1 + random() % 3; left > 0; --left) {
        bytes += random() % 4 == 0 ? "SET k \"a\\x41 b\" 'c'\r\n" : request(random_words(random));
      }
      for (unsigned left = 1 + random() % 4; left > 0 && !bytes.empty(); --left) {
        const size_t at = random() % bytes.size();
        const char c = kBytes[random() % (sizeof kBytes - 1)];
        switch (random() % 4) {
          case 0:
            bytes[at] = c;
            break;
          case 1:
            bytes.insert(at, 1, c);
            break;
          case 2:
            bytes.erase(at, 1 + random() % 3);
            break;
          default:
            bytes.resize(at);
        }
      }
      CAPTURE(bytes);
      const Outcome outcome = parse_whole(bytes);
      for (size_t i = 0; i < outcome.requests.size(); ++i) {
        // These bytes go to servers as they are.
        if (!outcome.inline_form[i]) REQUIRE(request(outcome.requests[i]) == outcome.raws[i]);
      }
      REQUIRE(parse_pieces(bytes, random_cuts(random, bytes.size())) == outcome);
    }
  }
}
