#pragma once

#include <string>
#include <string_view>

#include "common/config.h"
#include "common/config_origin.h"

namespace pikaproxy {

// Reads the text of a configuration file into `config`, over what is there.
//   Shape:   any bytes; `name` is how messages call the file.
//   Effects: files named by password_file of a [[user]] or [[group]] are read. That of [auth] is
//            left to load_config(), because the environment or a flag may outrank it.
//   Errors:  each is added to `problems`; what can be read is read nevertheless. A file that is not
//            TOML gives one problem, with its place.
//   Result:  false if the file is not TOML, so that nothing of it was read.
bool read_config_file(std::string_view text, const std::string& name, Config& config,
                      Origins& origins, Problems& problems);

// "toml++ 3.3.0", for --version.
std::string toml_library_version();

}  // namespace pikaproxy
