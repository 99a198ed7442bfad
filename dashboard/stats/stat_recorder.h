#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "common/proxy_inspector.h"
#include "dashboard/events/event_bus.h"
#include "dashboard/mover/stop_signal.h"
#include "dashboard/stats/proxy_rates.h"
#include "dashboard/stats/stat_series.h"

namespace pikaproxy {

// Looks at the proxy once a second: keeps its rates and the series, and publishes them as an event
// of topic "stats".
class StatRecorder {
 public:
  // `proxy` and `events` (which may be null) outlive the recorder. `keys`: how many keys the
  // masters hold, if that is known; called on the recorder's thread.
  StatRecorder(ProxyInspector& proxy, std::function<std::optional<uint64_t>()> keys,
               std::function<int64_t()> now, EventBus* events);
  ~StatRecorder();
  StatRecorder(const StatRecorder&) = delete;
  StatRecorder& operator=(const StatRecorder&) = delete;

  // Any thread, both.
  ProxyRates rates() const;
  StatSeries::Points read(StatMetric metric, int64_t from, bool coarse) const;

 private:
  void run();
  void record();

  ProxyInspector& proxy_;
  const std::function<std::optional<uint64_t>()> keys_;
  const std::function<int64_t()> now_;
  EventBus* const events_;
  StopSignal stop_;
  RateMeter meter_;  // The thread's own.

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  ProxyRates rates_;
  StatSeries series_;

  std::thread thread_;
};

}  // namespace pikaproxy
