#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace pikaproxy {

struct MetricLabel {
  std::string_view name;
  std::string_view value;
};

// Writes a page in the Prometheus text format 0.0.4. One thread; the same calls give the same
// bytes.
//
//   MetricsWriter w;
//   w.family("pikaproxy_commands_total", "counter", "Requests by command.");
//   w.sample({{"command", "get"}}, 123);
//   std::string page = w.take();
//
// Names come from the code and are asserted; label values may hold any bytes: they are escaped, and
// bytes that are not UTF-8 become U+FFFD, because a scraper refuses a whole page for one of them.
class MetricsWriter {
 public:
  using Labels = std::initializer_list<MetricLabel>;

  // Begins a family; what follows belongs to it. Once per name, as the format wants all samples of
  // a family in one block. `type` is counter (the name ends in _total), gauge or histogram.
  void family(std::string_view name, std::string_view type, std::string_view help);

  // A sample of a counter or gauge. Integers are written exactly, doubles with the fewest digits
  // that read back as the same value.
  template <std::integral T>
  void sample(Labels labels, T value) {
    begin_sample({}, labels, {});
    if constexpr (std::is_signed_v<T>) {
      end_signed(value);
    } else {
      end_unsigned(value);
    }
  }
  void sample(Labels labels, double value);

  // The samples of a histogram: a bucket for each bound, the +Inf bucket, _sum and _count.
  //   bounds:     ascending, in the base unit (seconds, bytes), without +Inf.
  //   cumulative: as many; observations at or below each bound.
  //   count:      all observations, those above the last bound too.
  void histogram_sample(Labels labels, std::span<const double> bounds,
                        std::span<const uint64_t> cumulative, double sum, uint64_t count);

  // The page. The writer is empty then and can be used again.
  std::string take();

 private:
  void begin_sample(std::string_view suffix, Labels labels, std::string_view bound);
  void end_signed(int64_t value);
  void end_unsigned(uint64_t value);
  void end_double(double value);

  std::string page_;
  std::string name_;                         // Of the current family.
  std::set<std::string, std::less<>> seen_;  // Families so far.
};

}  // namespace pikaproxy
