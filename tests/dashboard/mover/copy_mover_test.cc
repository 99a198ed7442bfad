#include "dashboard/mover/copy_mover.h"

#include <doctest/doctest.h>

#include "dashboard/mover/route_state.h"
#include "dashboard/mover/stop_signal.h"
#include "tests/dashboard/mover/move_watcher.h"
#include "tests/dashboard/mover/redis_process.h"

namespace pikaproxy {
namespace {

const std::vector<std::string> kNoDump = {"--rename-command", "DUMP", ""};
const std::vector<std::string> kOldRestore = {"--rename-command", "RESTORE", ""};

// A value of every kind, small and large, under names that are hard to carry.
void fill_museum(RedisProcess& server) {
  const auto must = [&](const Args& args) {
    const Reply reply = server(args);
    INFO(args[0], " ", args[1], ": ", reply.text);
    REQUIRE_FALSE(reply.is_error());
  };
  must({"SET", "empty", ""});
  must({"SET", "", "the empty key"});
  must({"SET", std::string("bin\0\r\n\xff", 7), std::string("\0\x80\r\n$-1\r\n", 9)});
  must({"SET", "int", "12345678901"});
  must({"SET", "expiring", "soon", "PX", "7654321"});
  must({"SET", "large:string", std::string(5 << 20, 'x') + "end"});
  must({"EXPIRE", "large:string", "100000"});
  must({"SETBIT", "bitmap", "100000", "1"});
  must({"PFADD", "hll", "a", "b", "c"});
  must({"GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania"});
  must({"HSET", "hash", "f", "v", "", "empty field", "empty value", "", "dup", "v"});
  must({"PEXPIRE", "hash", "88888888"});
  must({"RPUSH", "list", "a", "", "a", "b", std::string("\0", 1)});
  must({"SADD", "set", "a", "", "b", "1", "2"});
  must({"SADD", "intset", "1", "2", "3"});
  must({"ZADD", "zset", "0.14285714285714285", "seventh", "-inf", "low", "inf", "high", "1e-300",
        "tiny", "123456789012345680000", "huge", "-0", "minus zero", "0.1", "",
        "0.30000000000000004", "sum"});
  for (int piece = 0; piece < 20; ++piece) {
    Args hash = {"HSET", "large:hash"};
    Args list = {"RPUSH", "large:list"};
    Args set = {"SADD", "large:set"};
    Args zset = {"ZADD", "large:zset"};
    for (int i = piece * 100; i < piece * 100 + 100; ++i) {
      const std::string n = std::to_string(i);
      hash.insert(hash.end(), {"field " + n, std::string(static_cast<size_t>(i), 'v')});
      list.push_back("element " + n);
      set.push_back("member " + n);
      zset.insert(zset.end(), {std::to_string(i / 7.0), "member " + n});
    }
    must(hash);
    must(list);
    must(set);
    must(zset);
  }
  must({"PEXPIRE", "large:zset", "99999999"});
  must({"XADD", "stream", "1-1", "f", "v", "f", "again"});
  for (int i = 2; i < 250; ++i)
    must({"XADD", "stream", std::to_string(i) + "-0", "n", std::to_string(i)});
  must({"XADD", "stream", "999-7", "gone", "gone"});
  must({"XDEL", "stream", "999-7", "17-0"});
  must({"XGROUP", "CREATE", "stream", "readers", "0"});
  must({"XGROUP", "CREATE", "stream", "idle", "$"});
  must({"XGROUP", "CREATECONSUMER", "stream", "readers", "lazy"});
  must({"XREADGROUP", "GROUP", "readers", "ann", "COUNT", "120", "STREAMS", "stream", ">"});
  must({"XREADGROUP", "GROUP", "readers", "bob", "COUNT", "5", "STREAMS", "stream", ">"});
  must({"XACK", "stream", "readers", "3-0", "4-0"});
  must({"XCLAIM", "stream", "readers", "bob", "0", "5-0", "RETRYCOUNT", "9"});
  must({"PEXPIRE", "stream", "77777777"});
  must({"XADD", "stream:emptied", "5-5", "f", "v"});
  must({"XDEL", "stream:emptied", "5-5"});
  must({"XGROUP", "CREATE", "stream:new", "g", "$", "MKSTREAM"});
}

// Everything about a key, as text that is equal for equal values.
std::string describe(RedisProcess& server, const std::string& key) {
  std::string text;
  const std::function<void(const Reply&)> show = [&](const Reply& reply) {
    text += std::to_string(static_cast<int>(reply.kind)) + ":" + std::to_string(reply.integer) +
            ":" + reply.text + "\n";
    for (const Reply& element : reply.elements) show(element);
  };
  const Reply type = server({"TYPE", key});
  show(type);
  show(server({"PEXPIRETIME", key}));
  if (type.text == "string") {
    show(server({"GET", key}));
  } else if (type.text == "list") {
    show(server({"LRANGE", key, "0", "-1"}));
  } else if (type.text == "zset") {
    show(server({"ZRANGE", key, "0", "-1", "WITHSCORES"}));
  } else if (type.text == "set") {
    Reply members = server({"SMEMBERS", key});
    std::sort(members.elements.begin(), members.elements.end(),
              [](const Reply& a, const Reply& b) { return a.text < b.text; });
    show(members);
  } else if (type.text == "hash") {
    const Reply all = server({"HGETALL", key});
    std::map<std::string, std::string> fields;
    for (size_t i = 0; i + 1 < all.elements.size(); i += 2) {
      fields[all.elements[i].text] = all.elements[i + 1].text;
    }
    for (const auto& [field, value] : fields) text += field + "=" + value + "\n";
  } else if (type.text == "stream") {
    show(server({"XRANGE", key, "-", "+"}));
    // Without the sizes of its inner tree, which depend on history.
    const Reply info = server({"XINFO", "STREAM", key});
    for (size_t i = 0; i + 1 < info.elements.size(); i += 2) {
      if (info.elements[i].text.starts_with("radix")) continue;
      show(info.elements[i]);
      show(info.elements[i + 1]);
    }
    const Reply groups = server({"XINFO", "GROUPS", key});
    show(groups);
    for (const Reply& group : groups.elements) {
      const std::string name = group.elements[1].text;
      for (const Reply& consumer : server({"XINFO", "CONSUMERS", key, name}).elements) {
        text +=
            consumer.elements[1].text + " " + std::to_string(consumer.elements[3].integer) + "\n";
      }
      for (const Reply& pending : server({"XPENDING", key, name, "-", "+", "1000"}).elements) {
        text += pending.elements[0].text + " " + pending.elements[1].text + " " +
                std::to_string(pending.elements[3].integer) + "\n";
      }
    }
  }
  return text;
}

std::map<std::string, std::string> describe_all(RedisProcess& server) {
  std::map<std::string, std::string> all;
  for (const Reply& key : server({"KEYS", "*"}).elements)
    all[key.text] = describe(server, key.text);
  return all;
}

void check_same(const std::map<std::string, std::string>& before,
                const std::map<std::string, std::string>& after) {
  CHECK(before.size() == after.size());
  for (const auto& [key, text] : before) {
    CAPTURE(key);
    const auto found = after.find(key);
    REQUIRE(found != after.end());
    if (text == found->second) continue;
    size_t at = 0;
    while (at < text.size() && at < found->second.size() && text[at] == found->second[at]) ++at;
    at = at > 60 ? at - 60 : 0;
    FAIL_CHECK(text.substr(at, 200), "\n became \n", found->second.substr(at, 200));
  }
}

}  // namespace

TEST_SUITE("dashboard/mover/copy_mover") {
  TEST_CASE("every type arrives as it was, with its expiry to the millisecond") {
    std::vector<std::string> source_options;
    std::vector<std::string> target_options;
    SUBCASE("with DUMP and RESTORE") {}
    SUBCASE("without DUMP") {
      source_options = kNoDump;
    }
    SUBCASE("without RESTORE and MEMORY") {
      target_options = kOldRestore;
      source_options = {"--rename-command", "MEMORY", ""};
    }
    RedisProcess source(source_options), target(target_options);
    fill_museum(source);
    const auto before = describe_all(source);
    MovingJob job(source.access(), target.access(), MoverKind::kCopy);
    job.engine->add_slots(1, all_slots());
    REQUIRE(job.watcher.wait_clean(all_slots()));
    CHECK(job.watcher.problem() == "");
    check_same(before, describe_all(target));
    CHECK(source.keys() == 0);
    CHECK(job.engine->progress(1).keys_moved == before.size());
  }

  TEST_CASE("what the target has under the same name was never served, and gives way") {
    std::vector<std::string> options;
    SUBCASE("with DUMP") {}
    SUBCASE("without DUMP") {
      options = kNoDump;
    }
    RedisProcess source(options), target;
    source({"HSET", "a", "f", "v"});
    target({"HSET", "a", "old", "value"});
    source({"RPUSH", "b", "1"});
    target({"SET", "b", "of another type"});
    MovingJob job(source.access(), target.access(), MoverKind::kCopy);
    job.engine->set_background(1, false);
    job.engine->add_slots(1, all_slots());
    CHECK(job.move({"a"}).moved);
    CHECK(job.move({"b"}).moved);
    CHECK(target({"HLEN", "a"}).is_integer(1));
    CHECK(target({"LLEN", "b"}).is_integer(1));
  }

  TEST_CASE("a stream with an unacknowledged entry that was deleted is refused by name") {
    RedisProcess source(kNoDump), target;
    source({"XADD", "s", "1-1", "f", "v"});
    source({"XADD", "s", "2-1", "f", "v"});
    source({"XGROUP", "CREATE", "s", "g", "0"});
    source({"XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"});
    source({"XDEL", "s", "1-1"});
    source({"SET", "other", "1"});
    MovingJob job(source.access(), target.access(), MoverKind::kCopy);
    job.engine->add_slots(1, all_slots());
    REQUIRE(job.watcher.wait_problem("acknowledge it with XACK"));
    CHECK(job.watcher.problem().find("\"s\"") != std::string::npos);
    CHECK(job.move({"other"}).moved);
    CHECK(job.move({"s"}).error.starts_with("ERR "));
    CHECK(source({"EXISTS", "s"}).is_integer(1));
    CHECK(target({"EXISTS", "s"}).is_integer(0));
    source({"XACK", "s", "g", "1-1"});
    REQUIRE(job.watcher.wait_clean({slot_of("s")}));
    CHECK(job.watcher.problem() == "");
    CHECK(target({"XLEN", "s"}).is_integer(1));
  }

  TEST_CASE("a copy whose original may be deleted stays while the source answers nothing of it") {
    // A source that was killed after it deleted the key, and is loading now, refuses like this one.
    RedisProcess source({"--rename-command", "TYPE", ""}), target;
    target({"SET", "key", "value"});
    StopSignal stop;
    MoveRoute route;
    route.source = source.access();
    route.target = target.access();
    route.mover = MoverKind::kCopy;
    RouteState state(route, "test", "1", stop);
    MoveLinks links(state);
    CopyMover mover(links, [](const std::string&) { return true; });
    state.set_unfinished(0, "key", RouteState::Attempt::kCommitting);
    std::vector<KeyResult> results(1);
    mover.move(0, {"key"}, results);
    CHECK(results[0].state == KeyResult::State::kUnknown);
    CHECK(results[0].reason.find("TYPE") != std::string::npos);
    CHECK(target({"GET", "key"}).text == "value");
    RouteState::Attempt attempt{};
    REQUIRE(state.unfinished(0, "key", attempt));
    CHECK(attempt == RouteState::Attempt::kCommitting);
    // One that was still being written was never served.
    state.set_unfinished(0, "key", RouteState::Attempt::kWriting);
    mover.move(0, {"key"}, results);
    CHECK(results[0].state == KeyResult::State::kStays);
    CHECK(target.keys() == 0);
    CHECK_FALSE(state.has_unfinished());
  }

  TEST_CASE("a target without memory keeps nothing of what it refused") {
    RedisProcess source(kNoDump), target;
    source({"SET", "large", std::string(6 << 20, 'x')});
    REQUIRE(target({"CONFIG", "SET", "maxmemory", "3mb"}).is_ok());
    MovingJob job(source.access(), target.access(), MoverKind::kCopy);
    job.engine->add_slots(1, all_slots());
    REQUIRE(job.watcher.wait_problem("OOM"));
    CHECK(job.move({"large"}).error.starts_with("OOM "));
    CHECK(job.remove(all_slots()) == "");
    CHECK(target.keys() == 0);
    CHECK(source({"STRLEN", "large"}).is_integer(6 << 20));
  }
}

}  // namespace pikaproxy
