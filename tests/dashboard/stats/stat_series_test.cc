#include "dashboard/stats/stat_series.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

StatSeries::Values values(double ops, double p99) {
  StatSeries::Values all;
  all[static_cast<size_t>(StatMetric::kOpsPerSecond)] = ops;
  all[static_cast<size_t>(StatMetric::kP99Us)] = p99;
  return all;
}

}  // namespace

TEST_SUITE("dashboard/stats/stat_series") {
  TEST_CASE("every second is there, with holes where nothing was recorded") {
    StatSeries series;
    series.add(100'250, values(1, 0));
    series.add(101'900, values(2, 0));
    series.add(104'000, values(3, 0));
    auto points = series.read(StatMetric::kOpsPerSecond, 0, false);
    CHECK(points.from == 100'000);
    CHECK(points.step == 1'000);
    REQUIRE(points.values.size() == 5);
    CHECK(points.values[0] == 1);
    CHECK(points.values[1] == 2);
    CHECK_FALSE(points.values[2]);
    CHECK(points.values[4] == 3);
    points = series.read(StatMetric::kOpsPerSecond, 101'999, false);
    CHECK(points.from == 101'000);
    CHECK(points.values.size() == 4);
    CHECK(series.read(StatMetric::kOpsPerSecond, 200'000, false).values.empty());
    CHECK(series.read(StatMetric::kOpsPerSecond, -5'000, false).values.size() == 5);
    CHECK_FALSE(series.read(StatMetric::kKeys, 0, false).values[0]);
  }

  TEST_CASE("half minutes are means, of p99 the highest") {
    StatSeries series;
    for (int i = 0; i < 60; ++i) series.add(90'000 + i * 1'000, values(i, i % 30));
    CHECK(series.read(StatMetric::kOpsPerSecond, 0, true).values.size() == 1);
    series.add(150'000, values(0, 0));
    const auto ops = series.read(StatMetric::kOpsPerSecond, 0, true);
    REQUIRE(ops.values.size() == 2);
    CHECK(ops.from == 90'000);
    CHECK(ops.values[0] == 14.5);
    CHECK(ops.values[1] == 44.5);
    CHECK(series.read(StatMetric::kP99Us, 0, true).values[0] == 29);
  }

  TEST_CASE("an hour of seconds and a day of half minutes are kept, and no more") {
    StatSeries series;
    const int64_t day = 86'400;
    for (int64_t i = 0; i <= day + 3'600; ++i) series.add((1'000 + i) * 1'000, values(1, 1));
    CHECK(series.read(StatMetric::kOpsPerSecond, 0, false).values.size() == 3'600);
    CHECK(series.read(StatMetric::kOpsPerSecond, 0, true).values.size() == 2'880);
  }

  TEST_CASE("a pause of any length makes no list of that length") {
    StatSeries series;
    series.add(1'000, values(1, 1));
    series.add(int64_t{1} << 50, values(2, 2));
    CHECK(series.read(StatMetric::kOpsPerSecond, 0, false).values.size() <= 3'600);
    CHECK(*series.read(StatMetric::kOpsPerSecond, 0, false).values.back() == 2);
    // And a clock that was set back begins anew.
    series.add(5'000, values(3, 3));
    CHECK(series.read(StatMetric::kOpsPerSecond, 0, false).values.size() == 1);
  }
}
