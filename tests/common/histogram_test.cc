#include "common/histogram.h"

#include <algorithm>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

MergedHistogram merged(const std::vector<uint64_t>& values) {
  Histogram histogram;
  for (const uint64_t value : values) histogram.record(static_cast<int64_t>(value));
  MergedHistogram out;
  out.add(histogram);
  return out;
}

}  // namespace

TEST_SUITE("common/histogram") {
  TEST_CASE("buckets follow each other without a gap, and each value lies within its own") {
    uint64_t lower = 0;
    for (size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
      const uint64_t upper = Histogram::upper_bound_us(bucket);
      REQUIRE(upper > lower);
      REQUIRE(Histogram::bucket_of(lower) == bucket);
      REQUIRE(Histogram::bucket_of(upper - 1) == bucket);
      // The promised precision: a bucket is at most an eighth of its values wide.
      if (lower >= Histogram::kSteps) REQUIRE((upper - lower) * 8 <= lower);
      lower = upper;
    }
    CHECK(lower == 1ull << 36);
    CHECK(Histogram::bucket_of(lower) == Histogram::kBuckets - 1);
    CHECK(Histogram::bucket_of(UINT64_MAX) == Histogram::kBuckets - 1);
  }

  TEST_CASE("a negative duration counts as none") {
    Histogram histogram;
    histogram.record(-5);
    histogram.record(7);
    CHECK(histogram.count_at(0) == 1);
    CHECK(histogram.sum_us() == 7);
    histogram.reset();
    CHECK(histogram.count_at(0) == 0);
    CHECK(histogram.sum_us() == 0);
  }

  TEST_CASE("merging adds up") {
    Histogram one, other;
    one.record(1);
    one.record(1000);
    other.record(1);
    MergedHistogram sum;
    sum.add(one);
    sum.add(other);
    CHECK(sum.total() == 3);
    CHECK(sum.sum_us() == 1002);
    CHECK(sum.count_below(1) == 2);
  }

  TEST_CASE("quantiles of no values are zero") {
    CHECK(merged({}).quantile_us(0.5) == 0);
    CHECK(merged({}).quantile_us(1) == 0);
  }

  TEST_CASE("quantiles of small values are exact") {
    const MergedHistogram histogram = merged({0, 1, 2, 3, 4, 5, 6, 7});
    CHECK(histogram.quantile_us(0) == 0);
    CHECK(histogram.quantile_us(0.5) == 4);
    CHECK(histogram.quantile_us(0.99) == 7);
    CHECK(histogram.quantile_us(1) == 7);
  }

  TEST_CASE("quantiles and counts of random values are right to an eighth") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 50; ++round) {
      std::vector<uint64_t> values(1 + random() % 2000);
      for (uint64_t& value : values) value = random() >> (28 + random() % 36);
      std::sort(values.begin(), values.end());
      const MergedHistogram histogram = merged(values);
      REQUIRE(histogram.total() == values.size());
      for (const double fraction : {0.0, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        CAPTURE(fraction);
        const auto rank = std::min(
            static_cast<size_t>(fraction * static_cast<double>(values.size())), values.size() - 1);
        const uint64_t quantile = histogram.quantile_us(fraction);
        REQUIRE(quantile >= values[rank]);
        REQUIRE(quantile <= values[rank] + values[rank] / 8);
      }
      const uint64_t bound = values[random() % values.size()];
      const auto at_most = [&](uint64_t limit) {
        return static_cast<uint64_t>(std::upper_bound(values.begin(), values.end(), limit) -
                                     values.begin());
      };
      REQUIRE(histogram.count_below(bound) <= at_most(bound));
      if (bound > 8) REQUIRE(histogram.count_below(bound) >= at_most(bound - bound / 8 - 1));
    }
  }

  TEST_CASE("a value beyond the last bucket counts in it") {
    const MergedHistogram histogram = merged({1ull << 40});
    CHECK(histogram.quantile_us(0.5) == (1ull << 36) - 1);
    CHECK(histogram.count_below(1ull << 35) == 0);
  }
}
