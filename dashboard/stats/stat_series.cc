#include "dashboard/stats/stat_series.h"

#include <algorithm>

namespace pikaproxy {

void StatSeries::close_coarse() {
  Entry entry{coarse_at_, {}};
  for (size_t i = 0; i < sums_.size(); ++i) {
    if (counts_[i] == 0) continue;
    const bool is_highest = static_cast<StatMetric>(i) == StatMetric::kP99Us;
    entry.values[i] = is_highest ? sums_[i] : sums_[i] / counts_[i];
  }
  coarse_.push_back(entry);
  if (coarse_.size() > kCoarseMax) coarse_.pop_front();
  sums_ = {};
  counts_ = {};
}

void StatSeries::add(int64_t now, const Values& values) {
  const int64_t at = now - now % kFineMs;
  if (!fine_.empty() && at < fine_.back().at) *this = StatSeries();
  if (!fine_.empty() && at == fine_.back().at) return;
  fine_.push_back({at, values});
  if (fine_.size() > kFineMax) fine_.pop_front();

  const int64_t coarse_at = now - now % kCoarseMs;
  if (coarse_at_ != 0 && coarse_at != coarse_at_) close_coarse();
  coarse_at_ = coarse_at;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    const bool is_highest = static_cast<StatMetric>(i) == StatMetric::kP99Us;
    sums_[i] = is_highest ? std::max(sums_[i], *values[i]) : sums_[i] + *values[i];
    ++counts_[i];
  }
}

StatSeries::Points StatSeries::read(StatMetric metric, int64_t from, bool coarse) const {
  const std::deque<Entry>& entries = coarse ? coarse_ : fine_;
  Points points;
  points.step = coarse ? kCoarseMs : kFineMs;
  points.from = from - from % points.step;
  if (entries.empty()) return points;
  // Not what may be far before: the list would have a hole of any size.
  const int64_t span = points.step * static_cast<int64_t>(coarse ? kCoarseMax : kFineMax);
  points.from = std::max({points.from, entries.front().at, entries.back().at - span + points.step});
  if (points.from > entries.back().at) return points;
  points.values.resize(static_cast<size_t>((entries.back().at - points.from) / points.step + 1));
  for (const Entry& entry : entries) {
    if (entry.at < points.from) continue;
    points.values[static_cast<size_t>((entry.at - points.from) / points.step)] =
        entry.values[static_cast<size_t>(metric)];
  }
  return points;
}

}  // namespace pikaproxy
