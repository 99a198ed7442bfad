#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

namespace pikaproxy {

enum class StatMetric : uint8_t {
  kOpsPerSecond,
  kErrorsPerSecond,
  kP50Us,
  kP99Us,
  kClients,
  kMemoryBytes,
  kKeys,
};
inline constexpr std::array<std::string_view, 7> kStatMetricNames = {
    "ops_per_second", "errors_per_second", "p50_us", "p99_us", "clients", "memory_bytes", "keys"};

// How things were: every second for the last hour, every half minute for the last day. One thread
// at a time.
class StatSeries {
 public:
  // In the order of StatMetric; nothing where it was not known.
  using Values = std::array<std::optional<double>, kStatMetricNames.size()>;

  static constexpr int64_t kFineMs = 1'000;
  static constexpr int64_t kCoarseMs = 30'000;
  static constexpr size_t kFineMax = 3'600;
  static constexpr size_t kCoarseMax = 2'880;

  // `now`: milliseconds since 1970. Of a coarse step, all values are means but p99, which is the
  // highest. A clock that was set back begins anew.
  void add(int64_t now, const Values& values);

  // The values at from, from + step ... up to the newest; nothing where none was recorded. `from`
  // is rounded down to a step; what is older than what is kept is left out.
  struct Points {
    int64_t from = 0;
    int64_t step = 0;
    std::vector<std::optional<double>> values;
  };
  Points read(StatMetric metric, int64_t from, bool coarse) const;

 private:
  struct Entry {
    int64_t at = 0;
    Values values;
  };
  void close_coarse();

  std::deque<Entry> fine_;
  std::deque<Entry> coarse_;
  int64_t coarse_at_ = 0;  // Of what is being added up; 0 = nothing.
  std::array<double, kStatMetricNames.size()> sums_{};
  std::array<uint32_t, kStatMetricNames.size()> counts_{};
};

}  // namespace pikaproxy
