// Prints the names that PIKAPROXY_STOP_AT takes and migrations come to, one on each line.

#include <cstdio>

#include "common/test_hooks.h"

int main() {
  for (const pikaproxy::StopPointName& each : pikaproxy::kStopPoints) {
    std::printf("%.*s\n", static_cast<int>(each.name.size()), each.name.data());
  }
  return 0;
}
