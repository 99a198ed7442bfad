#pragma once

#include <string>

#include "common/result.h"

namespace pikaproxy {

// Our configuration (TOML) that serves the same clients, keys and servers as a pool of twemproxy's.
//   yaml_text: the contents of nutcracker.yml.
//   pool:      its name; may be empty if the file has only one.
//   Result:    a whole file, with comments on what has no counterpart. It holds the pool's password
//              if there is one: whoever stores it must protect it.
//   Errors:    those of parse_twemproxy_pool(), as sentences.
Result<std::string> import_twemproxy(const std::string& yaml_text, const std::string& pool);

}  // namespace pikaproxy
