#pragma once

namespace pikaproxy {

// What the process answers its parent with. Scripts and units rely on these: docs/configuration.md
// lists them, conf/pikaproxy.service does not restart after 2 and 3.
enum ExitCode : int {
  kExitOk = 0,  // Also a shutdown by SIGTERM or SIGINT.
  kExitRuntimeFailure = 1,
  kExitUsage = 2,       // The command line cannot be read.
  kExitBadConfig = 3,   // An option has a bad value, wherever it came from.
  kExitCannotBind = 4,  // An address to listen on is taken or not ours.
  kExitStoreError = 5,  // What has to be kept on disk cannot be read or written.
};

}  // namespace pikaproxy
