#include "dashboard/mover/batch_size.h"

#include <doctest/doctest.h>

using namespace pikaproxy;
using std::chrono::microseconds;

namespace {

// Steps against a server that takes so long for each key.
size_t settle(BatchSize& size, microseconds per_key) {
  for (int step = 0; step < 200; ++step) size.note(size.keys(), per_key * size.keys());
  return size.keys();
}

}  // namespace

TEST_SUITE("dashboard/mover/batch_size") {
  TEST_CASE("steps are as large as fits into the time, within bounds") {
    BatchSize size;
    CHECK(settle(size, microseconds(10)) >= 100);
    CHECK(size.keys() * microseconds(10) <= BatchSize::kLongest);
    CHECK(settle(size, microseconds(1)) == BatchSize::kLargest);
    CHECK(settle(size, microseconds(20)) <= 100);
    CHECK(size.keys() > BatchSize::kSmallest);
    CHECK(settle(size, microseconds(5000)) == BatchSize::kSmallest);
    CHECK(settle(size, microseconds(10)) >= 100);
  }

  TEST_CASE("one slow step changes nothing, and a step that was not full does not count as quick") {
    BatchSize size;
    size.note(size.keys(), std::chrono::seconds(1));
    CHECK(size.keys() == BatchSize::kFirst);
    size.note(3, microseconds(100));
    CHECK(size.keys() == BatchSize::kFirst);
    size.note(size.keys(), std::chrono::seconds(1));
    CHECK(size.keys() == BatchSize::kFirst);
  }
}
