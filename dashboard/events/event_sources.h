#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "dashboard/events/event_ring.h"
#include "dashboard/http/http_body_source.h"

namespace pikaproxy {

// Where a client stands: nothing if what it said it has seen is not of this ring.
struct EventPosition {
  TopicSet topics = kAllTopics;
  // The last event it has seen; the present one if it has said nothing.
  std::optional<uint64_t> seen;
};

// The body of GET /events: server-sent events. Begins with `retry: 2000` and the id it starts from;
// `event: resync` tells a client that it has missed something and must load everything again;
// `event: bye` that its session has ended. A comment every 10 s shows both sides that the other is
// there.
class EventStream : public HttpBodySource {
 public:
  // `ring` outlives it. `is_valid` says whether the client's session goes on; loop thread.
  EventStream(const EventRing& ring, EventPosition position, std::function<bool()> is_valid);

  Pull pull(std::string& out, Clock::time_point now) override;

 private:
  const EventRing& ring_;
  const EventPosition start_;
  const std::function<bool()> is_valid_;
  bool has_begun_ = false;
  uint64_t seen_ = 0;
  Clock::time_point beat_at_{};
};

// The body of GET /events/poll: answers when there is an event, or when the time is up.
class EventPoll : public HttpBodySource {
 public:
  EventPoll(const EventRing& ring, EventPosition position, std::chrono::seconds wait);

  Pull pull(std::string& out, Clock::time_point now) override;

 private:
  const EventRing& ring_;
  const EventPosition start_;
  const Clock::time_point until_;
  uint64_t seen_ = 0;
};

}  // namespace pikaproxy
