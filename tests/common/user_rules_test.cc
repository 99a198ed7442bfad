#include "common/user_rules.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

bool allows(std::string_view rules, std::string_view name, Scripts scripts = Scripts::kWithAll) {
  const auto set = parse_command_rules(rules, scripts);
  REQUIRE(set.ok());
  const size_t bar = name.find('|');
  const Command* command = find_command(name.substr(0, bar));
  REQUIRE(command != nullptr);
  if (bar != std::string_view::npos) command = find_subcommand(*command, name.substr(bar + 1));
  REQUIRE(command != nullptr);
  return set->contains(*command);
}

}  // namespace

TEST_SUITE("common/user_rules") {
  TEST_CASE("rules apply one after the other, beginning with nothing") {
    CHECK(!allows("", "get"));
    CHECK(allows("+get", "get"));
    CHECK(!allows("+get", "set"));
    CHECK(allows("+@all", "flushall"));
    CHECK(!allows("+@all -flushall", "flushall"));
    CHECK(allows("-flushall +@all", "flushall"));
    CHECK(!allows("allcommands nocommands", "get"));
    CHECK(allows("  +@READ   -GET +mget ", "mget"));
    CHECK(!allows("+@read -GET", "get"));
    CHECK(allows("+@read -@string +strlen", "hget"));
    CHECK(!allows("+@read -@string +strlen", "get"));
    CHECK(allows("+@read -@string +strlen", "strlen"));
  }

  TEST_CASE("a container's rule is for its subcommands too") {
    CHECK(allows("+config", "config|get"));
    CHECK(allows("+config|get", "config|get"));
    CHECK(!allows("+config|get", "config|set"));
    CHECK(!allows("+client -client|kill", "client|kill"));
    CHECK(allows("+client -client|kill", "client|id"));
  }

  TEST_CASE("scripts may have to be named") {
    for (const char* name :
         {"eval", "evalsha", "eval_ro", "fcall", "function|load", "script|load"}) {
      CAPTURE(name);
      CHECK(allows("+@all", name));
      CHECK(!allows("+@all", name, Scripts::kOnlyNamed));
      CHECK(!allows("+@slow +@write +@read", name, Scripts::kOnlyNamed));
      CHECK(allows("+@all +@scripting", name, Scripts::kOnlyNamed));
    }
    CHECK(allows("+@all +eval", "eval", Scripts::kOnlyNamed));
    CHECK(allows("+@all", "get", Scripts::kOnlyNamed));
  }

  TEST_CASE("what is no rule is an error that says so") {
    for (const auto& [rules, expected] : {std::pair<const char*, const char*>{"get", "begins with"},
                                          {"+nosuch", "names no command"},
                                          {"+config|nosuch", "names no command"},
                                          {"+get|x", "names no command"},
                                          {"+", "names no command"},
                                          {"+@", "names no category"},
                                          {"+@raed", "Did you mean \"read\"?"},
                                          {"+@all ~*", "begins with"},
                                          {"+get\t+set", "names no command"}}) {
      CAPTURE(rules);
      const auto set = parse_command_rules(rules, Scripts::kWithAll);
      REQUIRE(!set.ok());
      CHECK(set.error().find(expected) != std::string::npos);
    }
  }

  TEST_CASE("every category has commands, and every command is in one that is known") {
    for (const auto category : command_categories()) {
      size_t commands = 0;
      for (size_t i = 0; i < command_count(); ++i)
        commands += is_in_category(command_at(i), category);
      CAPTURE(category);
      CHECK(commands > 0);
    }
    for (size_t i = 0; i < command_count(); ++i) {
      size_t categories = 0;
      for (const auto category : command_categories()) {
        categories += is_in_category(command_at(i), category);
      }
      CAPTURE(command_at(i).name);
      CHECK(categories > 0);
    }
    CHECK(!is_in_category(*find_command("get"), "rea"));
    CHECK(!is_in_category(*find_command("get"), ""));
  }

  TEST_CASE("key patterns are for reading, writing or both") {
    for (const char* text : {"a*", "~a*", "%RW~a*", "%wr~a*"}) {
      CAPTURE(text);
      const auto pattern = parse_key_pattern(text);
      REQUIRE(pattern.ok());
      CHECK(pattern->glob == "a*");
      CHECK(pattern->may_read);
      CHECK(pattern->may_write);
    }
    CHECK(!parse_key_pattern("%R~a")->may_write);
    CHECK(!parse_key_pattern("%W~a")->may_read);
    CHECK(parse_key_pattern("~~a")->glob == "~a");
    for (const char* text : {"", "~", "%R~", "%~a", "%X~a", "%R", "%RWX~a"}) {
      CAPTURE(text);
      CHECK(!parse_key_pattern(text).ok());
    }
    CHECK(*parse_channel_pattern("&a") == "a");
    CHECK(*parse_channel_pattern("a") == "a");
    CHECK(!parse_channel_pattern("&").ok());
  }

  TEST_CASE("a user is restricted as soon as anything is kept from them") {
    UserConfig user;
    CHECK(!is_restricted(user));
    user.commands = "allcommands";
    CHECK(!is_restricted(user));
    user.commands = "+@all -lolwut";
    CHECK(is_restricted(user));
    user = {};
    user.keys = {"a*"};
    CHECK(is_restricted(user));
    user.keys = {"a*", "~*"};
    CHECK(!is_restricted(user));
    user.keys = {"%R~*"};
    CHECK(is_restricted(user));
    user = {};
    user.channels = {};
    CHECK(is_restricted(user));
    user = {};
    user.read_only = true;
    CHECK(is_restricted(user));
  }

  TEST_CASE("who may only read can run nothing that writes") {
    UserConfig user;
    user.read_only = true;
    user.commands = "+@all +@scripting";
    const auto commands = commands_of(user);
    REQUIRE(commands.ok());
    for (size_t i = 0; i < command_count(); ++i) {
      CAPTURE(command_at(i).name);
      if (command_at(i).is_write()) CHECK(!commands->contains(command_at(i)));
    }
    for (const char* name : {"get", "pfcount", "eval_ro", "fcall_ro", "publish", "multi"}) {
      CAPTURE(name);
      CHECK(commands->contains(*find_command(name)));
    }
    for (const char* name : {"eval", "evalsha", "fcall", "sort", "getex"}) {
      CAPTURE(name);
      CHECK(!commands->contains(*find_command(name)));
    }
  }

  TEST_CASE("passwords are kept as Redis keeps them") {
    CHECK(hash_password("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hash_password("abc") ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
}
