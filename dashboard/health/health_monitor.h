#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "dashboard/events/event_bus.h"
#include "dashboard/health/health_log.h"
#include "dashboard/mover/stop_signal.h"

namespace pikaproxy {

// Runs the checks again and again, keeps what they found, and publishes "health" events when that
// changes.
class HealthMonitor {
 public:
  // `look` fills all but topology_since, which is the monitor's to know. It is called on the
  // monitor's thread; it must not ask anybody who could be slow. `events` may be null.
  HealthMonitor(std::chrono::milliseconds interval, std::function<HealthInputs()> look,
                EventBus* events);
  ~HealthMonitor();
  HealthMonitor(const HealthMonitor&) = delete;
  HealthMonitor& operator=(const HealthMonitor&) = delete;

  // Any thread, all below.
  // The document of GET /cluster/health.
  nlohmann::json to_json() const;
  // Its entries that are no "ok", for GET /cluster.
  nlohmann::json problems_json() const;

 private:
  void run();

  const std::chrono::milliseconds interval_;
  const std::function<HealthInputs()> look_;
  EventBus* const events_;
  StopSignal stop_;
  // The thread's own: HealthInputs::topology_since.
  uint64_t version_ = 0;
  int64_t version_since_ = 0;

  mutable std::mutex mutex_;
  HealthLog log_;  // Guarded by mutex_.

  std::thread thread_;
};

}  // namespace pikaproxy
