#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/config_load.h"
#include "common/exit_code.h"

namespace pikaproxy {

// What the process was asked to do.
struct CommandLine {
  enum class Mode : uint8_t {
    kRun,
    kCheckConfig,
    kPrintConfig,
    kImportTwemproxy,  // Print the configuration that does what `import_file` makes twemproxy do.
    kVersion,
    kHelp,
    kHelpMarkdown,  // The table of options in docs/configuration.md.
    kUsageError,
  };

  Mode mode = Mode::kRun;
  std::string config_file;                 // Empty = none.
  std::string import_file;                 // kImportTwemproxy: nutcracker's YAML file.
  std::string import_pool;                 // kImportTwemproxy: may be empty.
  std::vector<ConfigSources::Flag> flags;  // Every --section.option; values not yet checked.
  std::string usage_error;                 // kUsageError: a sentence.
};

// Reads the arguments after the program's name. Knows -c/--config FILE, -t/--check-config,
// -p/--print-config, -V/--version, -h/--help, --help-markdown and
// --section.option VALUE for every row of the option table; a value may also follow a "=".
//   Errors: kUsageError, with what to write instead. Values of options are judged by load_config().
CommandLine parse_command_line(std::span<const char* const> arguments);

// The sources that `line` names, for load_config(), together with the process's environment.
ConfigSources config_sources(const CommandLine& line,
                             std::map<std::string, std::string> environment);

// What to print and how to exit.
struct CommandResult {
  ExitCode exit_code = kExitOk;
  std::string out;  // For standard output.
  std::string err;  // For standard error.
};

// Carries out every mode but kRun, for which it returns nothing. Opens no
// socket.
//   `libraries`: "asio 1.22.1" and so on, for --version.
std::optional<CommandResult> run_command(const CommandLine& line,
                                         std::map<std::string, std::string> environment,
                                         std::span<const std::string> libraries);

}  // namespace pikaproxy
