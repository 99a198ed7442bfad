#include "common/process_stats.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("common/process_stats") {
  TEST_CASE("memory, limits and the start are plausible") {
    const ProcessStats stats = read_process_stats();
    CHECK(stats.resident_bytes > 100'000);
    CHECK(stats.resident_bytes <= stats.virtual_bytes);
    CHECK(stats.open_fds >= 3);
    CHECK(stats.open_fds < stats.max_fds);
    const auto now = static_cast<double>(::time(nullptr));
    CHECK(stats.start_time_seconds <= now + 1);
    CHECK(stats.start_time_seconds > now - 86'400);
    CHECK(read_process_stats().start_time_seconds == stats.start_time_seconds);
  }

  TEST_CASE("each open descriptor counts") {
    const uint64_t before = read_process_stats().open_fds;
    std::vector<int> fds;
    for (int i = 0; i < 10; ++i) fds.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(read_process_stats().open_fds == before + 10);
    for (const int fd : fds) ::close(fd);
    CHECK(read_process_stats().open_fds == before);
  }

  TEST_CASE("CPU time grows with work") {
    const auto used = [] {
      const ProcessStats stats = read_process_stats();
      return stats.cpu_user_seconds + stats.cpu_system_seconds;
    };
    const double before = used();
    volatile uint64_t work = 0;
    while (used() <= before) {
      for (int i = 0; i < 100'000; ++i) work = work + 1;
    }
    CHECK(used() > before);
  }
}
