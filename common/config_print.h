#pragma once

#include <span>
#include <string>

#include "common/config_load.h"

namespace pikaproxy {

// The texts that --print-config, --help, --help-markdown and --version print, made from the option
// table.

// A complete TOML file with the values in effect, each with a comment that says where it came from.
// Passwords are "***"; with no passwords in it, the text loads to the same configuration.
std::string print_config(const LoadedConfig& loaded);

std::string help_text();

// The table of docs/configuration.md.
std::string options_markdown();

// Version, commit, compiler and `libraries` ("asio 1.22.1").
std::string version_text(std::span<const std::string> libraries);

}  // namespace pikaproxy
