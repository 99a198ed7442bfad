#include "common/process_stats.h"

#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace pikaproxy {
namespace {

// A small file of /proc, in one read; empty if there is none.
std::string read_small_file(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char bytes[4096];
  const ssize_t size = ::read(fd, bytes, sizeof bytes);
  ::close(fd);
  return size > 0 ? std::string(bytes, static_cast<size_t>(size)) : std::string();
}

// Field `index` (from 0) of a text separated by single blanks; 0 if it is no number.
uint64_t field(std::string_view text, int index) {
  for (; index > 0; --index) {
    const size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return 0;
    text.remove_prefix(blank + 1);
  }
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double clock_seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double read_start_time() {
  // The second field is the program's name in parentheses, which may hold blanks and parentheses.
  const std::string stat = read_small_file("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  // Field 22 of proc(5), in ticks since the machine's boot; what follows the name begins with
  // field 3.
  const uint64_t ticks = field(std::string_view(stat).substr(name_end + 2), 22 - 3);
  const double age = clock_seconds(CLOCK_BOOTTIME) -
                     static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return clock_seconds(CLOCK_REALTIME) - age;
}

uint64_t count_open_fds() {
  // Linux 6.2 and later know the number; listing ten thousand entries takes milliseconds.
  struct stat info {};
  if (::stat("/proc/self/fd", &info) != 0) return 0;
  if (info.st_size > 0) return static_cast<uint64_t>(info.st_size);
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(directory);
  return count > 0 ? count - 1 : 0;  // Without the directory's own.
}

}  // namespace

ProcessStats read_process_stats() {
  ProcessStats stats;
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.cpu_user_seconds = seconds(usage.ru_utime);
    stats.cpu_system_seconds = seconds(usage.ru_stime);
  }
  const std::string statm = read_small_file("/proc/self/statm");
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  stats.virtual_bytes = field(statm, 0) * page_bytes;
  stats.resident_bytes = field(statm, 1) * page_bytes;
  stats.open_fds = count_open_fds();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_fds = limit.rlim_cur;
  // Once: computed anew it would move with every correction of the machine's clock.
  static const double start_time = read_start_time();
  stats.start_time_seconds = start_time;
  return stats;
}

void write_process_metrics(MetricsWriter& writer, const ProcessStats& stats) {
  writer.family("process_cpu_seconds_total", "counter", "CPU time used, user and system.");
  writer.sample({}, stats.cpu_user_seconds + stats.cpu_system_seconds);
  writer.family("process_resident_memory_bytes", "gauge", "Memory that is in RAM.");
  writer.sample({}, stats.resident_bytes);
  writer.family("process_virtual_memory_bytes", "gauge", "Address space in use.");
  writer.sample({}, stats.virtual_bytes);
  writer.family("process_open_fds", "gauge", "Open file descriptors.");
  writer.sample({}, stats.open_fds);
  writer.family("process_max_fds", "gauge", "File descriptors that may be open.");
  writer.sample({}, stats.max_fds);
  writer.family("process_start_time_seconds", "gauge", "When the process started, since 1970.");
  writer.sample({}, stats.start_time_seconds);
}

}  // namespace pikaproxy
