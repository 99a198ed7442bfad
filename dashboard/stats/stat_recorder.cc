#include "dashboard/stats/stat_recorder.h"

#include <chrono>
#include <utility>

namespace pikaproxy {
namespace {

int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

StatRecorder::StatRecorder(ProxyInspector& proxy, std::function<std::optional<uint64_t>()> keys,
                           std::function<int64_t()> now, EventBus* events)
    : proxy_(proxy), keys_(std::move(keys)), now_(std::move(now)), events_(events) {
  thread_ = std::thread([this] { run(); });
}

StatRecorder::~StatRecorder() {
  stop_.raise();
  thread_.join();
}

void StatRecorder::run() {
  do {
    record();
  } while (stop_.sleep_for(std::chrono::milliseconds(StatSeries::kFineMs)));
}

void StatRecorder::record() {
  const ProxySnapshot snapshot = proxy_.snapshot();
  const ProxyRates& rates = meter_.update(snapshot, steady_ms());
  const std::optional<uint64_t> keys = keys_();
  const StatSeries::Values values = {
      rates.ops_per_second,
      rates.errors_per_second,
      static_cast<double>(rates.p50_us),
      static_cast<double>(rates.p99_us),
      static_cast<double>(snapshot.clients),
      static_cast<double>(snapshot.memory_bytes),
      keys ? std::optional(static_cast<double>(*keys)) : std::nullopt};
  {
    const std::lock_guard lock(mutex_);
    rates_ = rates;
    series_.add(now_(), values);
  }
  if (events_ == nullptr) return;
  nlohmann::json event = {{"proxy", "local"}};
  for (size_t i = 0; i < values.size(); ++i) {
    event[std::string(kStatMetricNames[i])] =
        values[i] ? nlohmann::json(*values[i]) : nlohmann::json();
  }
  events_->publish("stats", std::move(event));
}

ProxyRates StatRecorder::rates() const {
  const std::lock_guard lock(mutex_);
  return rates_;
}

StatSeries::Points StatRecorder::read(StatMetric metric, int64_t from, bool coarse) const {
  const std::lock_guard lock(mutex_);
  return series_.read(metric, from, coarse);
}

}  // namespace pikaproxy
