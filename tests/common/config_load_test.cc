#include "common/config_load.h"

#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/config_check.h"
#include "common/option_table.h"
#include "common/user_rules.h"
#include "tests/common/temporary_directory.h"

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

constexpr char kTwoGroups[] = R"(
[[group]]
name = "g1"
server = "10.0.0.1:9221"
slots = "0-511"
[[group]]
name = "g2"
server = "10.0.0.2:9221"
slots = "512-1023"
)";

ConfigSources sources_of(const std::string& file = "x.toml") {
  ConfigSources sources;
  sources.file = file;
  return sources;
}

LoadResult load(const std::string& text) {
  return load_config_text(text, sources_of());
}

LoadedConfig loaded(const std::string& text) {
  LoadResult result = load(text);
  REQUIRE_MESSAGE(result.ok(), result.problems_text());
  return std::move(*result.loaded);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Every text has exactly one problem, and it begins and goes on as said.
struct Refused {
  std::string text;
  std::string where;
  std::string part;
};

void check_refused(const std::vector<Refused>& cases) {
  for (const Refused& c : cases) {
    CAPTURE(c.text);
    const LoadResult result = load(c.text);
    CAPTURE(result.problems_text());
    REQUIRE(result.problems.size() == 1);
    CHECK_FALSE(result.ok());
    CHECK(result.problems[0].where == c.where);
    CHECK(contains(result.problems[0].message, c.part));
  }
}

bool has_warning(const LoadedConfig& config, const std::string& part) {
  for (const std::string& warning : config.warnings) {
    if (contains(warning, part)) return true;
  }
  return false;
}

}  // namespace

TEST_SUITE("common/config_load") {
  TEST_CASE("an empty file is the defaults") {
    const LoadedConfig config = loaded("");
    CHECK(config.config == Config());
    CHECK(config.warnings.empty());
  }

  TEST_CASE("without groups and without a dashboard nothing is served, which is said") {
    const LoadedConfig config = loaded("[dashboard]\nenabled = false\n");
    CHECK(has_warning(config, "no [[group]]"));
    CHECK(config.warnings.size() == 1);
  }

  TEST_CASE("no file at all is the defaults") {
    const LoadResult result = load_config(ConfigSources());
    REQUIRE(result.ok());
    CHECK(result.loaded->config == Config());
  }

  TEST_CASE("options, groups and users are read") {
    const LoadedConfig config = loaded(std::string(R"(
      [proxy]
      listen = ["127.0.0.1:7000", "unix:/run/p.sock"]
      unix_mode = 0o770
      workers = 2
      bulk_max = 1048576
      client_idle_timeout = "5m"
      [slowlog]
      slower_than = -1
      [log]
      level = "debug"
      [admin]
      enabled = false
      [auth]
      password = "s"
      [[user]]
      name = "app"
      password = "t"
      admin = true
      )") + kTwoGroups);
    const Config& c = config.config;
    CHECK(c.proxy.listen == std::vector<Address>{{"127.0.0.1", 7000, ""}, {"", 0, "/run/p.sock"}});
    CHECK(c.proxy.unix_mode == 0770);
    CHECK(c.proxy.workers == 2);
    CHECK(c.proxy.bulk_max == 1 << 20);
    CHECK(c.proxy.client_idle_timeout == 5min);
    CHECK(c.slowlog.slower_than < 0us);
    CHECK(c.log.level == LogLevel::kDebug);
    CHECK_FALSE(c.admin.enabled);
    CHECK(c.auth.password == "s");
    CHECK(c.users == std::vector<UserConfig>{{"app", {hash_password("t")}, true}});
    REQUIRE(c.groups.size() == 2);
    CHECK(c.groups[1].name == "g2");
    CHECK(c.groups[1].server == Address{"10.0.0.2", 9221, ""});
    CHECK(c.groups[1].slots == std::vector<SlotRange>{{512, 1023}});
    CHECK(config.warnings.empty());
    CHECK(config.source_of("proxy.workers") == Source::kFile);
    CHECK(config.source_of("proxy.databases") == Source::kDefault);
    CHECK(config.origins.at("proxy.workers").where == "x.toml:5:17");
  }

  TEST_CASE("a flag outranks the environment, which outranks the file") {
    ConfigSources sources = sources_of();
    sources.environment = {{"PIKAPROXY_PROXY_WORKERS", "3"}, {"PIKAPROXY_PROXY_DATABASES", "30"}};
    sources.flags = {{"proxy.workers", "4"}, {"proxy.workers", "5"}};
    const LoadResult result =
        load_config_text("[proxy]\nworkers = 2\ndatabases = 20\nmax_clients = 200\n", sources);
    REQUIRE_MESSAGE(result.ok(), result.problems_text());
    const LoadedConfig& config = *result.loaded;
    CHECK(config.config.proxy.workers == 5);
    CHECK(config.source_of("proxy.workers") == Source::kFlag);
    CHECK(config.config.proxy.databases == 30);
    CHECK(config.source_of("proxy.databases") == Source::kEnvironment);
    CHECK(config.config.proxy.max_clients == 200);
    CHECK(config.source_of("proxy.max_clients") == Source::kFile);
  }

  TEST_CASE("every option can be set by its variable and by its flag") {
    for (const Option& option : options()) {
      if (option.type == OptionType::kSecretFile) continue;
      CAPTURE(option.name);
      const std::string text = get_option(Config(), option);
      ConfigSources environment;
      environment.environment[environment_name(option)] = text;
      const LoadResult by_variable = load_config(environment);
      REQUIRE_MESSAGE(by_variable.ok(), by_variable.problems_text());
      CHECK(by_variable.loaded->source_of(option.name) == Source::kEnvironment);
      ConfigSources flags;
      flags.flags.push_back({std::string(option.name), text});
      const LoadResult by_flag = load_config(flags);
      REQUIRE_MESSAGE(by_flag.ok(), by_flag.problems_text());
      CHECK(by_flag.loaded->source_of(option.name) == Source::kFlag);
    }
  }

  TEST_CASE("a mistyped variable is a warning, and one that Kubernetes makes is nothing") {
    ConfigSources sources;
    sources.environment = {{"PIKAPROXY_LOG_LEVL", "debug"},
                           {"PIKAPROXY_PORT", "tcp://10.0.0.1:80"},
                           {"PIKAPROXY_PORT_19000_TCP_ADDR", "10.0.0.1"},
                           {"PIKAPROXY_SERVICE_HOST", "10.0.0.1"},
                           {"OTHER_LOG_LEVEL", "x"}};
    const LoadResult result = load_config(sources);
    REQUIRE(result.ok());
    REQUIRE(result.loaded->warnings.size() == 1);
    CHECK(contains(result.loaded->warnings[0], "Did you mean \"PIKAPROXY_LOG_LEVEL\"?"));
  }

  TEST_CASE("problems of all sources are reported at once, each with its place") {
    ConfigSources sources = sources_of();
    sources.environment = {{"PIKAPROXY_LOG_LEVEL", "loud"}};
    sources.flags = {{"proxy.workers", "many"}};
    const LoadResult result = load_config_text(
        "[proxy]\nmax_clients = 0\nrouter = 'x'\n[backends]\n[[group]]\nname = 'a b'\n", sources);
    CHECK_FALSE(result.ok());
    const std::string text = result.problems_text();
    CAPTURE(text);
    CHECK(result.problems.size() == 7);
    for (const char* part :
         {"x.toml:2:15: proxy.max_clients must be 1 to 1000000", "x.toml:3:10: proxy.router",
          "x.toml:4:2: unknown section \"backends\". Did you mean \"backend\"?",
          "x.toml:5:1: [[group]] \"a b\" has no server", "x.toml:5:1: [[group]] \"a b\": a name is",
          "PIKAPROXY_LOG_LEVEL: log.level must be", "--proxy.workers: proxy.workers must be"}) {
      CHECK_MESSAGE(contains(text, part), part);
    }
  }

  TEST_CASE("what is not TOML is refused with its place") {
    check_refused({
        {"[proxy\n", "x.toml:1:7", "not TOML"},
        {"[proxy]\nworkers\n", "x.toml:2:8", "not TOML"},
        {"[proxy]\nbulk_max = 64mb\n", "x.toml:2:14", "need quotes"},
        {"[proxy]\nlisten = 127.0.0.1:1\n", "x.toml:2:12", "need quotes"},
        {"[log]\nlevel = off\n", "x.toml:2:9", "need quotes"},
        {"[admin]\nenabled = tru\n", "x.toml:2:14", "saw 'tru\\n'"},
        {"[proxy]\nworkers = 1\nworkers = 2\n", "x.toml:3:11", "redefine"},
        {"[log]\nfile = \"\xFF\"\n", "x.toml:2:8", "not TOML"},
        {std::string("\0", 1), "x.toml:1:1", "not TOML"},
    });
  }

  TEST_CASE("unknown sections and options are refused with a suggestion") {
    check_refused({
        {"[prxy]\n", "x.toml:1:2", "Did you mean \"proxy\"?"},
        {"[cluster]\n", "x.toml:1:2", "There are: user, group, listener, zone, proxy"},
        {"[[groups]]\n", "x.toml:1:3", "Did you mean \"group\"?"},
        {"[proxy]\nworkrs = 1\n", "x.toml:2:1", "Did you mean \"workers\"?"},
        {"[proxy]\npassword = 'x'\n", "x.toml:2:1", "Did you mean \"auth.password\"?"},
        {"[backend]\nlisten = 'x'\n", "x.toml:2:1",
         "Did you mean \"proxy.listen\" or \"admin.listen\"?"},
        {"[proxy]\ncolour = 'red'\n", "x.toml:2:1", "--help"},
        {"workers = 1\n", "x.toml:1:1", "Did you mean \"proxy.workers\"?"},
        {"colour = 1\n", "x.toml:1:1", "below its section"},
        {"[proxy.workers]\n", "x.toml:1:1", "not a table"},
        {"[group]\nname = 'g'\n", "x.toml:1:2", "[[group]]"},
        {"user = 'joe'\n", "x.toml:1:1", "[[user]]"},
        {"[[proxy]]\nworkers = 1\n", "x.toml:1:3", "write [proxy]"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nslot = '1'\n", "x.toml:4:1",
         "Did you mean \"slots\"?"},
        {"[[user]]\nname = 'u'\npassword = 'p'\nrole = 'x'\n", "x.toml:4:1",
         "There are: name, password, password_file, passwords"},
    });
  }

  TEST_CASE("a value of the wrong kind is refused") {
    check_refused({
        {"[proxy]\nworkers = \"4\"\n", "x.toml:2:11", "without quotes"},
        {"[proxy]\nworkers = 4.0\n", "x.toml:2:11", "fraction"},
        {"[proxy]\nlisten = 19000\n", "x.toml:2:10", "array of addresses"},
        {"[proxy]\nlisten = [1]\n", "x.toml:2:10", "array of addresses"},
        {"[proxy]\nlisten = []\n", "x.toml:2:10", "at least one"},
        {"[proxy]\nunix_mode = 700\n", "x.toml:2:13", "octal"},
        {"[proxy]\nclient_idle_timeout = 30\n", "x.toml:2:23", "\"30s\" or \"30ms\""},
        {"[proxy]\nbulk_max = -1\n", "x.toml:2:12", "not a size"},
        {"[proxy]\nbulk_max = true\n", "x.toml:2:12", "such as \"64mb\""},
        {"[admin]\nenabled = 1\n", "x.toml:2:11", "true or false"},
        {"[log]\nlevel = 2020-01-01\n", "x.toml:2:9", "a date or time"},
        {"[[user]]\nname = 'u'\npassword = 'p'\nadmin = 'yes'\n", "x.toml:4:9", "true or false"},
        {"[[user]]\nname = 'u'\npassword = 1\n", "x.toml:3:12", "string in quotes"},
    });
  }

  TEST_CASE("limits that contradict each other are refused") {
    check_refused({
        {"[proxy]\nbulk_max = '2gb'\n", "x.toml:2:12",
         "proxy.bulk_max (2gb) must not be more than proxy.request_max (1gb)"},
        {"[proxy]\nrequest_max = '100mb'\n", "x.toml:2:15",
         "proxy.bulk_max (512mb) must not be more than proxy.request_max (100mb)"},
        {"[proxy]\nmemory_max = '900mb'\n", "x.toml:2:14",
         "proxy.request_max (1gb) must not be more than proxy.memory_max (900mb)"},
        {"[backend]\nreconnect_min = '1s'\n", "x.toml:2:17",
         "backend.reconnect_min (1s) must not be more than backend.reconnect_max (500ms)"},
        {"[proxy]\nlisten = ['a:1', 'b:1', 'a:1']\n", "x.toml:2:10", "\"a:1\" twice"},
        {"[proxy]\nlisten = '127.0.0.1:19001'\n", "x.toml:2:10", "another port"},
        {"[ketama]\nhash_tag = '{'\n", "x.toml:2:12", "two characters"},
    });
  }

  TEST_CASE("a value that was refused is not compared with others") {
    // The default of bulk_max would be more than this request_max.
    check_refused(
        {{"[proxy]\nbulk_max = '1mbb'\nrequest_max = '2mb'\n", "x.toml:2:12", "not a size"}});
  }

  TEST_CASE("any free port may be listened on twice") {
    CHECK(loaded("[proxy]\nlisten = ['127.0.0.1:0', '127.0.0.1:0']\n").config.proxy.listen.size() ==
          2);
  }

  TEST_CASE("groups that cannot work are refused") {
    check_refused({
        {"[[group]]\nserver = 'h:1'\n", "x.toml:1:1", "has no name"},
        {"[[group]]\nname = 'g'\n", "x.toml:1:1", "has no server"},
        {"[[group]]\nname = 'g'\nserver = 'h'\n", "x.toml:3:10", "port is missing"},
        {"[[group]]\nname = 'g'\nserver = 'h:0'\n", "x.toml:3:10", "port 0"},
        {"[[group]]\nname = 'g 1'\nserver = 'h:1'\n", "x.toml:1:1", "letters, digits"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\n[[group]]\nname = 'g'\nserver = 'h:2'\n",
         "x.toml:4:1", "\"g\" is there twice"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nuser = 'u'\n", "x.toml:1:1", "no password"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nslots = '0-1024'\n", "x.toml:4:9",
         "1024 is beyond the last slot"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nslots = ['9-3']\n", "x.toml:4:10",
         "ends before it begins"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nslots = [-1]\n", "x.toml:4:10",
         "not a slot range"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nslots = 1.5\n", "x.toml:4:9", "must be"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nslots = ['0-9', 5]\n", "x.toml:4:9",
         "more than once"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\nweight = 0\n", "x.toml:4:10", "from 1 to"},
    });
  }

  TEST_CASE("slots in two groups are refused with both groups and the slots") {
    check_refused({{R"([[group]]
name = "a"
server = "h:1"
slots = ["0-100", "200-300"]
[[group]]
name = "b"
server = "h:2"
slots = ["50-60", "100-200"]
)",
                    "x.toml:8:9", "groups \"a\" and \"b\" both have slots 50-60,100,200"}});
  }

  TEST_CASE("slots are written in many ways") {
    const auto slots = [](const std::string& text) {
      return loaded("[[group]]\nname = 'g'\nserver = 'h:1'\nslots = " + text + "\n")
          .config.groups[0]
          .slots;
    };
    CHECK(slots("'0-341'") == std::vector<SlotRange>{{0, 341}});
    CHECK(slots("7") == std::vector<SlotRange>{{7, 7}});
    CHECK(slots("['0-99', '200', 300]") == std::vector<SlotRange>{{0, 99}, {200, 200}, {300, 300}});
    CHECK(slots("'300, 0-99, 100'") == std::vector<SlotRange>{{0, 100}, {300, 300}});
    CHECK(slots("[]").empty());
  }

  TEST_CASE("what works but may surprise is a warning") {
    CHECK(has_warning(loaded("[[group]]\nname = 'g'\nserver = 'h:1'\nslots = '0-1000'\n"),
                      "slots 1001-1023 belong to no group"));
    CHECK(has_warning(loaded("[[group]]\nname = 'g'\nserver = 'h:1'\n"), "has no slots"));
    CHECK(has_warning(loaded("[[group]]\nname = 'g'\nserver = 'h:1'\nweight = 2\n"),
                      "weight and ketama_name do nothing"));
    CHECK(has_warning(loaded("[[group]]\nname = 'g'\nserver = 'h:1'\nslots = 1\n"
                             "[[group]]\nname = 'k'\nserver = 'h:1'\nslots = 2\n"),
                      "same server"));
  }

  TEST_CASE("listening for other machines without a password is a warning") {
    for (const char* address : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1"}) {
      CAPTURE(address);
      const std::string text = "[proxy]\nlisten = '" + std::string(address) + "'\n" + kTwoGroups;
      CHECK(has_warning(loaded(text), "no password is set"));
      CHECK(loaded(text + "[auth]\npassword = 'x'\n").warnings.empty());
      CHECK(loaded(text + "[[user]]\nname = 'u'\npassword = 'x'\n").warnings.empty());
    }
    for (const char* address : {"127.0.0.2:1", "[::1]:1", "localhost:1", "unix:/x"}) {
      CAPTURE(address);
      CHECK(loaded("[proxy]\nlisten = '" + std::string(address) + "'\n" + kTwoGroups)
                .warnings.empty());
    }
  }

  TEST_CASE("a ring needs groups that differ in name and have no slots") {
    const std::string ring = "[proxy]\nrouter = 'ketama'\n";
    CHECK(loaded(ring + "[[group]]\nname = 'a'\nserver = 'h:1'\nweight = 3\n"
                        "[[group]]\nname = 'b'\nserver = 'h:2'\n")
              .warnings.empty());
    check_refused({
        {ring, "x.toml:2:10", "needs at least one [[group]]"},
        {ring + "[[group]]\nname = 'a'\nserver = 'h:1'\nslots = '1'\n", "x.toml:6:9",
         "\"ketama\" does not use"},
        {ring + "[[group]]\nname = 'a'\nserver = 'h:1'\nketama_name = 'x'\n"
                "[[group]]\nname = 'b'\nserver = 'h:2'\nketama_name = 'x'\n",
         "x.toml:7:1", "are both \"x\" on the ring"},
    });
  }

  TEST_CASE("users that cannot work are refused") {
    check_refused({
        {"[[user]]\npassword = 'p'\n", "x.toml:1:1", "no name"},
        {"[[user]]\nname = 'a b'\npassword = 'p'\n", "x.toml:1:1", "without spaces"},
        {"[[user]]\nname = 'u'\n", "x.toml:1:1", "no password"},
        {"[auth]\npassword = 'p'\n[[user]]\nname = 'default'\npassword = 'p'\n", "x.toml:3:1",
         "auth.password"},
        {"[[user]]\nname = 'u'\npasswords = ['p', 'q', 'r']\n", "x.toml:1:1", "more than 2"},
        {"[[user]]\nname = 'u'\npasswords = ['p', '']\n", "x.toml:3:13", "is empty"},
        {"[[user]]\nname = 'u'\npassword = 'p'\npasswords = ['q']\n", "x.toml:1:1", "give one of"},
        {"[[user]]\nname = 'u'\npassword_files = ['/nowhere']\n", "x.toml:3:18", "password_files"},
        {"[[user]]\nname = 'u'\npassword = 'p'\ncommands = '+@raed'\n", "x.toml:1:1",
         "Did you mean \"read\""},
        {"[[user]]\nname = 'u'\npassword = 'p'\nkeys = ['']\n", "x.toml:1:1", "matches no key"},
        {"[[user]]\nname = 'u'\npassword = 'p'\nread_from = 'x'\n", "x.toml:4:13",
         "prefer_replica"},
        {"[[user]]\nname = 'u'\npassword = 'p'\nreplica_max_lag = '1ms'\n", "x.toml:4:19",
         "replica_max_lag"},
        {"[[user]]\nname = 'u'\npassword = 'p'\n[[user]]\nname = 'u'\npassword = 'q'\n",
         "x.toml:4:1", "there twice"},
    });
  }

  TEST_CASE("what a user may do is read as it is written") {
    const UserConfig user = loaded(R"(
      [[user]]
      name = "u"
      passwords = ["old", "new"]
      enabled = false
      commands = "+@read -keys"
      keys = ["a*", "%R~b*"]
      channels = []
      read_only = true
      read_from = "nearest"
      replica_max_lag = "500ms"
      )" + std::string(kTwoGroups))
                                .config.users[0];
    CHECK(user.passwords == std::vector<std::string>{hash_password("old"), hash_password("new")});
    CHECK_FALSE(user.enabled);
    CHECK(user.commands == "+@read -keys");
    CHECK(user.keys == std::vector<std::string>{"a*", "%R~b*"});
    CHECK(user.channels.empty());
    CHECK(user.read_only);
    CHECK(user.reads == ReadPolicy{ReadFrom::kNearest, 500ms});
  }

  TEST_CASE("listeners and zones that cannot work are refused") {
    check_refused({
        {"[[listener]]\nread_from = 'master'\n", "x.toml:1:1", "no address"},
        {"[[listener]]\naddress = 'x'\n", "x.toml:2:11", "address"},
        {"[proxy]\nlisten = ['h:1']\n[[listener]]\naddress = 'h:1'\n", "x.toml:3:1",
         "listened on already"},
        {"[[listener]]\naddress = 'h:1'\nread_from = 'x'\n", "x.toml:3:13", "prefer_replica"},
        {"[[zone]]\nservers = ['10.1.*']\n", "x.toml:1:1", "no name"},
        {"[[zone]]\nname = 'z'\n", "x.toml:1:1", "no servers"},
        {"[[zone]]\nname = 'z'\nservers = ['a']\n[[zone]]\nname = 'z'\nservers = ['b']\n",
         "x.toml:4:1", "there twice"},
        {"[proxy]\nzone = 'z'\n", "x.toml:2:8", "no [[zone]]"},
    });
  }

  TEST_CASE("how a listener's clients read can change while it runs, its address cannot") {
    Config running = loaded(kTwoGroups).config;
    running.listeners = {{Address{"h", 1, ""}, {}}};
    Config changed = running;
    changed.listeners[0].reads.read_from = ReadFrom::kReplica;
    changed.zones = {{"z", {"10.*"}}};
    CHECK(apply_reloadable(running, changed) == changed);
    changed = running;
    changed.listeners[0].address.port = 2;
    CHECK(apply_reloadable(running, changed) == running);
    CHECK_FALSE(differing_options(running, changed).front().reloadable);
  }

  TEST_CASE("a password is the first line of its file") {
    const TemporaryDirectory directory;
    const std::string file = directory.write("secret", "open sesame\r\nnot this\n");
    const LoadedConfig config = loaded(
        "[auth]\npassword_file = '" + file + "'\n[[user]]\nname = 'u'\npassword_file = '" + file +
        "'\n[[group]]\nname = 'g'\nserver = 'h:1'\nslots = '0-1023'\npassword_file = '" + file +
        "'\n");
    CHECK(config.config.auth.password == "open sesame");
    CHECK(config.config.users[0].passwords ==
          std::vector<std::string>{hash_password("open sesame")});
    CHECK(config.config.groups[0].password == "open sesame");
  }

  TEST_CASE("a password and a password_file in one place are refused") {
    const TemporaryDirectory directory;
    const std::string file = "password_file = '" + directory.write("secret", "x\n") + "'\n";
    check_refused({
        {"[auth]\npassword = 'p'\n" + file, "x.toml:3:17", "both given"},
        {"[[user]]\nname = 'u'\npassword = 'p'\n" + file, "x.toml:4:17", "remove one"},
        {"[[group]]\nname = 'g'\nserver = 'h:1'\npassword = 'p'\n" + file, "x.toml:5:17",
         "remove one"},
    });
  }

  TEST_CASE("of auth.password and auth.password_file the higher source counts") {
    const TemporaryDirectory directory;
    const std::string file = directory.write("secret", "from file\n");
    const auto password = [&](const std::string& toml, const std::string& variable,
                              const std::string& value) {
      ConfigSources sources = sources_of();
      sources.environment[variable] = value;
      const LoadResult result = load_config_text(toml, sources);
      REQUIRE_MESSAGE(result.ok(), result.problems_text());
      return result.loaded->config.auth.password;
    };
    CHECK(password("[auth]\npassword_file = '" + file + "'\n", "PIKAPROXY_AUTH_PASSWORD", "env") ==
          "env");
    CHECK(password("[auth]\npassword = 'text'\n", "PIKAPROXY_AUTH_PASSWORD_FILE", file) ==
          "from file");
    CHECK(password("[auth]\npassword_file = '" + file + "'\n", "PIKAPROXY_AUTH_PASSWORD", "") ==
          "");
    CHECK(password("[auth]\npassword = 'text'\n", "PIKAPROXY_AUTH_PASSWORD_FILE", "") == "text");
  }

  TEST_CASE("a password file that cannot be used is refused") {
    const TemporaryDirectory directory;
    const auto line = [](const std::string& path) {
      return "[auth]\npassword_file = '" + path + "'\n";
    };
    check_refused({
        {line(directory.path("none")), "x.toml:2:17", "No such file"},
        {line(directory.path("")), "x.toml:2:17", "not a regular file"},
        {line("/dev/zero"), "x.toml:2:17", "not a regular file"},
        {line(directory.write("empty", "\nx")), "x.toml:2:17", "is empty"},
        {line(directory.write("long", std::string(4097, 'x'))), "x.toml:2:17", "longer than 4096"},
        {line(directory.write("large", std::string(100'000, '\n'))), "x.toml:2:17", "larger than"},
    });
  }

  TEST_CASE("no message about a password holds it") {
    const TemporaryDirectory directory;
    const std::string file = directory.write("secret", "hunter2\n");
    for (const std::string& text :
         {"[auth]\npassword = 'hunter2'\npassword_file = '" + file + "'\n",
          std::string("[auth]\npassword = ['hunter2']\n"),
          std::string("[[user]]\nname = 'a b'\npassword = 'hunter2'\nadmin = 3\n"),
          std::string("[[group]]\nname = ''\npassword = 'hunter2'\n")}) {
      const LoadResult result = load(text);
      CHECK_FALSE(result.ok());
      CHECK_FALSE(contains(result.problems_text(), "hunter2"));
    }
  }

  TEST_CASE("a file that cannot be read is one problem beside those of other sources") {
    ConfigSources sources = sources_of("/nonexistent/pikaproxy.toml");
    sources.flags = {{"log.level", "loud"}, {"log.levl", "info"}};
    const LoadResult result = load_config(sources);
    REQUIRE(result.problems.size() == 3);
    CHECK(contains(result.problems_text(), "No such file"));
    CHECK(contains(result.problems_text(), "--log.levl: there is no such option. Did you mean"));
    CHECK_FALSE(load_config(sources_of("/dev/zero")).ok());
    const TemporaryDirectory directory;
    CHECK(contains(load_config(sources_of(directory.write("big", std::string((1 << 20) + 1, '#'))))
                       .problems_text(),
                   "larger than"));
  }

  TEST_CASE("a file full of mistakes gives a bounded list of problems") {
    std::string text = "[proxy]\n";
    for (int i = 0; i < 5'000; ++i) text += "mistake" + std::to_string(i) + " = 1\n";
    const LoadResult result = load(text);
    CHECK(result.problems.size() == kProblemsMax);
    CHECK(contains(result.problems_text(), "There may be more"));
  }

  TEST_CASE("a thousand groups with every slot are read, one more than slots is refused") {
    const auto groups = [](int count) {
      std::string text;
      for (int i = 0; i < count; ++i) {
        text += "[[group]]\nname = 'g" + std::to_string(i) +
                "'\nserver = 'h:" + std::to_string(i + 1) +
                "'\nslots = " + std::to_string(i % 1024) + "\n";
      }
      return text;
    };
    CHECK(loaded(groups(1024)).warnings.empty());
    const LoadResult result = load(groups(1025));
    REQUIRE(result.problems.size() == 1);
    CHECK(contains(result.problems[0].message, "1025 groups"));
  }

  TEST_CASE("a difference is named and says whether it needs a restart") {
    const Config running = loaded(kTwoGroups).config;
    CHECK(differing_options(running, running).empty());
    Config changed = running;
    changed.proxy.workers = 3;
    changed.proxy.max_clients = 1;
    changed.auth.password = "new";
    changed.auth.password_file = "/x";
    changed.users.push_back({"u", {hash_password("p")}});
    changed.groups[0].server.port = 1;
    const auto differences = differing_options(running, changed);
    std::vector<std::pair<std::string, bool>> pairs;
    for (const Difference& difference : differences) {
      pairs.emplace_back(difference.name, difference.reloadable);
    }
    CHECK(pairs == std::vector<std::pair<std::string, bool>>{{"proxy.workers", false},
                                                             {"proxy.max_clients", true},
                                                             {"auth.password", true},
                                                             {"user", true},
                                                             {"group", true}});
  }

  TEST_CASE("a reload applies what can change and leaves the rest") {
    const Config running = loaded(kTwoGroups).config;
    Config changed = running;
    changed.proxy.workers = 3;
    changed.proxy.max_clients = 1;
    changed.auth.password = "new";
    changed.users.push_back({"u", {hash_password("p")}});
    changed.groups.pop_back();
    const Config applied = apply_reloadable(running, changed);
    Config expected = changed;
    expected.proxy.workers = running.proxy.workers;
    CHECK(applied == expected);
    // What is left to differ is what needs a restart.
    const auto rest = differing_options(applied, changed);
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].name == "proxy.workers");
    CHECK_FALSE(rest[0].reloadable);
  }

  TEST_CASE("groups of a ring, or of another router than the running one, need a restart") {
    Config slot = loaded(kTwoGroups).config;
    Config ring = slot;
    ring.proxy.router = RouterKind::kKetama;
    for (GroupConfig& group : ring.groups) group.slots.clear();
    Config other_ring = ring;
    other_ring.groups[0].weight = 2;
    for (const auto& [running, changed] : {std::pair(slot, ring), std::pair(ring, other_ring)}) {
      const auto differences = differing_options(running, changed);
      REQUIRE_FALSE(differences.empty());
      CHECK(differences.back().name == "group");
      CHECK_FALSE(differences.back().reloadable);
      CHECK(apply_reloadable(running, changed) == running);
    }
  }

  TEST_CASE("every option alone is reloaded if and only if its row says so") {
    const std::map<std::string_view, std::string> other = {{"proxy.listen", "127.0.0.1:1"},
                                                           {"proxy.unix_mode", "0777"},
                                                           {"proxy.router", "ketama"},
                                                           {"proxy.read_from", "replica"},
                                                           {"proxy.read_own_writes", "false"},
                                                           {"proxy.cluster_mode", "true"},
                                                           {"log.level", "debug"},
                                                           {"log.format", "json"},
                                                           {"log.file", "/x"},
                                                           {"admin.enabled", "false"},
                                                           {"admin.listen", "127.0.0.1:2"},
                                                           {"admin.allowed_hosts", "x"},
                                                           {"admin.tls_cert", "x"},
                                                           {"admin.tls_key", "x"},
                                                           {"dashboard.enabled", "false"},
                                                           {"dashboard.data_dir", "x"},
                                                           {"dashboard.admin_password_file", "x"},
                                                           {"dashboard.session_timeout", "7m"},
                                                           {"dashboard.session_max", "1d"},
                                                           {"dashboard.allow_plain_http", "true"},
                                                           {"dashboard.web_root", "x"},
                                                           {"auth.password", "x"},
                                                           {"ketama.hash", "md5"},
                                                           {"ketama.distribution", "modula"},
                                                           {"ketama.hash_tag", "{}"}};
    for (const Option& option : options()) {
      if (option.type == OptionType::kSecretFile) continue;
      CAPTURE(option.name);
      Config changed;
      const auto text = other.find(option.name);
      const std::string value = text != other.end()                    ? text->second
                                : option.type == OptionType::kDuration ? "7s"
                                : option.type == OptionType::kSize     ? "7mb"
                                                                       : "7";
      REQUIRE_FALSE(set_option(changed, option, value));
      REQUIRE_FALSE(changed == Config());
      const auto differences = differing_options(Config(), changed);
      REQUIRE(differences.size() == 1);
      CHECK(differences[0].name == option.name);
      CHECK(differences[0].reloadable == option.reloadable);
      CHECK((apply_reloadable(Config(), changed) == changed) == option.reloadable);
    }
  }
}
