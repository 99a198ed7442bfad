#include "dashboard/events/event_sources.h"

#include "dashboard/api/json_text.h"
#include "dashboard/api/time_text.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kHeartbeat{10};
constexpr size_t kPieceBytes = 64 << 10;

}  // namespace

EventStream::EventStream(const EventRing& ring, EventPosition position,
                         std::function<bool()> is_valid)
    : ring_(ring), start_(position), is_valid_(std::move(is_valid)) {}

HttpBodySource::Pull EventStream::pull(std::string& out, Clock::time_point now) {
  const size_t size_before = out.size();
  const auto resync = [&](uint64_t number) {
    seen_ = number;
    out += "id: " + ring_.id_of(number) + "\nevent: resync\ndata: {}\n\n";
  };
  if (!has_begun_) {
    has_begun_ = true;
    out += "retry: 2000\n\n";
    if (start_.seen) {
      seen_ = *start_.seen;
      // An id without data is remembered by the client and not shown to anybody.
      out += "id: " + ring_.id_of(seen_) + "\n\n";
    } else {
      resync(ring_.last());
    }
  }
  if (!is_valid_()) {
    out += "event: bye\ndata: {\"reason\":\"session_ended\"}\n\n";
    return {.is_end = true};
  }
  const EventRing::Slice slice = ring_.read(seen_, start_.topics, kPieceBytes);
  if (slice.is_gap) {
    resync(slice.seen);
  } else {
    seen_ = slice.seen;
    for (const EventRing::Event& event : slice.events) {
      out += "id: " + ring_.id_of(event.number) + "\nevent: ";
      out += kTopics[event.topic];
      out += "\ndata: " + *event.data + "\n\n";
    }
  }
  if (out.size() == size_before && now >= beat_at_) out += ": \n\n";
  if (out.size() > size_before) beat_at_ = now + kHeartbeat;
  return {.again_at = beat_at_};
}

EventPoll::EventPoll(const EventRing& ring, EventPosition position, std::chrono::seconds wait)
    : ring_(ring),
      start_(position),
      until_(Clock::now() + wait),
      seen_(position.seen.value_or(0)) {}

HttpBodySource::Pull EventPoll::pull(std::string& out, Clock::time_point now) {
  EventRing::Slice slice;
  slice.is_gap = true;
  slice.seen = ring_.last();
  if (start_.seen) slice = ring_.read(seen_, start_.topics, kPieceBytes);
  seen_ = slice.seen;
  if (!slice.is_gap && slice.events.empty() && now < until_) return {.again_at = until_};
  // Written by hand around data that is JSON already.
  out += "{\"resync\":";
  out += slice.is_gap ? "true" : "false";
  out += ",\"next\":\"" + ring_.id_of(slice.seen) + "\",\"events\":[";
  const char* comma = "";
  for (const EventRing::Event& event : slice.events) {
    out += comma;
    out += "{\"id\":\"" + ring_.id_of(event.number) + "\",\"topic\":\"";
    out += kTopics[event.topic];
    out += "\",\"at\":\"" + time_text(event.at_ms) + "\",\"data\":" + *event.data + "}";
    comma = ",";
  }
  out += "]}\n";
  return {.is_end = true};
}

}  // namespace pikaproxy
