#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "common/config_origin.h"

namespace pikaproxy {

// Everything that can set an option. Flag outranks environment outranks file outranks default.
struct ConfigSources {
  struct Flag {
    std::string name;  // Of an option that exists.
    std::string value;
  };

  std::string file;                                // Path of the TOML file; empty = none is read.
  std::map<std::string, std::string> environment;  // Only what begins with PIKAPROXY_ counts.
  std::vector<Flag> flags;                         // The last of equal ones counts.
};

struct LoadedConfig {
  Config config;
  Origins origins;
  std::vector<std::string> warnings;  // Sentences; the configuration is valid all the same.

  Source source_of(std::string_view name) const;
};

// Either a configuration or everything that is wrong with it.
struct LoadResult {
  std::optional<LoadedConfig> loaded;
  Problems problems;  // Empty if and only if `loaded` is there.

  bool ok() const noexcept { return loaded.has_value(); }
  // One problem a line.
  std::string problems_text() const;
};

// Reads and checks all sources. Also how a reload begins.
//   Effects: reads the file and the files that password_file and tls options name; nothing else.
LoadResult load_config(const ConfigSources& sources);

// The same with the file's text at hand; `sources.file` is only its name in messages.
LoadResult load_config_text(std::string_view text, const ConfigSources& sources);

// The process's own variables that begin with PIKAPROXY_.
std::map<std::string, std::string> process_environment();

// An option in which two configurations differ.
struct Difference {
  std::string name;  // Of an option; or "user", "listener", "zone" or "group" for all of these.
  bool reloadable;   // Can be applied without a restart.
};

// What a reload from `running` to `loaded` changes, in the order of the option table.
// auth.password_file is not compared: what it holds is, as auth.password.
std::vector<Difference> differing_options(const Config& running, const Config& loaded);

// `running` with everything from `loaded` that may change without a restart.
//   Result: passes check_config() if both do.
Config apply_reloadable(const Config& running, const Config& loaded);

}  // namespace pikaproxy
