#include "dashboard/stats/proxy_rates.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("dashboard/stats/proxy_rates") {
  TEST_CASE("rates are what was counted between two snapshots") {
    RateMeter meter;
    ProxySnapshot snapshot;
    Histogram histogram;
    snapshot.requests = 1'000;
    snapshot.slots[5] = 100;
    CHECK(meter.update(snapshot, 10'000).ops_per_second == 0);
    snapshot.requests = 1'600;
    snapshot.errors = 20;
    snapshot.slots[5] = 300;
    for (int i = 0; i < 100; ++i) histogram.record(i < 98 ? 100 : 5'000);
    snapshot.latency.add(histogram);
    const ProxyRates rates = meter.update(snapshot, 12'000);
    CHECK(rates.ops_per_second == 300);
    CHECK(rates.errors_per_second == 10);
    CHECK(rates.slot_ops_per_second[5] == 100);
    CHECK(rates.slot_ops_per_second[6] == 0);
    CHECK(rates.p50_us >= 100);
    CHECK(rates.p50_us < 115);
    CHECK(rates.p99_us >= 5'000);
    // A slot that is asked for no more is forgotten by halves.
    CHECK(meter.update(snapshot, 22'000).slot_ops_per_second[5] == doctest::Approx(50));
    CHECK(meter.update(snapshot, 22'000).p99_us == 0);
  }

  TEST_CASE("counters that start again give no absurd rates") {
    RateMeter meter;
    ProxySnapshot snapshot;
    snapshot.requests = 1'000'000;
    meter.update(snapshot, 1'000);
    snapshot.requests = 10;
    CHECK(meter.update(snapshot, 2'000).ops_per_second == 10);
  }
}
