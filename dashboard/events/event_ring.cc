#include "dashboard/events/event_ring.h"

#include <algorithm>
#include <charconv>

#include "common/log.h"
#include "dashboard/api/json_text.h"
#include "dashboard/api/time_text.h"
#include "dashboard/auth/secrets.h"

namespace pikaproxy {

std::optional<TopicSet> parse_topics(std::string_view list) {
  TopicSet topics = 0;
  while (true) {
    const std::string_view name = list.substr(0, list.find(','));
    const auto found = std::find(kTopics.begin(), kTopics.end(), name);
    if (found == kTopics.end()) return std::nullopt;
    topics = static_cast<TopicSet>(topics | 1u << (found - kTopics.begin()));
    if (name.size() == list.size()) return topics;
    list.remove_prefix(name.size() + 1);
  }
}

// Base64's "-" would end the boot part early.
static std::string make_boot() {
  return sha256_hex(random_text(16)).substr(0, 12);
}

EventRing::EventRing(size_t events_max, size_t bytes_max)
    : events_max_(events_max), bytes_max_(bytes_max), boot_(make_boot()) {}

void EventRing::publish(std::string_view topic, nlohmann::json data) {
  const auto found = std::find(kTopics.begin(), kTopics.end(), topic);
  if (found == kTopics.end()) {
    log_error("event of an unknown topic is dropped", "topic", topic);
    return;
  }
  Event event;
  event.topic = static_cast<uint8_t>(found - kTopics.begin());
  event.at_ms = now_ms();
  std::string text = dump_json(data);
  text.pop_back();  // The line end.
  const size_t size = text.size();
  event.data = std::make_shared<const std::string>(std::move(text));
  {
    const std::lock_guard lock(mutex_);
    event.number = ++last_;
    events_.push_back(std::move(event));
    bytes_ += size;
    while (events_.size() > events_max_ || (bytes_ > bytes_max_ && events_.size() > 1)) {
      bytes_ -= events_.front().data->size();
      events_.pop_front();
    }
  }
  wake();
}

void EventRing::wake() {
  const std::lock_guard lock(waker_mutex_);
  if (waker_) waker_();
}

void EventRing::set_waker(std::function<void()> waker) {
  const std::lock_guard lock(waker_mutex_);
  waker_ = std::move(waker);
}

EventRing::Slice EventRing::read(uint64_t after, TopicSet topics, size_t bytes) const {
  Slice slice;
  const std::lock_guard lock(mutex_);
  slice.seen = last_;
  const uint64_t first = last_ - events_.size() + 1;
  if (after > last_ || after + 1 < first) {
    slice.is_gap = true;
    return slice;
  }
  size_t taken = 0;
  for (size_t i = after + 1 - first; i < events_.size(); ++i) {
    const Event& event = events_[i];
    if ((topics >> event.topic & 1) == 0) continue;
    slice.events.push_back(event);
    taken += event.data->size();
    if (taken >= bytes) {
      slice.seen = event.number;
      break;
    }
  }
  return slice;
}

uint64_t EventRing::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

std::optional<uint64_t> EventRing::number_of(std::string_view id) const {
  if (!id.starts_with(boot_ + "-")) return std::nullopt;
  id.remove_prefix(boot_.size() + 1);
  uint64_t number = 0;
  const auto [end, ec] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (ec != std::errc() || end != id.data() + id.size()) return std::nullopt;
  return number;
}

}  // namespace pikaproxy
