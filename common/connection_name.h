#pragma once

#include <string>
#include <string_view>

namespace pikaproxy {

// Names that servers list our connections under (CLIENT SETNAME):
//
//   pikaproxy:<cluster>:<instance>:<number>          a worker's, with clients' requests
//   pikaproxy-mover:<cluster>:<instance>-<number>    the mover's
//
// After a restart they tell what an earlier process of the same cluster left at a server: commands
// that it had sent may still be executed, unless their connections are killed
// (docs/slot-migration.md, "Settling").

// Of this process, different with every start. Any thread.
const std::string& process_instance();

// What stands before the instance in names of workers' connections. `cluster`: see name_part().
std::string worker_name_prefix(std::string_view cluster);
std::string mover_name_prefix(std::string_view cluster);

// `text` with everything but letters, digits, "-" and "_" replaced: fit to be part of a name.
std::string name_part(std::string_view text);

}  // namespace pikaproxy
