#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace pikaproxy {

// A counter with one writing thread and any number of readers: no lock prefix on the writer's side.
class Counter {
 public:
  void add(uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  void set(uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Distribution of durations, log-linear: each power of two is cut into 8 steps, so a value is known
// to 12.5 %. One writing thread, any readers.
//   Unit: microseconds. Values from 0 to 2^36 (19 hours); longer ones count as that.
class Histogram {
 public:
  static constexpr unsigned kStepBits = 3;
  static constexpr unsigned kSteps = 1u << kStepBits;
  static constexpr unsigned kOctaves = 36 - kStepBits;
  static constexpr size_t kBuckets = (kOctaves + 1) * kSteps;

  void record(int64_t us) noexcept {
    const uint64_t value = us < 0 ? 0 : static_cast<uint64_t>(us);
    buckets_[bucket_of(value)].add();
    sum_us_.add(value);
  }

  static constexpr size_t bucket_of(uint64_t us) noexcept {
    if (us < kSteps) return us;
    const unsigned octave = static_cast<unsigned>(std::bit_width(us)) - 1 - kStepBits;
    if (octave >= kOctaves) return kBuckets - 1;
    return (octave + 1) * kSteps + ((us >> octave) & (kSteps - 1));
  }
  // The smallest value of the bucket behind this one: every value in `bucket` is below it.
  static constexpr uint64_t upper_bound_us(size_t bucket) noexcept {
    const size_t next = bucket + 1;
    if (next < 2 * kSteps) return next;
    const size_t octave = next / kSteps - 1;
    return (kSteps + next % kSteps) << octave;
  }

  uint64_t count_at(size_t bucket) const noexcept { return buckets_[bucket].get(); }
  uint64_t sum_us() const noexcept { return sum_us_.get(); }
  void reset() noexcept {
    for (Counter& bucket : buckets_) bucket.set(0);
    sum_us_.set(0);
  }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_us_;
};

// Histograms of several workers, added up for reading.
class MergedHistogram {
 public:
  void add(const Histogram& histogram) noexcept {
    for (size_t i = 0; i < Histogram::kBuckets; ++i) {
      const uint64_t count = histogram.count_at(i);
      counts_[i] += count;
      total_ += count;
    }
    sum_us_ += histogram.sum_us();
  }

  uint64_t total() const noexcept { return total_; }
  uint64_t sum_us() const noexcept { return sum_us_; }

  // What was recorded since `earlier`, which is an older state of the same histograms; all of it if
  // they have been reset in between.
  MergedHistogram since(const MergedHistogram& earlier) const noexcept {
    MergedHistogram difference;
    for (size_t i = 0; i < Histogram::kBuckets; ++i) {
      if (counts_[i] < earlier.counts_[i]) return *this;
      difference.counts_[i] = counts_[i] - earlier.counts_[i];
      difference.total_ += difference.counts_[i];
    }
    difference.sum_us_ = sum_us_ < earlier.sum_us_ ? sum_us_ : sum_us_ - earlier.sum_us_;
    return difference;
  }

  // How many values are at most `us`; those in a bucket that reaches beyond it count as more.
  uint64_t count_below(uint64_t us) const noexcept {
    uint64_t count = 0;
    for (size_t i = 0; i < Histogram::kBuckets && Histogram::upper_bound_us(i) <= us + 1; ++i) {
      count += counts_[i];
    }
    return count;
  }
  // The value below which `fraction` (0..1) of all values lie, 1 meaning the largest; 0 if there
  // are none.
  uint64_t quantile_us(double fraction) const noexcept {
    if (total_ == 0) return 0;
    const auto rank =
        std::min(static_cast<uint64_t>(fraction * static_cast<double>(total_)), total_ - 1);
    uint64_t seen = 0;
    for (size_t i = 0; i < Histogram::kBuckets; ++i) {
      seen += counts_[i];
      if (seen > rank) return Histogram::upper_bound_us(i) - 1;
    }
    return Histogram::upper_bound_us(Histogram::kBuckets - 1) - 1;
  }

 private:
  std::array<uint64_t, Histogram::kBuckets> counts_{};
  uint64_t total_ = 0;
  uint64_t sum_us_ = 0;
};

}  // namespace pikaproxy
