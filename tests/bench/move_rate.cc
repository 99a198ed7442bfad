// Keys per second that the engine moves between two servers that are running already:
//
//   move_rate SOURCE TARGET migrate|copy KEYS [VALUE_BYTES]
//
// Fills SOURCE with KEYS strings under keys of all slots first; both should be empty before.

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "common/address.h"
#include "dashboard/mover/move_engine.h"
#include "dashboard/mover/server_link.h"

namespace {

using namespace pikaproxy;

class Counter : public MoveObserver {
 public:
  void slot_clean(uint64_t, SlotId) override {
    const std::lock_guard lock(mutex_);
    ++clean_;
    changed_.notify_all();
  }
  void job_problem(uint64_t, std::string text) override {
    std::fprintf(stderr, "problem: %s\n", text.c_str());
  }
  void job_warning(uint64_t, std::string text) override {
    std::fprintf(stderr, "warning: %s\n", text.c_str());
  }
  void wait(size_t slots) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return clean_ == slots; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t clean_ = 0;
};

int fail(const std::string& message) {
  std::fprintf(stderr, "move_rate: %s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return fail("usage: move_rate SOURCE TARGET migrate|copy KEYS [VALUE_BYTES]");
  const auto source = parse_address(argv[1]);
  const auto target = parse_address(argv[2]);
  if (!source || !target) return fail("SOURCE and TARGET are host:port.");
  const MoverKind mover =
      std::string(argv[3]) == "migrate" ? MoverKind::kMigrate : MoverKind::kCopy;
  const long keys = std::atol(argv[4]);
  const std::string value(argc > 5 ? static_cast<size_t>(std::atol(argv[5])) : 64, 'v');
  auto link = ServerLink::connect({*source, "", ""}, "", std::chrono::seconds(5));
  if (!link) return fail(link.error());
  std::vector<Reply> replies;
  for (long i = 0; i < keys; ++i) {
    (*link)->add({"SET", "key:" + std::to_string(i), value});
    if ((*link)->added() < 10000 && i + 1 < keys) continue;
    if (!(*link)->exchange(replies, std::chrono::seconds(60))) return fail((*link)->error());
  }
  Counter counter;
  const auto engine = MoveEngine::make("bench", counter);
  const auto begin = std::chrono::steady_clock::now();
  engine->open_job(1, {{*source, "", ""}, {*target, "", ""}, mover}, {});
  std::vector<SlotId> slots(kSlotCount);
  for (SlotId slot = 0; slot < kSlotCount; ++slot) slots[slot] = slot;
  engine->add_slots(1, slots);
  counter.wait(slots.size());
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const uint64_t moved = engine->progress(1).keys_moved;
  std::printf("%llu keys of %zu bytes in %.2f s: %.0f keys/s\n",
              static_cast<unsigned long long>(moved), value.size(), seconds,
              static_cast<double>(moved) / seconds);
  engine->stop();
  return 0;
}
