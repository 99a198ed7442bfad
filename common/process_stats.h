#pragma once

#include <cstdint>

#include "common/metrics_writer.h"

namespace pikaproxy {

// What the kernel says about this process.
struct ProcessStats {
  double cpu_user_seconds = 0;
  double cpu_system_seconds = 0;
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t open_fds = 0;
  uint64_t max_fds = 0;           // The soft limit.
  double start_time_seconds = 0;  // Since 1970.
};

// Any thread, some microseconds. A value that cannot be read (no /proc) is 0.
//   Source: getrusage(2), /proc/self/{statm,stat,fd}. Not /proc/stat or /proc/meminfo, which a
//   systemd sandbox hides (ProcSubset=pid).
ProcessStats read_process_stats();

// The families process_*, named as Prometheus' own clients name them.
void write_process_metrics(MetricsWriter& writer, const ProcessStats& stats);

}  // namespace pikaproxy
