#include "dashboard/cluster/server_tools.h"

namespace pikaproxy {

ServerTools real_server_tools() {
  return {ask_server, choose_mover, count_keys, purge_keys, replicate};
}

}  // namespace pikaproxy
