#include "dashboard/stats/proxy_rates.h"

#include <cmath>

namespace pikaproxy {
namespace {

// Counters that were reset in between have counted all of it since.
double grown(uint64_t before, uint64_t now) {
  return static_cast<double>(now < before ? now : now - before);
}

}  // namespace

const ProxyRates& RateMeter::update(const ProxySnapshot& snapshot, int64_t now_ms) {
  rates_.clients = snapshot.clients;
  if (!has_before_) {
    before_ = snapshot;
    before_at_ = now_ms;
    has_before_ = true;
    return rates_;
  }
  if (now_ms <= before_at_) return rates_;
  const double seconds = static_cast<double>(now_ms - before_at_) / 1000;
  rates_.ops_per_second = grown(before_.requests, snapshot.requests) / seconds;
  rates_.errors_per_second = grown(before_.errors, snapshot.errors) / seconds;
  const MergedHistogram latency = snapshot.latency.since(before_.latency);
  rates_.p50_us = latency.quantile_us(0.5);
  rates_.p99_us = latency.quantile_us(0.99);
  const double kept = has_slots_ ? std::exp2(-seconds / kSlotHalfLifeSeconds) : 0;
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const double rate = grown(before_.slots[slot], snapshot.slots[slot]) / seconds;
    double& mean = rates_.slot_ops_per_second[slot];
    mean = mean * kept + rate * (1 - kept);
  }
  has_slots_ = true;
  before_ = snapshot;
  before_at_ = now_ms;
  return rates_;
}

}  // namespace pikaproxy
