#include "proxy/stats/hot_keys.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

namespace pikaproxy {

void HotKeys::note(std::string_view key, uint32_t unit, Clock::time_point now) noexcept {
  // Gaps of different lengths: requests that come in a pattern must not be missed by it.
  until_due_ = 1 + static_cast<uint32_t>(random_() % (2 * kSampleEvery - 1));
  if (now - windows_[present_].began >= kWindow) {
    present_ = 1 - present_;
    windows_[present_].size = 0;
    windows_[present_].began = now;
  }
  Window& window = windows_[present_];
  const uint64_t hash = std::hash<std::string_view>()(key);
  const auto end = window.hashes.begin() + static_cast<ptrdiff_t>(window.size);
  const auto known = std::find(window.hashes.begin(), end, hash);
  if (known != end) {
    ++window.entries[static_cast<size_t>(known - window.hashes.begin())].count;
    return;
  }
  size_t place = window.size;
  uint32_t error = 0;
  if (window.size < kKept) {
    ++window.size;
  } else {
    const auto least = std::min_element(
        window.entries.begin(), window.entries.end(),
        [](const Entry& one, const Entry& other) { return one.count < other.count; });
    place = static_cast<size_t>(least - window.entries.begin());
    error = least->count;
  }
  window.hashes[place] = hash;
  Entry& entry = window.entries[place];
  entry.count = error + 1;
  entry.error = error;
  entry.unit = unit;
  entry.key_bytes = static_cast<uint32_t>(key.size());
  std::memcpy(entry.key.data(), key.data(), std::min(key.size(), kKeyBytesMax));
}

std::vector<ProxyHotKey> HotKeys::read(Clock::time_point now) const {
  std::map<uint64_t, ProxyHotKey> by_hash;
  Clock::time_point began = now;
  for (const Window& window : windows_) {
    if (window.size == 0 || now - window.began >= 2 * kWindow) continue;
    began = std::min(began, window.began);
    for (size_t i = 0; i < window.size; ++i) {
      const Entry& entry = window.entries[i];
      ProxyHotKey& key = by_hash[window.hashes[i]];
      key.key.assign(entry.key.data(), std::min<size_t>(entry.key_bytes, kKeyBytesMax));
      key.key_bytes = entry.key_bytes;
      key.slot = static_cast<SlotId>(entry.unit % kSlotCount);
      key.ops_per_second += entry.count - entry.error;
    }
  }
  const double seconds = std::max(1.0, std::chrono::duration<double>(now - began).count());
  std::vector<ProxyHotKey> keys;
  for (auto& [hash, key] : by_hash) {
    if (key.ops_per_second < 2) continue;
    key.ops_per_second *= kSampleEvery / seconds;
    keys.push_back(std::move(key));
  }
  std::sort(keys.begin(), keys.end(), [](const ProxyHotKey& one, const ProxyHotKey& other) {
    return one.ops_per_second > other.ops_per_second;
  });
  return keys;
}

}  // namespace pikaproxy
