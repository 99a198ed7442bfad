#include "dashboard/events/event_ring.h"

#include <doctest/doctest.h>

#include "dashboard/events/event_sources.h"

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

const HttpBodySource::Clock::time_point kNow{1h};

// What the stream sends now.
std::string take(HttpBodySource& source, HttpBodySource::Clock::time_point now = kNow) {
  std::string out;
  source.pull(out, now);
  return out;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_SUITE("dashboard/events/event_ring") {
  TEST_CASE("a reader gets what came after what it has seen, of its topics") {
    EventRing ring;
    for (int i = 1; i <= 4; ++i) ring.publish(i % 2 == 0 ? "slots" : "stats", {{"i", i}});
    auto all = ring.read(1, kAllTopics, 1 << 20);
    CHECK(all.events.size() == 3);
    CHECK(*all.events[0].data == "{\"i\":2}");
    CHECK(all.seen == 4);
    auto slots = ring.read(0, *parse_topics("slots"), 1 << 20);
    CHECK(slots.events.size() == 2);
    CHECK(slots.seen == 4);
    CHECK(ring.read(4, kAllTopics, 1 << 20).events.empty());
    CHECK(ring.read(0, kAllTopics, 1).events.size() == 1);
    CHECK(ring.read(0, kAllTopics, 1).seen == 1);
  }

  TEST_CASE("a gap is said: too old, from the future, of another ring") {
    EventRing ring(4);
    for (int i = 1; i <= 10; ++i) ring.publish("stats", i);
    CHECK(ring.read(5, kAllTopics, 1 << 20).is_gap);
    CHECK_FALSE(ring.read(6, kAllTopics, 1 << 20).is_gap);
    CHECK(ring.read(6, kAllTopics, 1 << 20).events.size() == 4);
    CHECK(ring.read(11, kAllTopics, 1 << 20).is_gap);
    CHECK(ring.read(UINT64_MAX, kAllTopics, 1 << 20).is_gap);
    CHECK(ring.number_of(ring.id_of(7)) == 7);
    CHECK_FALSE(ring.number_of(EventRing().id_of(7)));
    for (const char* id : {"", "7", "-7", "x-7"}) CHECK_FALSE(ring.number_of(id));
    CHECK_FALSE(ring.number_of(ring.id_of(7) + "x"));
  }

  TEST_CASE("bytes are bounded as well as events") {
    EventRing ring(4096, 1000);
    for (int i = 0; i < 100; ++i) ring.publish("stats", std::string(98, 'x'));
    CHECK(ring.read(90, kAllTopics, 1 << 20).events.size() == 10);
    CHECK(ring.read(89, kAllTopics, 1 << 20).is_gap);
    ring.publish("stats", std::string(5000, 'x'));
    CHECK(ring.read(100, kAllTopics, 1 << 20).events.size() == 1);
  }

  TEST_CASE("topics are read from a list") {
    CHECK(parse_topics("slots,audit") == TopicSet(1u | 1u << 5));
    for (const char* list : {"", "slot", "slots,", ",slots", "slots stats"}) {
      CHECK_FALSE(parse_topics(list));
    }
  }
}

TEST_SUITE("dashboard/events/event_sources") {
  TEST_CASE("a stream begins with its place, then sends events, and beats when there are none") {
    EventRing ring;
    ring.publish("stats", 1);
    EventStream stream(ring, {kAllTopics, ring.last()}, [] { return true; });
    CHECK(take(stream) == "retry: 2000\n\nid: " + ring.id_of(1) + "\n\n");
    CHECK(take(stream) == "");
    ring.publish("slots", {{"a", "x\ny"}});
    CHECK(take(stream) == "id: " + ring.id_of(2) + "\nevent: slots\ndata: {\"a\":\"x\\ny\"}\n\n");
    CHECK(take(stream, kNow + 9s) == "");
    CHECK(take(stream, kNow + 10s) == ": \n\n");
  }

  TEST_CASE("a stream that cannot go on where the client stopped says resync") {
    EventRing ring(4);
    for (int i = 0; i < 10; ++i) ring.publish("stats", i);
    const std::string resync = "id: " + ring.id_of(10) + "\nevent: resync\ndata: {}\n\n";
    EventStream other_boot(ring, {kAllTopics, std::nullopt}, [] { return true; });
    CHECK(take(other_boot) == "retry: 2000\n\n" + resync);
    EventStream too_old(ring, {kAllTopics, 2}, [] { return true; });
    CHECK(count(take(too_old), "event: resync") == 1);
    // A client that does not read falls behind while it is connected.
    EventStream slow(ring, {kAllTopics, 10}, [] { return true; });
    take(slow);
    for (int i = 0; i < 5; ++i) ring.publish("stats", i);
    CHECK(count(take(slow), "event: resync") == 1);
    ring.publish("stats", 1);
    CHECK(count(take(slow), "event: stats") == 1);
  }

  TEST_CASE("a stream ends with bye when the session does") {
    EventRing ring;
    bool is_valid = true;
    EventStream stream(ring, {kAllTopics, 0}, [&] { return is_valid; });
    take(stream);
    ring.publish("stats", 1);
    is_valid = false;
    std::string out;
    CHECK(stream.pull(out, kNow).is_end);
    CHECK(out == "event: bye\ndata: {\"reason\":\"session_ended\"}\n\n");
  }

  TEST_CASE("a large backlog comes in pieces") {
    EventRing ring;
    for (int i = 0; i < 100; ++i) ring.publish("stats", std::string(10'000, 'x'));
    EventStream stream(ring, {kAllTopics, 0}, [] { return true; });
    size_t events = 0;
    for (int pulls = 0; pulls < 100 && events < 100; ++pulls) {
      const std::string piece = take(stream);
      CHECK(piece.size() < 80 << 10);
      events += count(piece, "event: stats");
    }
    CHECK(events == 100);
  }

  TEST_CASE("a poll answers when something happens, or when the time is up") {
    EventRing ring;
    ring.publish("stats", 1);
    EventPoll poll(ring, {kAllTopics, 1}, 5s);
    std::string out;
    const auto now = HttpBodySource::Clock::now();
    const auto waiting = poll.pull(out, now);
    CHECK_FALSE(waiting.is_end);
    CHECK(waiting.again_at > now);
    ring.publish("slots", {{"n", 2}});
    CHECK(poll.pull(out, now).is_end);
    auto answer = nlohmann::json::parse(out);
    CHECK(answer["resync"] == false);
    CHECK(answer["next"] == ring.id_of(2));
    CHECK(answer["events"].size() == 1);
    CHECK(answer["events"][0]["data"]["n"] == 2);

    EventPoll idle(ring, {kAllTopics, 2}, 5s);
    out.clear();
    CHECK(idle.pull(out, now + 10s).is_end);
    CHECK(nlohmann::json::parse(out)["events"].empty());

    EventPoll lost(ring, {kAllTopics, std::nullopt}, 5s);
    out.clear();
    CHECK(lost.pull(out, now).is_end);
    CHECK(nlohmann::json::parse(out)["resync"] == true);
  }
}
