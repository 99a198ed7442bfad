#include "common/command_table.h"

#include <algorithm>
#include <cctype>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> args;
  while (!line.empty()) {
    const size_t space = std::min(line.find(' '), line.size());
    args.push_back(line.substr(0, space));
    line.remove_prefix(std::min(space + 1, line.size()));
  }
  return args;
}

const Command& command_of(Arguments args) {
  const Command* command = find_command(args[0]);
  REQUIRE(command != nullptr);
  if (command->subcommands.empty() || args.size() < 2) return *command;
  command = find_subcommand(*command, args[1]);
  REQUIRE(command != nullptr);
  return *command;
}

// "1 3", or the error's text.
std::string keys_of(Arguments args) {
  std::vector<uint32_t> positions = {99};  // find_keys() has to clear it.
  std::string_view error;
  if (!find_keys(command_of(args), args, positions, error)) {
    CHECK(positions.empty());
    CHECK(!error.empty());
    return std::string(error);
  }
  CHECK(error.empty());
  std::string text;
  for (const uint32_t position : positions) {
    text += (text.empty() ? "" : " ") + std::to_string(position);
  }
  return text;
}

std::string keys_of(std::string_view line) {
  return keys_of(words(line));
}

bool blocks(std::string_view line) {
  const auto args = words(line);
  return has_block_option(command_of(args), args);
}

const Command& command(std::string_view name) {
  const Command* found = find_command(name);
  REQUIRE(found != nullptr);
  return *found;
}

const Command& subcommand(std::string_view container, std::string_view name) {
  const Command* found = find_subcommand(command(container), name);
  REQUIRE(found != nullptr);
  return *found;
}

}  // namespace

TEST_SUITE("common/command_table") {
  TEST_CASE("every command is found by its name in any case") {
    for (const Command* each : top_level_commands()) {
      std::string name(each->name);
      CHECK(find_command(name) == each);
      for (size_t at = 0; at < name.size(); at += 2) {
        name[at] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[at])));
      }
      CHECK(find_command(name) == each);
      for (char& byte : name) {
        byte = static_cast<char>(std::toupper(static_cast<unsigned char>(byte)));
      }
      CHECK(find_command(name) == each);
      for (const Command& sub : each->subcommands) {
        CHECK(find_subcommand(*each, sub.name.substr(each->name.size() + 1)) == &sub);
        CHECK(find_command(sub.name) == nullptr);
      }
    }
    CHECK(&subcommand("CLIENT", "SetInfo") == &subcommand("client", "setinfo"));
  }

  TEST_CASE("what is no command is not found") {
    const std::string long_name(100'000, 'g');
    const std::string_view names[] = {"",
                                      "g",
                                      "ge",
                                      "gett",
                                      "get ",
                                      " get",
                                      "g\x05t",
                                      "g\xc5t",
                                      "client|id",
                                      "*",
                                      "@uth",
                                      "getk",
                                      "get\r\n",
                                      "xread group",
                                      "restore_asking",
                                      "restore\rasking",
                                      long_name};
    for (const std::string_view name : names) {
      CAPTURE(name);
      CHECK(find_command(name) == nullptr);
    }
    CHECK(find_command(std::string_view("get\0", 4)) == nullptr);
    CHECK(find_command(std::string_view("\0\0\0", 3)) == nullptr);
    CHECK(find_subcommand(command("client"), "") == nullptr);
    CHECK(find_subcommand(command("client"), "i") == nullptr);
    CHECK(find_subcommand(command("client"), "client|id") == nullptr);
    CHECK(find_subcommand(command("get"), "x") == nullptr);
  }

  TEST_CASE("a name that differs in one byte is found only if it is another's") {
    std::set<std::string, std::less<>> names;
    for (const Command* each : top_level_commands()) names.emplace(each->name);
    for (const Command* each : top_level_commands()) {
      for (size_t at = 0; at < each->name.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
          std::string name(each->name);
          name[at] = static_cast<char>(byte);
          const bool upper = byte >= 'A' && byte <= 'Z';
          std::string lower = name;
          if (upper) lower[at] = static_cast<char>(byte + 32);
          if ((find_command(name) != nullptr) != names.contains(lower)) FAIL(name);
        }
      }
    }
  }

  TEST_CASE("rows are consistent") {
    for (size_t index = 0; index < command_count(); ++index) {
      const Command& each = command_at(index);
      CAPTURE(each.name);
      CHECK(each.index == index);
      CHECK(each.arity != 0);
      CHECK(!each.since.empty());
      CHECK(!each.acl_categories.empty());
      CHECK((each.action == CommandAction::kRefuse) == !each.refusal.empty());
      CHECK(each.refusal.ends_with('.') == each.refusal.starts_with("unknown subcommand"));
      CHECK_FALSE((each.is_write() && (each.flags & kFlagReadonly) != 0));
      const bool served_subcommand =
          std::any_of(each.subcommands.begin(), each.subcommands.end(),
                      [](const Command& sub) { return sub.action != CommandAction::kRefuse; });
      if (!each.subcommands.empty()) {
        CHECK(served_subcommand == (each.action == CommandAction::kLocal));
      }
      // Forwarding needs keys to know where; writes that go everywhere need permission.
      const bool has_specs = !each.key_specs.empty();
      if (each.action == CommandAction::kForward || each.action == CommandAction::kEval) {
        CHECK(has_specs);
      }
      if (each.action == CommandAction::kFanOutAllOk) CHECK(each.proxy_admin);
      if (each.action == CommandAction::kForward && each.name != "xread" &&
          each.name != "xreadgroup") {
        CHECK((each.flags & kFlagBlocking) == 0);
      }
    }
  }

  TEST_CASE("commands do what the proxy is meant to do with them") {
    CHECK(command("get").action == CommandAction::kForward);
    CHECK(command("get").command_class == CommandClass::kRead);
    CHECK(command("hexpire").command_class == CommandClass::kWrite);
    CHECK(command("mget").action == CommandAction::kSplitMget);
    CHECK(command("mget").command_class == CommandClass::kMulti);
    CHECK(command("mset").action == CommandAction::kSplitMset);
    CHECK(command("msetnx").action == CommandAction::kForward);
    for (const auto name : {"del", "unlink", "exists", "touch"}) {
      CHECK(command(name).action == CommandAction::kSplitSum);
    }
    CHECK(command("dbsize").action == CommandAction::kFanOutSum);
    CHECK(command("keys").action == CommandAction::kFanOutConcat);
    CHECK_FALSE(command("keys").proxy_admin);
    CHECK(command("flushall").proxy_admin);
    CHECK(command("randomkey").action == CommandAction::kRandomKey);
    CHECK(command("scan").action == CommandAction::kScan);
    CHECK(command("eval_ro").action == CommandAction::kEval);
    CHECK(command("fcall").action == CommandAction::kForward);
    CHECK(command("fcall").command_class == CommandClass::kScript);
    CHECK(subcommand("script", "load").action == CommandAction::kScriptLoad);
    CHECK(subcommand("script", "exists").action == CommandAction::kScriptExists);
    CHECK(subcommand("script", "flush").action == CommandAction::kScriptFlush);
    CHECK(subcommand("script", "kill").action == CommandAction::kKill);
    CHECK(subcommand("function", "stats").action == CommandAction::kFunctionStats);
    CHECK(subcommand("function", "stats").command_class == CommandClass::kScript);
    CHECK(subcommand("command", "docs").action == CommandAction::kForwardAnyGroup);
    CHECK(subcommand("memory", "usage").action == CommandAction::kForward);
    CHECK(subcommand("memory", "stats").action == CommandAction::kLocal);
    CHECK(command("hello").action == CommandAction::kLocal);
    for (const auto name : {"multi", "exec", "discard", "watch", "unwatch"}) {
      CHECK(command(name).action == CommandAction::kTransaction);
    }
    for (const auto name :
         {"blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzpopmin", "bzpopmax", "bzmpop"}) {
      CHECK(command(name).action == CommandAction::kBlock);
    }
    for (const auto name : {"subscribe", "psubscribe", "ssubscribe"}) {
      CHECK(command(name).action == CommandAction::kSubscribe);
    }
    for (const auto name : {"publish", "spublish"}) {
      CHECK(command(name).action == CommandAction::kPublish);
      CHECK(command(name).command_class == CommandClass::kWrite);
    }
    CHECK(command("info").command_class == CommandClass::kAdmin);
    CHECK(subcommand("client", "tracking").action == CommandAction::kTracking);
    CHECK(subcommand("client", "caching").action == CommandAction::kLocal);
    for (const auto name : {"migrate", "debug", "shutdown", "replicaof", "sflush", "psync",
                            "restore-asking", "sentinel", "swapdb"}) {
      CHECK(command(name).action == CommandAction::kRefuse);
    }
  }

  TEST_CASE("the only key of a simple command is known without a search") {
    CHECK(command("get").single_key == 1);
    CHECK(command("set").single_key == 1);
    CHECK(command("bitfield").single_key == 1);
    CHECK(subcommand("object", "encoding").single_key == 2);
    CHECK(subcommand("xgroup", "create").single_key == 2);
    for (const auto name :
         {"mget", "rename", "sort", "sort_ro", "eval", "xread", "georadius", "spublish", "ping"}) {
      CHECK(command(name).single_key == 0);
    }
    for (size_t index = 0; index < command_count(); ++index) {
      const Command& each = command_at(index);
      if (each.single_key == 0) continue;
      std::vector<std::string_view> args(static_cast<size_t>(std::abs(each.arity)) + 3, "get");
      std::vector<uint32_t> positions;
      std::string_view error;
      CHECK(find_keys(each, args, positions, error));
      CHECK(positions == std::vector<uint32_t>{each.single_key});
    }
  }

  TEST_CASE("arity is exact when positive and a minimum when negative") {
    CHECK(arity_fits(command("get"), 2));
    CHECK_FALSE(arity_fits(command("get"), 1));
    CHECK_FALSE(arity_fits(command("get"), 3));
    CHECK(arity_fits(command("expire"), 4));  // EXPIRE k 10 NX
    CHECK(arity_fits(command("lpop"), 3));
    CHECK(arity_fits(command("zrank"), 4));  // ZRANK k m WITHSCORE
    CHECK_FALSE(arity_fits(command("mset"), 2));
    CHECK(arity_fits(subcommand("client", "id"), 2));  // The container's name counts.
    CHECK_FALSE(arity_fits(subcommand("client", "id"), 3));
  }

  TEST_CASE("keys are found where the command has them") {
    struct Case {
      std::string_view request, keys;
    };
    const Case cases[] = {
        {"GET k", "1"},
        {"PING", ""},
        {"SPUBLISH c m", ""},
        {"MGET a b a", "1 2 3"},
        {"MSET a 1 b 2", "1 3"},
        {"MSET a 1 b", "1 3"},
        {"BITOP AND d a b", "2 3 4"},
        {"RENAME a b", "1 2"},
        {"SMOVE a b m", "1 2"},
        {"BLPOP a b 0", "1 2"},
        {"PFMERGE d", "1"},
        {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "1 3 4"},
        {"ZINTERCARD 2 a b LIMIT 1", "2 3"},
        {"LMPOP 1 a LEFT", "2"},
        {"BLMPOP 0 2 a b LEFT", "3 4"},
        {"EVAL s 0", ""},
        {"EVAL s 2 a b c", "3 4"},
        {"FCALL_RO f 1 a", "3"},
        {"OBJECT ENCODING k", "2"},
        {"MEMORY USAGE k SAMPLES 5", "2"},
        {"XGROUP CREATE k g $", "2"},
        {"XREAD COUNT 2 STREAMS a b 0 0", "4 5"},
        {"XREADGROUP GROUP g c NOACK STREAMS a >", "6"},
        {"SORT k BY w GET x LIMIT 0 1 STORE d", "1 10"},
        {"SORT_RO k BY w GET x", "1"},
        {"GEORADIUS k 0 0 1 m STOREDIST d", "1 7"},
        {"GEORADIUSBYMEMBER k m 1 m STORE d", "1 6"},
        {"GEORADIUSBYMEMBER_RO k STORE 1 m", "1"},
        {"MIGRATE h 1 k 0 1", "3"},
    };
    for (const Case& each : cases) {
      CAPTURE(each.request);
      CHECK(keys_of(each.request) == each.keys);
    }
  }

  TEST_CASE("a keyword's name may also be a key, a group, a consumer or a value") {
    struct Case {
      std::string_view request, keys;
    };
    const Case cases[] = {
        {"XREAD STREAMS STREAMS 0", "2"},
        {"XREAD COUNT STREAMS STREAMS a 0", "4"},
        {"XREADGROUP GROUP STREAMS STREAMS STREAMS STREAMS >", "5"},
        {"XREADGROUP COUNT 1 GROUP g STREAMS STREAMS k >", "7"},
        {"XREADGROUP GROUP BLOCK COUNT STREAMS k >", "5"},
        {"SORT STORE STORE STORE", "1 3"},
        {"SORT k GET STORE", "1"},
        {"SORT k GET STORE STORE d", "1 5"},
        {"SORT k BY STORE GET STORE", "1"},
        {"SORT k LIMIT STORE STORE", "1"},
        {"SORT k STORE a STORE b", "1 3 5"},
        {"SORT k STORE", "1"},
        {"GEORADIUS k 0 0 1 m STORE STOREDIST STOREDIST b", "1 7 9"},
        {"GEORADIUS k 0 0 1 m COUNT STORE x", "1"},
        {"GEORADIUS STORE STORE STORE STORE m", "1"},
        {"MIGRATE h 1 KEYS 0 1", "3"},
    };
    for (const Case& each : cases) {
      CAPTURE(each.request);
      CHECK(keys_of(each.request) == each.keys);
    }
  }

  TEST_CASE("arguments that do not say where the keys are get Redis' error") {
    struct Case {
      std::string_view request, error;
    };
    constexpr std::string_view kTooMany = "Number of keys can't be greater than number of args";
    constexpr std::string_view kNegative = "Number of keys can't be negative";
    constexpr std::string_view kNotANumber = "value is not an integer or out of range";
    constexpr std::string_view kNotPositive = "numkeys should be greater than 0";
    const Case cases[] = {
        {"EVAL s 2 a", kTooMany},
        {"EVAL s 4294967297 a", kTooMany},
        {"EVAL s 18446744073709551617 a", kNotANumber},
        {"EVAL s 9223372036854775807 a", kTooMany},
        {"EVAL s -9223372036854775808 a", kNegative},
        {"EVAL s -1 a", kNegative},
        {"EVALSHA s x a", kNotANumber},
        {"EVALSHA s 1x a", kNotANumber},
        {"EVAL_RO s +1 a", kNotANumber},
        {"EVAL s 01 a", kNotANumber},
        {"EVAL s -0 a", kNotANumber},
        {"EVAL s - a", kNotANumber},
        {"FCALL f x a", "Bad number of keys provided"},
        {"FCALL f 2 a", kTooMany},
        {"ZUNION 0 a", "at least 1 input key is needed for 'zunion' command"},
        {"ZDIFFSTORE d -1 a", "at least 1 input key is needed for 'zdiffstore' command"},
        {"ZINTER x a", kNotANumber},
        {"ZINTER 2 a", "syntax error"},
        {"SINTERCARD 0 a", kNotPositive},
        {"SINTERCARD x a", kNotPositive},
        {"SINTERCARD 2 a", kTooMany},
        {"LMPOP 0 a LEFT", kNotPositive},
        {"ZMPOP 3 a MIN", "syntax error"},
        {"XREAD COUNT 1 STREAMS", "syntax error"},
        {"XREAD FOO 1 STREAMS a 0", "syntax error"},
        {"XREAD COUNT 1 2", "syntax error"},
        {"XREADGROUP GROUP g STREAMS a", "syntax error"},
        {"XREAD STREAMS a b 0",
         "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."},
        {"MIGRATE h 1 k 0 1 KEYS a", "syntax error"},
    };
    for (const Case& each : cases) {
      CAPTURE(each.request);
      CHECK(keys_of(each.request) == each.error);
    }
    CHECK(keys_of(std::vector<std::string_view>{"EVAL", "s", "", "a"}) == kNotANumber);
    CHECK(keys_of(std::vector<std::string_view>{"EVAL", "s", " 1", "a"}) == kNotANumber);
  }

  TEST_CASE("any arguments give positions inside the request, ascending, or an error") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    constexpr std::string_view kWords[] = {"",   "a",     "0",    "1",       "2",     "-1",
                                           "7",  "store", "GET",  "streams", "BLOCK", "keys",
                                           "BY", "limit", "auth", "group",   "COUNT", "auth2"};
    std::vector<uint32_t> positions;
    std::vector<KeyUse> uses;
    std::string_view error;
    for (int round = 0; round < 200'000; ++round) {
      const Command& each = command_at(random() % command_count());
      std::vector<std::string_view> args(1 + random() % 10);  // Too few for the arity as well.
      for (auto& arg : args) arg = kWords[random() % std::size(kWords)];
      const bool found = find_keys(each, args, positions, error);
      if (found != error.empty()) FAIL(each.name);
      if (!std::is_sorted(positions.begin(), positions.end(), std::less_equal<>()) &&
          positions.size() > 1) {
        FAIL(each.name);
      }
      for (const uint32_t position : positions) {
        if (position == 0 || position >= args.size()) FAIL(each.name);
      }
      if (find_keys_and_flags(each, args, uses, error) != found) FAIL(each.name);
      if (uses.size() != positions.size()) FAIL(each.name);
      (void)has_block_option(each, args);
    }
  }

  TEST_CASE("the use of a key that depends on options is told from the options") {
    const auto use_of = [](std::string_view line) {
      std::vector<KeyUse> uses;
      std::string_view error;
      const auto args = words(line);
      REQUIRE(find_keys_and_flags(command_of(args), args, uses, error));
      REQUIRE(uses.size() == 1);
      return uses[0].flags;
    };
    CHECK(use_of("SET k v") == (kKeyOw | kKeyUpdate));
    CHECK(use_of("SET k get") == (kKeyOw | kKeyUpdate));
    CHECK(use_of("SET k v NX get") == (kKeyRw | kKeyAccess | kKeyUpdate));
    CHECK(use_of("BITFIELD k GET u8 0") == (kKeyRo | kKeyAccess));
    CHECK(use_of("BITFIELD k GET u8 0 SET u8 0 1") == (kKeyRw | kKeyAccess | kKeyUpdate));
    CHECK(use_of("GET k") == (kKeyRo | kKeyAccess));
  }

  TEST_CASE("BLOCK is seen where it is an option") {
    CHECK(blocks("XREAD BLOCK 0 STREAMS a $"));
    CHECK(blocks("xread count 1 block 0 streams a $"));
    CHECK(blocks("XREADGROUP GROUP g c BLOCK 0 STREAMS a >"));
    CHECK(blocks("XREAD UNKNOWN BLOCK 0 STREAMS a $"));
    CHECK(blocks("XREAD BLOCK"));
    CHECK_FALSE(blocks("XREAD STREAMS BLOCK 0"));
    CHECK_FALSE(blocks("XREAD STREAMS a BLOCK 0 0"));
    CHECK_FALSE(blocks("XREADGROUP GROUP BLOCK BLOCK STREAMS a >"));
    CHECK_FALSE(blocks("XREAD COUNT BLOCK STREAMS a 0"));
    CHECK_FALSE(blocks("GET BLOCK"));
  }
}
