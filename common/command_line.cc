#include "common/command_line.h"

#include <array>
#include <string_view>
#include <utility>

#include "common/config_print.h"
#include "common/file.h"
#include "common/import_twemproxy.h"
#include "common/option_table.h"
#include "common/text.h"

namespace pikaproxy {
namespace {

using Mode = CommandLine::Mode;

constexpr std::string_view kImportUsage = ": write import-twemproxy FILE.yml [--pool NAME]";
constexpr size_t kImportFileMax = 16 * 1024 * 1024;

// A flag that is no option of the configuration.
struct Switch {
  std::string_view name;
  std::string_view letter;  // Empty if there is no short form.
  bool takes_value;
  Mode mode;  // kRun: leaves the mode as it is.
};

constexpr std::array kSwitches = {
    Switch{"--config", "-c", true, Mode::kRun},
    Switch{"--check-config", "-t", false, Mode::kCheckConfig},
    Switch{"--print-config", "-p", false, Mode::kPrintConfig},
    Switch{"--version", "-V", false, Mode::kVersion},
    Switch{"--help", "-h", false, Mode::kHelp},
    Switch{"--help-markdown", "", false, Mode::kHelpMarkdown},
};

const Switch* find_switch(std::string_view name) {
  for (const Switch& candidate : kSwitches) {
    if (name == candidate.name || (!candidate.letter.empty() && name == candidate.letter)) {
      return &candidate;
    }
  }
  return nullptr;
}

CommandLine usage_error(std::string message) {
  CommandLine line;
  line.mode = Mode::kUsageError;
  line.usage_error = std::move(message) + " (pikaproxy --help lists all options)";
  return line;
}

std::string suggestion_for(std::string_view name) {
  std::vector<std::string> flags;
  flags.reserve(kSwitches.size() + options().size());
  for (const Switch& candidate : kSwitches) flags.emplace_back(candidate.name);
  for (const Option& option : options()) flags.push_back("--" + std::string(option.name));
  const std::vector<std::string_view> views(flags.begin(), flags.end());
  std::string suggestion = did_you_mean(name, views);
  if (!suggestion.empty() || !name.starts_with("--")) return suggestion;
  // "--max_clients": the section was left out.
  std::vector<std::string> full;
  for (const Option& option : options()) {
    if (option.key() == name.substr(2)) full.push_back("\"--" + std::string(option.name) + "\"");
  }
  if (full.empty()) return {};
  const std::vector<std::string_view> candidates(full.begin(), full.end());
  return " Did you mean " + join(candidates, " or ") + "?";
}

CommandResult print_config_command(const ConfigSources& sources) {
  const LoadResult result = load_config(sources);
  if (!result.ok()) return {kExitBadConfig, "", result.problems_text()};
  return {kExitOk, print_config(*result.loaded), ""};
}

CommandResult check_config_command(const ConfigSources& sources) {
  const LoadResult result = load_config(sources);
  if (!result.ok()) {
    const size_t count = result.problems.size();
    return {kExitBadConfig, "",
            result.problems_text() + std::to_string(count) +
                (count == 1 ? " problem.\n" : " problems.\n")};
  }
  CommandResult answer;
  for (const std::string& warning : result.loaded->warnings) {
    answer.err += "warning: " + warning + "\n";
  }
  answer.out = "The configuration is valid.\n";
  return answer;
}

// What follows "import-twemproxy".
CommandLine parse_import(std::span<const char* const> arguments) {
  CommandLine line;
  line.mode = Mode::kImportTwemproxy;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument(arguments[i]);
    if (argument == "--pool" && i + 1 < arguments.size()) {
      line.import_pool = arguments[++i];
    } else if (line.import_file.empty() && !argument.empty() && !argument.starts_with('-')) {
      line.import_file = argument;
    } else {
      return usage_error(quote(argument) + " is not understood" + std::string(kImportUsage));
    }
  }
  if (line.import_file.empty()) return usage_error("no file is named" + std::string(kImportUsage));
  return line;
}

CommandResult import_command(const CommandLine& line) {
  const Result<std::string> yaml = read_file(line.import_file, kImportFileMax);
  if (!yaml) return {kExitRuntimeFailure, "", "pikaproxy: " + yaml.error() + "\n"};
  Result<std::string> toml = import_twemproxy(*yaml, line.import_pool);
  if (!toml) {
    return {kExitBadConfig, "", "pikaproxy: " + line.import_file + ": " + toml.error() + "\n"};
  }
  return {kExitOk, std::move(*toml), ""};
}

}  // namespace

CommandLine parse_command_line(std::span<const char* const> arguments) {
  if (!arguments.empty() && std::string_view(arguments[0]) == "import-twemproxy") {
    return parse_import(arguments.subspan(1));
  }
  CommandLine line;
  std::string mode_name;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument(arguments[i]);
    if (!argument.starts_with('-') || argument == "-" || argument == "--") {
      return usage_error(quote(argument) +
                         " is not an option: write --config FILE for a "
                         "configuration file");
    }
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const Switch* const found = find_switch(name);
    const Option* const option =
        !found && name.starts_with("--") ? find_option(name.substr(2)) : nullptr;
    if (!found && !option) {
      const std::string suggestion = suggestion_for(name);
      return usage_error("unknown option " + quote(name) +
                         (suggestion.empty() ? "" : "." + suggestion));
    }
    std::string value;
    if (found && !found->takes_value) {
      if (equals != std::string_view::npos) {
        return usage_error(std::string(name) + " takes no value");
      }
    } else if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size() && !std::string_view(arguments[i + 1]).starts_with("--")) {
      value = arguments[++i];
    } else {
      return usage_error(std::string(name) + " needs a value: write " + std::string(name) +
                         (found ? " FILE" : " VALUE"));
    }
    if (option) {
      line.flags.push_back({std::string(option->name), std::move(value)});
      continue;
    }
    if (found->takes_value && value.empty()) {
      return usage_error(std::string(found->name) + " needs the name of a file");
    }
    if (found->mode == Mode::kRun) {
      line.config_file = std::move(value);
      continue;
    }
    // Help and version win over everything, as users expect of them.
    const bool is_final = line.mode == Mode::kHelp || line.mode == Mode::kVersion;
    if (is_final) continue;
    if (found->mode != Mode::kHelp && found->mode != Mode::kVersion && line.mode != Mode::kRun &&
        line.mode != found->mode) {
      return usage_error(mode_name + " and " + std::string(found->name) +
                         " cannot be used together");
    }
    line.mode = found->mode;
    mode_name = found->name;
  }
  return line;
}

ConfigSources config_sources(const CommandLine& line,
                             std::map<std::string, std::string> environment) {
  return ConfigSources{line.config_file, std::move(environment), line.flags};
}

std::optional<CommandResult> run_command(const CommandLine& line,
                                         std::map<std::string, std::string> environment,
                                         std::span<const std::string> libraries) {
  switch (line.mode) {
    case Mode::kRun:
      return std::nullopt;
    case Mode::kImportTwemproxy:
      return import_command(line);
    case Mode::kCheckConfig:
      return check_config_command(config_sources(line, std::move(environment)));
    case Mode::kPrintConfig:
      return print_config_command(config_sources(line, std::move(environment)));
    case Mode::kVersion:
      return CommandResult{kExitOk, version_text(libraries), ""};
    case Mode::kHelp:
      return CommandResult{kExitOk, help_text(), ""};
    case Mode::kHelpMarkdown:
      return CommandResult{kExitOk, options_markdown(), ""};
    case Mode::kUsageError:
      return CommandResult{kExitUsage, "", line.usage_error + "\n"};
  }
  return std::nullopt;
}

}  // namespace pikaproxy
