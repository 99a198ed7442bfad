#include "common/import_twemproxy.h"

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "common/config_load.h"
#include "common/twemproxy_config.h"

using namespace pikaproxy;

namespace {

constexpr std::string_view kSmall =
    "p:\n"
    "  listen: 127.0.0.1:22121\n"
    "  redis: true\n"
    "  servers:\n"
    "   - 127.0.0.1:6379:1\n";

// kSmall with further lines in its pool.
std::string small_with(std::string_view lines) {
  std::string yaml(kSmall);
  return yaml.insert(yaml.find("  redis:"), lines);
}

// kSmall with another list of servers, one a line.
std::string with_servers(const std::vector<std::string>& servers) {
  std::string yaml(kSmall.substr(0, kSmall.find("   - ")));
  for (const std::string& server : servers) yaml += "   - " + server + "\n";
  return yaml;
}

std::string imported(const std::string& yaml, const std::string& pool = "") {
  const auto result = import_twemproxy(yaml, pool);
  if (!result) MESSAGE(result.error());
  REQUIRE(result.ok());
  return *result;
}

std::string error(const std::string& yaml, const std::string& pool = "") {
  const auto result = import_twemproxy(yaml, pool);
  REQUIRE_FALSE(result.ok());
  return result.error();
}

TwemproxyServer server(std::string_view text) {
  const auto pool = parse_twemproxy_pool(with_servers({std::string(text)}), "");
  if (!pool) MESSAGE(pool.error());
  REQUIRE(pool.ok());
  return pool->servers.at(0);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_SUITE("common/import_twemproxy") {
  TEST_CASE("a pool becomes a whole configuration") {
    CHECK(imported("beta:\n"
                   "  listen: 127.0.0.1:22122\n"
                   "  hash: murmur\n"
                   "  hash_tag: \"{}\"\n"
                   "  distribution: modula\n"
                   "  auto_eject_hosts: false\n"
                   "  timeout: 400\n"
                   "  backlog: 2048\n"
                   "  redis: true\n"
                   "  servers:\n"
                   "   - 10.0.0.1:6380:1 server1\n"
                   "   - 10.0.0.2:6381:3\n") ==
          R"(# Imported from twemproxy's pool "beta": keys stay on the servers that have them.

[proxy]
listen = ["127.0.0.1:22122"]
router = "ketama"
tcp_backlog = 2048

[backend]
# twemproxy's one timeout is for both.
connect_timeout = "400ms"
request_timeout = "400ms"

[ketama]
hash = "murmur"
distribution = "modula"
hash_tag = "{}"

# Keys are placed by ketama_name and weight: when a server moves to another address, change only
# "server".

[[group]]
name = "server1"
server = "10.0.0.1:6380"
ketama_name = "server1"
weight = 1

[[group]]
name = "10.0.0.2-6381"
server = "10.0.0.2:6381"
ketama_name = "10.0.0.2:6381"
weight = 3
)");
  }

  TEST_CASE("what is imported is a configuration that loads, with the same values") {
    std::string yaml = small_with(
        "  hash: hsieh\n  hash_tag: '\\\"'\n  timeout: 90000000\n  backlog: 70000\n  redis_db: 20\n"
        "  tcpkeepalive: false\n  redis_auth: \"a'\\\"\\\\\\tb\\x7F\u00e9#\"\n");
    yaml += "   - /run/redis.sock:1000000 Z\u00fcrich/1\n   - fd00::1:6379:3\n";
    yaml.replace(yaml.find("127.0.0.1:22121"), 15, "/tmp/x.sock 0660");
    CAPTURE(yaml);
    const LoadResult result = load_config_text(imported(yaml), {});
    CAPTURE(result.problems_text());
    REQUIRE(result.ok());
    CHECK(result.loaded->warnings.empty());
    const Config& config = result.loaded->config;
    CHECK(config.proxy.listen == std::vector<Address>{Address{"", 0, "/tmp/x.sock"}});
    CHECK(config.proxy.unix_mode == 0660);
    CHECK(config.proxy.router == RouterKind::kKetama);
    CHECK(config.proxy.tcp_backlog == 65'535);
    CHECK(config.proxy.databases == 21);
    CHECK(config.proxy.tcp_keepalive == Milliseconds(0));
    CHECK(config.backend.connect_timeout == std::chrono::hours(1));
    CHECK(config.backend.request_timeout == std::chrono::hours(24));
    CHECK(config.ketama.hash == "hsieh");
    CHECK(config.ketama.distribution == "ketama");
    CHECK(config.ketama.hash_tag == "\\\"");
    const std::string password = "a'\"\\\tb\x7F\u00e9#";
    CHECK(config.auth.password == password);
    REQUIRE(config.groups.size() == 3);
    CHECK(config.groups[1].server.to_string() == "unix:/run/redis.sock");
    CHECK(config.groups[1].ketama_name == "Z\u00fcrich/1");
    CHECK(config.groups[1].weight == 1'000'000);
    CHECK(config.groups[1].password == password);
    CHECK(config.groups[2].server.to_string() == "[fd00::1]:6379");
    CHECK(config.groups[2].ketama_name == "fd00::1:6379");
  }

  TEST_CASE("what is not said is what twemproxy assumes") {
    const std::string toml = imported(std::string(kSmall));
    CHECK(contains(toml, "hash = \"fnv1a_64\"\ndistribution = \"ketama\"\n"));
    CHECK_FALSE(contains(toml, "hash_tag"));
    CHECK_FALSE(contains(toml, "password"));
    CHECK_FALSE(contains(toml, "[backend]"));
    CHECK(contains(toml, "# - timeout: none"));
  }

  TEST_CASE("a server's name is what twemproxy hashes") {
    struct Case {
      std::string_view text;
      std::string_view name;
      std::string_view address;
      uint32_t weight;
    };
    constexpr Case kCases[] = {
        {"10.0.0.1:6379:1", "10.0.0.1:6379", "10.0.0.1:6379", 1},
        {"10.0.0.1:6379:7 one", "one", "10.0.0.1:6379", 7},
        {"10.0.0.1:11211:1", "10.0.0.1", "10.0.0.1:11211", 1},
        {"10.0.0.1:11211:1 10.0.0.1:11211", "10.0.0.1:11211", "10.0.0.1:11211", 1},
        {"10.0.0.1:06379:01", "10.0.0.1:06379", "10.0.0.1:6379", 1},
        {"redis.example:6379:2147483647", "redis.example:6379", "redis.example:6379", 2147483647},
        {"fd00::1:6379:1", "fd00::1:6379", "[fd00::1]:6379", 1},
        {"/run/redis.sock:2", "/run/redis.sock:", "unix:/run/redis.sock", 2},
        {"/run/redis.sock:2 one", "one", "unix:/run/redis.sock", 2},
        {"10.0.0.1:6379:1 a:b", "a:b", "10.0.0.1:6379", 1},
    };
    for (const Case& c : kCases) {
      CAPTURE(c.text);
      const TwemproxyServer read = server(c.text);
      CHECK(read.name == c.name);
      CHECK(read.address.to_string() == c.address);
      CHECK(read.weight == c.weight);
    }
  }

  TEST_CASE("the password goes to clients and servers, escaped, with a warning") {
    const std::string toml = imported(small_with("  redis_auth: 'a\"b\\c#\u00e9 x'\n"));
    CHECK(contains(toml, "[auth]\n"));
    CHECK(contains(toml, "chmod 600"));
    const std::string line = "\npassword = \"a\\\"b\\\\c#\u00e9 x\"\n";
    const size_t first = toml.find(line);
    REQUIRE(first != std::string::npos);
    CHECK(toml.find(line, first + 1) > toml.find("[[group]]"));
    CHECK(toml.find(line, first + 1) != std::string::npos);
  }

  TEST_CASE("control characters are escaped and end no comment") {
    const std::string toml = imported(
        "\"p\\n[proxy]\":\n  listen: /a\n  redis: true\n"
        "  redis_auth: \"x\\n\\ty\\x7f\"\n"
        "  servers:\n  - \"h:1:1 n\\nm\"\n");
    CHECK(contains(toml, "pool \"p\\n[proxy]\""));
    CHECK(contains(toml, "password = \"x\\n\\ty\\u007F\"\n"));
    CHECK(contains(toml, "ketama_name = \"n\\nm\"\n"));
    CHECK(contains(toml, "name = \"n-m\"\n"));
  }

  TEST_CASE("addresses to listen on keep their meaning") {
    const auto listen = [](std::string_view text) {
      std::string yaml(kSmall);
      return imported(yaml.replace(yaml.find("127.0.0.1:22121"), 15, text));
    };
    CHECK(contains(listen("0.0.0.0:22121"), "listen = [\"0.0.0.0:22121\"]"));
    CHECK(contains(listen("\":22121\""), "listen = [\"0.0.0.0:22121\"]"));
    CHECK(contains(listen("\"::1:22121\""), "listen = [\"[::1]:22121\"]"));
    CHECK(contains(listen("/tmp/x.sock"), "listen = [\"unix:/tmp/x.sock\"]\nrouter"));
    CHECK(contains(listen("/tmp/x.sock 0666"),
                   "listen = [\"unix:/tmp/x.sock\"]\nunix_mode = \"0666\"\n"));
  }

  TEST_CASE("what has no counterpart is explained") {
    const std::string toml = imported(
        small_with("  auto_eject_hosts: true\n  server_retry_timeout: 2000\n"
                   "  server_failure_limit: 1\n  server_connections: 4\n  preconnect: true\n"
                   "  client_connections: 100\n  tcpkeepalive: true\n  reuseport: true\n"
                   "  redis_db: 3\n  timeout: 90000000\n  backlog: 0\n"));
    CHECK(contains(toml, "- auto_eject_hosts: pikaproxy never takes a server off the ring"));
    for (const std::string_view note :
         {"server_retry_timeout, server_failure_limit:", "server_connections:", "preconnect:",
          "client_connections:", "tcpkeepalive:", "reuseport:", "SELECT 3", "timeout: cut to",
          "backlog:"}) {
      CAPTURE(note);
      CHECK(contains(toml, note));
    }
    CHECK(contains(toml, "connect_timeout = \"3600000ms\"\nrequest_timeout = \"86400000ms\"\n"));
    CHECK(contains(toml, "tcp_backlog = 1\n"));
    CHECK_FALSE(contains(toml, "databases"));
    CHECK(contains(imported(small_with("  redis_db: 16\n")), "\ndatabases = 17\n"));
    CHECK(contains(imported(small_with("  tcpkeepalive: false\n")), "\ntcp_keepalive = \"0\"\n"));
    for (size_t start = 0; start < toml.size();) {
      const size_t end = toml.find('\n', start);
      CHECK(end - start <= 100);
      start = end + 1;
    }
  }

  TEST_CASE("groups get different names of allowed letters") {
    const std::string long_name(70, 'n');
    const std::string toml =
        imported(with_servers({"h:1:1 a/b", "h:2:1 a-b", "h:3:1 a:b", "h:4:1 " + long_name,
                               "h:5:1 " + long_name + "x", "/a-b:1"}));
    for (const std::string& name :
         {std::string("a-b"), std::string("a-b-2"), std::string("a-b-3"), std::string(64, 'n'),
          std::string(62, 'n') + "-2", std::string("unix--a-b")}) {
      CAPTURE(name);
      CHECK(contains(toml, "\nname = \"" + name + "\"\n"));
    }
  }

  TEST_CASE("one of several pools is imported by its name") {
    const std::string two =
        std::string(kSmall) + "q:\n  listen: 127.0.0.1:1\n  servers:\n  - h:1:1\n";
    CHECK(contains(imported(two, "p"), "pool \"p\""));
    CHECK(error(two).ends_with("--pool NAME: \"p\", \"q\"."));
    CHECK(error(two, "r") == "The file has no pool \"r\"; it has \"p\", \"q\".");
    CHECK(contains(error(two, "q"), "is for memcached"));
  }

  TEST_CASE("what twemproxy refuses is refused, with the line") {
    struct Case {
      std::string yaml;
      std::string_view part;
    };
    const Case cases[] = {
        {"", "not twemproxy's configuration"},
        {"just words", "not twemproxy's configuration"},
        {"- a\n- b\n", "not twemproxy's configuration"},
        {"," + std::string(kSmall), "not twemproxy's configuration"},
        {"p:\n", "has no options"},
        {"p: {listen: [1}\n", "Line 1: the file is not valid YAML"},
        {std::string(kSmall) + "---\n" + std::string(kSmall),
         "Line 6: \"---\" begins a YAML document"},
        {std::string(kSmall) + "# \xFF\n", "not UTF-8"},
        {std::string(kSmall) + "# \xC0\x80\n", "not UTF-8"},
        {"p:\n  redis: true\n  servers:\n  - h:1:1\n", "has no \"listen\""},
        {"p:\n  redis: true\n  listen: h:1\n", "has no \"servers\""},
        {"p:\n  redis: false\n  listen: h:1\n  servers:\n  - h:1:1\n", "is for memcached"},
        {small_with("  hsh: md5\n"), "Line 3: twemproxy has no option \"hsh\""},
        {small_with("  timeout: 1\n  timeout: 1\n"),
         "Line 4: the option \"timeout\" is there twice"},
        {small_with("  timeout: -1\n"), "Line 3: timeout must be a whole number"},
        {small_with("  timeout: 4294967297\n"), "timeout must be a whole number"},
        {small_with("  timeout: 5s\n"), "not \"5s\""},
        {small_with("  timeout:\n"), "the option \"timeout\" needs a value"},
        {small_with("  redis_auth: ''\n"), "the option \"redis_auth\" needs a value"},
        {small_with("  redis_auth: [a, b]\n"), "the option \"redis_auth\" needs a value"},
        {small_with("  preconnect: yes\n"), "preconnect must be true or false, not \"yes\""},
        {small_with("  hash: sha1\n"), "hash must be one of one_at_a_time, md5, crc16"},
        {small_with("  distribution: ring\n"), "must be one of ketama, modula, random"},
        {small_with("  hash_tag: \"{\"\n"), "hash_tag must have two characters"},
        {with_servers({"h:1"}), "lacks its port or its weight"},
        {with_servers({"h"}), "has no weight"},
        {with_servers({"h:1:0"}), "has a weight that is not"},
        {with_servers({"h:1:x"}), "has a weight that is not"},
        {with_servers({"h:1:1  two"}), "has a weight that is not"},
        {with_servers({"h:1:2147483648"}), "has a weight that is not"},
        {with_servers({"h:0:1"}), "is not a port"},
        {with_servers({"h:65536:1"}), "is not a port"},
        {with_servers({"\":1:1\""}), "has no host"},
        {with_servers({"\"h:1:1 \""}), "ends in a space"},
        {with_servers({"/a:b:1"}), "has a colon in its path"},
        {with_servers({"h:1:1", "h:1:2"}), "Line 6: two servers have the name \"h:1\""},
        {with_servers({"h:1:1 n", "i:1:2 n"}), "Line 6: two servers have the name \"n\""},
        {with_servers({"[h, i]"}), "a server must be one line of text"},
        {"p:\n  redis: true\n  listen: h:1\n  servers: h:1:1\n", "servers must be a list"},
        {"p:\n  redis: true\n  listen: h\n  servers:\n  - h:1:1\n", "listen must be"},
        {"p:\n  redis: true\n  listen: h:0\n  servers:\n  - h:1:1\n", "is not a port"},
        {"p:\n  redis: true\n  listen: /a 1777\n  servers:\n  - h:1:1\n", "is not a mode"},
        {"p:\n  redis: true\n  listen: /a rw\n  servers:\n  - h:1:1\n", "is not a mode"},
    };
    for (const Case& c : cases) {
      CAPTURE(c.yaml);
      const std::string message = error(c.yaml);
      CAPTURE(message);
      CHECK(contains(message, c.part));
      CHECK(message.ends_with('.'));
    }
  }

  TEST_CASE("errors never repeat the password") {
    CHECK_FALSE(
        contains(error(small_with("  redis_auth: geheim\n  redis_auth: geheim\n")), "geheim"));
    CHECK_FALSE(contains(error(small_with("  redis_auth: [geheim]\n")), "geheim"));
    CHECK_FALSE(contains(error("p:\n  redis_auth: geheim\n  redis: true\n"), "geheim"));
  }

  TEST_CASE("damaged files end in a result, never in an exception") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    const std::string whole = small_with("  redis_auth: \"x\\ty\"\n  hash_tag: '{}'\n");
    for (int round = 0; round < 3000; ++round) {
      std::string yaml = whole;
      for (size_t edits = 1 + random() % 4; edits > 0; --edits) {
        const size_t at = random() % yaml.size();
        switch (random() % 3) {
          case 0:
            yaml[at] = static_cast<char>(random());
            break;
          case 1:
            yaml.insert(at, 1, "\n:-\"'{}[]&*!|>%@` #,?"[random() % 21]);
            break;
          default:
            yaml.erase(at, 1 + random() % 5);
            if (yaml.empty()) yaml = "x";
            break;
        }
      }
      (void)import_twemproxy(yaml, random() % 2 == 0 ? "" : "p").ok();
    }
  }
}
