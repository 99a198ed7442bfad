#pragma once

#include <string>

#include "common/result.h"

namespace pikaproxy {

// The bytes of a regular file.
//   Errors: not there, not readable, not a regular file (a pipe read at the start would be empty
//   at the next reload), larger than `bytes_max`.
Result<std::string> read_file(const std::string& path, size_t bytes_max);

// The first line of a file that holds a password, without its line end.
//   Errors: as above, an empty first line, a line longer than 4096 bytes. Never quotes what it
//   read.
Result<std::string> read_secret_file(const std::string& path);

}  // namespace pikaproxy
