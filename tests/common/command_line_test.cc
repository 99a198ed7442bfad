#include "common/command_line.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/config_print.h"
#include "common/option_table.h"
#include "common/version.h"
#include "tests/common/temporary_directory.h"

using namespace pikaproxy;
using Mode = CommandLine::Mode;

namespace {

CommandLine parse(const std::vector<const char*>& arguments) {
  return parse_command_line(arguments);
}

CommandResult run(const std::vector<const char*>& arguments,
                  const std::map<std::string, std::string>& environment = {}) {
  const auto result = run_command(parse(arguments), environment, {});
  REQUIRE(result);
  return *result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr char kConfig[] = R"(
[proxy]
max_clients = 5000
listen = ["127.0.0.1:7000", "unix:/run/p.sock"]
[auth]
password = "hunter2"
[[user]]
name = "app"
password = "hunter3"
admin = true
[[group]]
name = "g1"
server = "10.0.0.1:9221"
user = "proxy"
password = "hunter4"
slots = ["0-511", 700]
[[group]]
name = "g2"
server = "[::1]:9221"
slots = ["512-699", "701-1023"]
)";

}  // namespace

TEST_SUITE("common/command_line") {
  TEST_CASE("without arguments the proxy runs on its defaults") {
    const CommandLine line = parse({});
    CHECK(line.mode == Mode::kRun);
    CHECK(line.config_file.empty());
    CHECK(line.flags.empty());
    CHECK_FALSE(run_command(line, {}, {}));
  }

  TEST_CASE("every switch is known in its long and its short form") {
    for (const char* flag : {"-t", "--check-config"}) {
      CHECK(parse({flag}).mode == Mode::kCheckConfig);
    }
    for (const char* flag : {"-p", "--print-config"}) {
      CHECK(parse({flag}).mode == Mode::kPrintConfig);
    }
    for (const char* flag : {"-V", "--version"}) CHECK(parse({flag}).mode == Mode::kVersion);
    for (const char* flag : {"-h", "--help"}) CHECK(parse({flag}).mode == Mode::kHelp);
    CHECK(parse({"--help-markdown"}).mode == Mode::kHelpMarkdown);
    CHECK(parse({"-c", "f.toml"}).config_file == "f.toml");
    CHECK(parse({"--config", "f.toml"}).config_file == "f.toml");
    CHECK(parse({"--config=f.toml"}).config_file == "f.toml");
    const CommandLine import = parse({"import-twemproxy", "n.yml", "--pool", "alpha"});
    CHECK(import.mode == Mode::kImportTwemproxy);
    CHECK(import.import_file == "n.yml");
    CHECK(import.import_pool == "alpha");
    CHECK(parse({"import-twemproxy"}).mode == Mode::kUsageError);
    CHECK(parse({"import-twemproxy", "a", "b"}).mode == Mode::kUsageError);
    CHECK(parse({"import-twemproxy", "a", "--pool"}).mode == Mode::kUsageError);
    CHECK(run_command(parse({"import-twemproxy", "/nowhere.yml"}), {}, {})->exit_code ==
          kExitRuntimeFailure);
  }

  TEST_CASE("every option of the table is a flag, with its value after = or after a space") {
    for (const Option& option : options()) {
      const std::string name = "--" + std::string(option.name);
      const std::string joined = name + "=a=b";
      for (const CommandLine& line : {parse({name.c_str(), "a=b"}), parse({joined.c_str()})}) {
        CHECK(line.mode == Mode::kRun);
        REQUIRE(line.flags.size() == 1);
        CHECK(line.flags[0].name == option.name);
        CHECK(line.flags[0].value == "a=b");
      }
    }
  }

  TEST_CASE("a value may be empty or begin with one dash") {
    CHECK(parse({"--log.file="}).flags[0].value.empty());
    CHECK(parse({"--log.file", ""}).flags[0].value.empty());
    CHECK(parse({"--slowlog.slower_than", "-1"}).flags[0].value == "-1");
  }

  TEST_CASE("what cannot be read is a usage error that says what to write") {
    struct Case {
      std::vector<const char*> arguments;
      std::string part;
    };
    const Case cases[] = {
        {{"pikaproxy.toml"}, "write --config FILE"},
        {{"--"}, "is not an option"},
        {{"-"}, "is not an option"},
        {{""}, "is not an option"},
        {{"-x"}, "unknown option \"-x\" (pikaproxy"},
        {{"-c"}, "-c needs a value: write -c FILE"},
        {{"--config="}, "needs the name of a file"},
        {{"--proxy.workers"}, "write --proxy.workers VALUE"},
        {{"--proxy.workers", "--log.level=info"}, "needs a value"},
        {{"--proxy.workrs=2"}, "Did you mean \"--proxy.workers\"?"},
        {{"--max_clients", "2"}, "Did you mean \"--proxy.max_clients\"?"},
        {{"--check"}, "unknown option \"--check\""},
        {{"--chek-config"}, "Did you mean \"--check-config\"?"},
        {{"--help=yes"}, "takes no value"},
        {{"--check-config", "--print-config"},
         "--check-config and --print-config cannot be used together"},
    };
    for (const Case& c : cases) {
      const CommandLine line = parse(c.arguments);
      CAPTURE(line.usage_error);
      CHECK(line.mode == Mode::kUsageError);
      CHECK(contains(line.usage_error, c.part));
      const CommandResult result = run(c.arguments);
      CHECK(result.exit_code == kExitUsage);
      CHECK(result.exit_code == 2);
      CHECK(result.out.empty());
      CHECK(contains(result.err, c.part));
    }
  }

  TEST_CASE("help and version win over other switches") {
    CHECK(parse({"--check-config", "--help"}).mode == Mode::kHelp);
    CHECK(parse({"--version", "--check-config", "-c", "none"}).mode == Mode::kVersion);
  }

  TEST_CASE("help has every option with its default") {
    const CommandResult result = run({"--help"});
    CHECK(result.exit_code == kExitOk);
    CHECK(result.err.empty());
    for (const Option& option : options()) {
      CAPTURE(option.name);
      CHECK(contains(result.out, "--" + std::string(option.name) + " "));
      CHECK(contains(result.out, std::string(option.help)));
      const std::string text = get_option(Config(), option);
      CHECK(contains(result.out, "[" + (text.empty() ? "empty" : text) + "]"));
    }
  }

  TEST_CASE("version names the build and the libraries") {
    const std::vector<std::string> libraries = {"asio 1.22.1", "openssl 3.0.22"};
    const auto result = run_command(parse({"--version"}), {}, libraries);
    REQUIRE(result);
    CHECK(result->exit_code == kExitOk);
    CHECK(result->out.starts_with(std::string("pikaproxy ") + kVersion + "\n"));
    CHECK(contains(result->out, kCommit));
    CHECK(contains(result->out, "compiler"));
    CHECK(contains(result->out, "toml++ "));
    CHECK(contains(result->out, "asio 1.22.1, openssl 3.0.22\n"));
  }

  TEST_CASE("a configuration is checked without being used") {
    const TemporaryDirectory directory;
    const std::string good = directory.write("good.toml", kConfig);
    const CommandResult valid = run({"-t", "-c", good.c_str()});
    CHECK(valid.exit_code == kExitOk);
    CHECK(valid.err.empty());
    CHECK(valid.out == "The configuration is valid.\n");

    const CommandResult warned = run({"-t", "--dashboard.enabled", "false"});
    CHECK(warned.exit_code == kExitOk);
    CHECK(warned.err.starts_with("warning: there is no [[group]]"));

    const std::string bad = directory.write("bad.toml", "[proxy]\nworkers = 65\n[x]\n");
    for (const char* mode : {"--check-config", "--print-config"}) {
      const CommandResult refused = run({mode, "-c", bad.c_str()});
      CHECK(refused.exit_code == kExitBadConfig);
      CHECK(refused.exit_code == 3);
      CHECK(refused.out.empty());
      CHECK(contains(refused.err, bad + ":2:11: proxy.workers must be 0 to 64"));
      CHECK(contains(refused.err, bad + ":3:2: unknown section \"x\""));
    }
    CHECK(contains(run({"-t", "-c", bad.c_str()}).err, "2 problems.\n"));
  }

  TEST_CASE("the printed configuration says where each value came from") {
    const TemporaryDirectory directory;
    const std::string file = directory.write("p.toml", kConfig);
    const CommandResult result = run({"--print-config", "-c", file.c_str(), "--log.level=debug"},
                                     {{"PIKAPROXY_PROXY_WORKERS", "3"}});
    CHECK(result.exit_code == kExitOk);
    const auto line_of = [&](const std::string& key) {
      const size_t from = result.out.find("\n" + key + " = ") + 1;
      return result.out.substr(from, result.out.find('\n', from) - from);
    };
    CHECK(contains(line_of("max_clients"), "5000"));
    CHECK(contains(line_of("max_clients"), "# file " + file + ":3:15"));
    CHECK(contains(line_of("workers"), "# environment PIKAPROXY_PROXY_WORKERS"));
    CHECK(contains(line_of("level"), "\"debug\""));
    CHECK(contains(line_of("level"), "# flag --log.level"));
    CHECK(contains(line_of("databases"), "# default"));
    CHECK(contains(line_of("password"), "\"***\""));
    CHECK_FALSE(contains(result.out, "hunter"));
  }

  TEST_CASE("a password from a file is shown masked, beside the name of the file") {
    const TemporaryDirectory directory;
    const std::string secret = directory.write("secret", "hunter2\n");
    const CommandResult result = run({"-p", "--auth.password_file", secret.c_str()});
    CHECK(contains(result.out, "# password = \"***\""));
    CHECK(contains(result.out, "password_file = \"" + secret + "\""));
    CHECK_FALSE(contains(result.out, "hunter2"));
  }

  TEST_CASE("a printed configuration without passwords loads to itself") {
    std::string text = kConfig;
    for (const std::string line :
         {"password = \"hunter2\"\n", "password = \"hunter4\"\n", "user = \"proxy\"\n",
          "[[user]]\nname = \"app\"\npassword = \"hunter3\"\n"
          "admin = true\n"}) {
      text.erase(text.find(line), line.size());
    }
    ConfigSources sources;
    sources.file = "p.toml";
    const LoadResult first = load_config_text(text, sources);
    REQUIRE_MESSAGE(first.ok(), first.problems_text());
    const LoadResult again = load_config_text(print_config(*first.loaded), sources);
    REQUIRE_MESSAGE(again.ok(), again.problems_text());
    CHECK(again.loaded->config == first.loaded->config);
  }
}
