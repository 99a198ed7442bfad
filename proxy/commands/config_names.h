#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/config.h"

namespace pikaproxy {

// CONFIG GET and SET: our options by the names of the file ("proxy.max_clients"), and by the names
// Redis has for the same things ("maxclients"), which tools ask for.

// Adds what matches the glob pattern, whatever its case. Secrets are masked.
void get_config_values(const Config& config, std::string_view pattern,
                       std::map<std::string, std::string>& found);

// Sets one value. Empty, or the error for the client, which begins with its code.
std::string set_config_value(Config& config, std::string_view name, std::string_view value);

// Whether the options still fit together. Empty, or the error for the client.
std::string check_changed_config(const Config& config);

}  // namespace pikaproxy
