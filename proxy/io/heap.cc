#include "proxy/io/heap.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <malloc.h>

#include "common/process_stats.h"

namespace pikaproxy {
namespace {

constexpr int kMmapThreshold = 8 * 1024 * 1024;
constexpr int kTrimThreshold = 16 * 1024 * 1024;
constexpr int kTrimAtOnce = 128 * 1024;
// Less than this is not worth the page faults that follow.
constexpr size_t kTrimMinBytes = 1024 * 1024;
constexpr int kAttemptsMax = 4;

// Resident, but not in use by the program. What the allocator calls free may long be given back,
// hence the resident size.
size_t unused_bytes() {
  const struct mallinfo2 heap = ::mallinfo2();
  const size_t in_use = heap.uordblks + heap.hblkhd;
  const size_t resident = read_process_stats().resident_bytes;
  return resident > in_use ? resident - in_use : 0;
}

// malloc_trim() leaves the top of a thread's own heap alone; free() of a large piece cuts it. The
// low threshold holds for this one free() only: under a load of large values every other one would
// give pages back that the next malloc() faults in again. Another thread may raise it too early;
// then the next attempt succeeds.
void trim_own_heap() {
  void* volatile piece = std::malloc(kTrimAtOnce);
  ::mallopt(M_TRIM_THRESHOLD, kTrimAtOnce);
  std::free(piece);
  ::mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
}

}  // namespace

void set_up_heap() noexcept {
  ::mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  ::mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
}

void trim_heap(const std::function<void(void (*)())>& on_workers) {
  // The lowest value ever is the program itself: code, stacks, static data.
  static size_t program_bytes = SIZE_MAX;
  // What several attempts in a row could not give back (pages in part in use) is left alone until
  // there is more of it.
  static size_t untrimmable_bytes = 0;
  static size_t last_wasted = 0;
  static int attempts = 0;
  const size_t unused = unused_bytes();
  program_bytes = std::min(program_bytes, unused);
  const size_t wasted = unused - program_bytes;
  if (wasted > last_wasted + kTrimMinBytes) attempts = 0;  // Another burst.
  last_wasted = wasted;
  untrimmable_bytes = std::min(untrimmable_bytes, wasted);
  if (attempts == kAttemptsMax) untrimmable_bytes = wasted;
  if (wasted <= untrimmable_bytes + kTrimMinBytes) {
    attempts = 0;
    return;
  }
  ++attempts;
  ::malloc_trim(0);
  on_workers(trim_own_heap);
}

}  // namespace pikaproxy
