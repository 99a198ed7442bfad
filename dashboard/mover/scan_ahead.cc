#include "dashboard/mover/scan_ahead.h"

#include <utility>

#include "dashboard/http/http_workers.h"

namespace pikaproxy {
namespace {

// Enough to have one ready.
constexpr size_t kChunksMax = 2;
// Steps of SCAN whose keys are put together, and how many keys are enough for a chunk.
constexpr int kStepsMax = 16;
constexpr size_t kChunkKeys = 1000;

}  // namespace

ScanAhead::ScanAhead(RouteState& state, std::vector<DatabaseSize> databases,
                     std::function<bool(const std::string& key)> is_wanted)
    : is_wanted_(std::move(is_wanted)), links_(state) {
  thread_ = start_quiet_thread("mover-ahead", [this, databases = std::move(databases)]() mutable {
    run(std::move(databases));
  });
}

ScanAhead::~ScanAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool ScanAhead::next(Chunk& chunk) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return at_end_ || !chunks_.empty(); });
  if (chunks_.empty()) return false;
  chunk = std::move(chunks_.front());
  chunks_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return true;
}

void ScanAhead::run(std::vector<DatabaseSize> databases) {
  for (const DatabaseSize& database : databases) {
    if (!scan(database.db)) break;
  }
  {
    const std::lock_guard lock(mutex_);
    at_end_ = true;
  }
  changed_.notify_all();
}

bool ScanAhead::scan(uint32_t db) {
  const auto fail = [this](const std::string& error) {
    const std::lock_guard lock(mutex_);
    error_ = error;
    return false;
  };
  std::string cursor = "0";
  std::string error;
  std::vector<std::string> keys;
  do {
    Chunk chunk;
    chunk.db = db;
    int steps = 0;
    do {
      ServerLink* const source = links_.get(RouteState::End::kSource, db);
      if (!source) return fail(links_.error());
      if (!scan_step(*source, cursor, keys, error, kCommandTimeout)) {
        if (source->is_broken()) links_.lose(RouteState::End::kSource);
        return fail(error);
      }
      chunk.scanned += keys.size();
      for (std::string& key : keys) {
        if (is_wanted_(key)) chunk.keys.push_back(std::move(key));
      }
    } while (cursor != "0" && chunk.keys.size() < kChunkKeys && ++steps < kStepsMax);
    if (!chunk.keys.empty() && !probe_keys(links_, db, chunk.keys, chunk.bytes)) {
      return fail(links_.error());
    }
    if (!put(std::move(chunk))) return false;
  } while (cursor != "0");
  return true;
}

bool ScanAhead::put(Chunk chunk) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_ || chunks_.size() < kChunksMax; });
    if (stopped_) return false;
    chunks_.push_back(std::move(chunk));
  }
  changed_.notify_all();
  return true;
}

}  // namespace pikaproxy
