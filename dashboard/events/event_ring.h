#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "dashboard/events/event_bus.h"

namespace pikaproxy {

inline constexpr std::array<std::string_view, 6> kTopics = {"slots",  "migration", "stats",
                                                            "health", "topology",  "audit"};
// One bit per topic, in the order of kTopics.
using TopicSet = uint8_t;
inline constexpr TopicSet kAllTopics = (1u << kTopics.size()) - 1;
// "slots,stats"; nothing if a name is none of kTopics or there is none.
std::optional<TopicSet> parse_topics(std::string_view list);

// The last events, numbered from 1. Readers are not known here: each remembers the number it has
// seen and asks for what came after, so a slow reader costs nothing, and one that is too slow finds
// a gap. Any thread.
class EventRing : public EventBus {
 public:
  // `bytes_max` is of the events' data.
  explicit EventRing(size_t events_max = 4096, size_t bytes_max = 16u << 20);

  void publish(std::string_view topic, nlohmann::json data) override;

  // Called after each event, on the thread that published it, until it is replaced; empty: none.
  void set_waker(std::function<void()> waker);
  // As after an event: what readers look at beside events has changed.
  void wake();

  struct Event {
    uint64_t number = 0;
    uint8_t topic = 0;  // Index into kTopics.
    int64_t at_ms = 0;
    std::shared_ptr<const std::string> data;  // JSON on one line.
  };
  struct Slice {
    std::deque<Event> events;
    uint64_t seen = 0;    // What to ask with next: the last event that was looked at.
    bool is_gap = false;  // Events behind `after` are gone, or `after` was never given out.
  };
  // Events of the topics behind number `after`, until their data has `bytes` bytes or more.
  Slice read(uint64_t after, TopicSet topics, size_t bytes) const;

  // The number of the last event; 0 before the first.
  uint64_t last() const;

  // "<boot>-<number>": the boot part differs for each object, so that numbers of an earlier process
  // are not taken for ours.
  std::string id_of(uint64_t number) const { return boot_ + "-" + std::to_string(number); }
  // Nothing for an id of another boot or one that is no id.
  std::optional<uint64_t> number_of(std::string_view id) const;

 private:
  const size_t events_max_;
  const size_t bytes_max_;
  const std::string boot_;
  mutable std::mutex mutex_;
  std::deque<Event> events_;  // Guarded by mutex_; numbers without gaps.
  size_t bytes_ = 0;          // Guarded by mutex_.
  uint64_t last_ = 0;         // Guarded by mutex_.
  std::mutex waker_mutex_;
  std::function<void()> waker_;  // Guarded by waker_mutex_.
};

}  // namespace pikaproxy
