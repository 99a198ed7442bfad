#include "common/test_hooks.h"

#ifdef PIKAPROXY_TEST_HOOKS

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>

namespace pikaproxy {
namespace {

std::function<void(StopPoint)>& observer() {
  static std::function<void(StopPoint)> function;
  return function;
}

std::string_view wanted_point() {
  // Read once: getenv() and a change of the environment do not go together.
  static const std::string name = [] {
    const char* value = std::getenv("PIKAPROXY_STOP_AT");
    return std::string(value == nullptr ? "" : value);
  }();
  return name;
}

}  // namespace

void reached(StopPoint point) {
  if (observer()) observer()(point);
  if (wanted_point().empty()) return;
  static std::atomic<bool> stopped = false;
  const auto stop_at = [&](const auto& points) {
    for (const StopPointName& each : points) {
      if (each.point == point && each.name == wanted_point() && !stopped.exchange(true)) {
        std::raise(SIGSTOP);
      }
    }
  };
  stop_at(kStopPoints);
  stop_at(kPromotionStopPoints);
}

void on_stop_point(std::function<void(StopPoint)> function) {
  observer() = std::move(function);
}

}  // namespace pikaproxy

#endif
