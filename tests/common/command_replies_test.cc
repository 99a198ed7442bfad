#include "common/command_replies.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

using Words = std::vector<std::string_view>;

std::string info(const Words& names, RespVersion version = RespVersion::k2) {
  std::string out;
  append_command_info(out, names, version);
  return out;
}

std::string list(const Words& options) {
  std::string out;
  append_command_list(out, options);
  return out;
}

std::string keys(const Words& request) {
  std::string out;
  append_command_keys(out, request);
  return out;
}

std::string keys_and_flags(const Words& request, RespVersion version = RespVersion::k2) {
  std::string out;
  append_command_keys_and_flags(out, request, version);
  return out;
}

size_t count_in(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

}  // namespace

// That replies equal those of a real server is for tests/integration/command_table_test.py.
TEST_SUITE("common/command_replies") {
  TEST_CASE("a command is described by ten elements") {
    CHECK(info({"GET"}) ==
          "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
          "*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n"
          "*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n"
          "$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n"
          "$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
          "$5\r\nlimit\r\n:0\r\n*0\r\n");
    CHECK(info({"client|ID"}, RespVersion::k3) ==
          "*1\r\n*10\r\n$9\r\nclient|id\r\n:2\r\n~3\r\n+noscript\r\n+loading\r\n+stale\r\n"
          ":0\r\n:0\r\n:0\r\n~2\r\n+@slow\r\n+@connection\r\n~0\r\n~0\r\n~0\r\n");
  }

  TEST_CASE("what is unknown or not served is null") {
    CHECK(info({"nosuch"}) == "*1\r\n$-1\r\n");
    CHECK(info({"", "get|x", "client|id|x", "client|", "|"}) ==
          "*5\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
    CHECK(info({"migrate", "script|debug"}, RespVersion::k3) == "*2\r\n_\r\n_\r\n");
    CHECK(info({}) == "*0\r\n");
  }

  TEST_CASE("only what is served is counted and listed") {
    size_t served = 0;
    size_t served_with_subcommands = 0;
    for (size_t index = 0; index < command_count(); ++index) {
      const Command& command = command_at(index);
      if (command.action == CommandAction::kRefuse) continue;
      ++served_with_subcommands;
      if (command.name.find('|') == std::string_view::npos) ++served;
    }
    std::string count;
    append_command_count(count);
    CHECK(count == ":" + std::to_string(served) + "\r\n");

    std::string all;
    append_commands(all, RespVersion::k2);
    CHECK(all.starts_with("*" + std::to_string(served) + "\r\n*10\r\n"));
    CHECK(count_in(all, "*10\r\n$") == served_with_subcommands);
    CHECK(count_in(all, "\nmigrate\r\n") == 0);
    CHECK(count_in(all, "\nscript|debug\r\n") == 0);

    const std::string names = list({});
    CHECK(names.starts_with("*" + std::to_string(served_with_subcommands) + "\r\n"));
    CHECK(count_in(names, "$") == served_with_subcommands);
    CHECK(count_in(names, "\nclient|id\r\n") == 1);
    CHECK(count_in(names, "\nmigrate\r\n") == 0);
  }

  TEST_CASE("LIST can be filtered") {
    CHECK(list({"FILTERBY", "PATTERN", "XREV*"}) == "*1\r\n$9\r\nxrevrange\r\n");
    CHECK(list({"filterby", "pattern", "client|i[d]"}) == "*1\r\n$9\r\nclient|id\r\n");
    CHECK(list({"FILTERBY", "ACLCAT", "HyperLogLog"}) ==
          "*3\r\n$5\r\npfadd\r\n$7\r\npfcount\r\n$7\r\npfmerge\r\n");
    CHECK(list({"FILTERBY", "ACLCAT", "@hyperloglog"}) == "*0\r\n");
    CHECK(list({"FILTERBY", "ACLCAT", "hyper"}) == "*0\r\n");
    CHECK(list({"FILTERBY", "MODULE", "json"}) == "*0\r\n");
    for (const Words& options :
         {Words{"x"}, Words{"FILTERBY"}, Words{"FILTERBY", "PATTERN"}, Words{"FILTERBY", "x", "y"},
          Words{"FILTERBY", "ACLCAT", "a", "b"}}) {
      CHECK(list(options) == "-ERR syntax error\r\n");
    }
  }

  TEST_CASE("GETKEYS names the keys of a request") {
    CHECK(keys({"mset", "a", "1", "b", "2"}) == "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    CHECK(keys({"BLPOP", "a", "0"}) == "*1\r\n$1\r\na\r\n");
    CHECK(keys({"object", "freq", "k"}) == "*1\r\n$1\r\nk\r\n");
    CHECK(keys({"EVAL", "s", "0"}) == "*0\r\n");
    CHECK(keys({"EVAL", "s", "9"}) == "*0\r\n");  // As Redis: these may have none.
    CHECK(keys_and_flags({"GETDEL", "k"}) ==
          "*1\r\n*2\r\n$1\r\nk\r\n*3\r\n+RW\r\n+access\r\n+delete\r\n");
    CHECK(keys_and_flags({"SET", "k", "v"}, RespVersion::k3) ==
          "*1\r\n*2\r\n$1\r\nk\r\n~2\r\n+OW\r\n+update\r\n");
  }

  TEST_CASE("GETKEYS says what is wrong as Redis does") {
    CHECK(keys({}) == "-ERR Invalid command specified\r\n");
    CHECK(keys({"nosuch", "a"}) == "-ERR Invalid command specified\r\n");
    CHECK(keys({"object", "nosuch", "a"}) == "-ERR Invalid command specified\r\n");
    CHECK(keys({"ping", "a"}) == "-ERR The command has no key arguments\r\n");
    CHECK(keys({"spublish", "c", "m"}) == "-ERR The command has no key arguments\r\n");
    CHECK(keys({"get", "a", "b"}) == "-ERR Invalid number of arguments specified for command\r\n");
    CHECK(keys({"zunion", "3", "a"}) == "-ERR Invalid arguments specified for command\r\n");
    CHECK(keys_and_flags({"zunion", "3", "a"}) ==
          "-ERR Invalid arguments specified for command\r\n");
  }

  TEST_CASE("HELP is a list of lines") {
    std::string help;
    append_command_help(help);
    CHECK(help.starts_with("*"));
    CHECK(count_in(help, "\r\n") == 1 + std::stoul(help.substr(1)));
  }

  TEST_CASE("replies are appended") {
    std::string out = "+OK\r\n";
    append_command_info(out, Words{"nosuch"}, RespVersion::k2);
    CHECK(out == "+OK\r\n*1\r\n$-1\r\n");
  }
}
