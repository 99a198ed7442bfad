#include "dashboard/events/event_api.h"

#include "common/text.h"
#include "dashboard/api/query_reader.h"
#include "dashboard/events/event_sources.h"

namespace pikaproxy {
namespace {

constexpr int64_t kWaitMax = 30;
constexpr int64_t kWaitDefault = 25;

EventPosition read_position(QueryReader& query, const EventRing& ring, const std::string* seen) {
  EventPosition position;
  if (const auto list = query.text("topics")) {
    const auto topics = parse_topics(*list);
    if (!topics)
      query.fail("topics", "Must be a list such as slots,stats of " + join(kTopics) + ".");
    position.topics = topics.value_or(kAllTopics);
  }
  position.seen = seen == nullptr ? ring.last() : ring.number_of(*seen);
  return position;
}

ApiResult open_stream(const EventRing& ring, const CredentialWatch& watch,
                      const ApiRequest& request) {
  QueryReader query(request);
  // The header is what a browser sends when it connects again, and newer than the address.
  const std::string* seen = request.http.header("last-event-id");
  if (seen == nullptr) seen = request.http.query_value("after");
  const EventPosition position = read_position(query, ring, seen);
  if (auto problem = query.finish()) return *problem;
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers = {{"X-Accel-Buffering", "no"}};
  response.source = std::make_shared<EventStream>(ring, position, watch(request.http));
  response.is_stream = true;
  ApiReply reply;
  reply.http = std::move(response);
  return reply;
}

ApiResult poll(const EventRing& ring, const ApiRequest& request) {
  QueryReader query(request);
  const EventPosition position = read_position(query, ring, request.http.query_value("after"));
  const int64_t wait = query.integer("wait", 0, kWaitMax).value_or(kWaitDefault);
  if (auto problem = query.finish()) return *problem;
  // Who has seen nothing yet is told at once where to begin.
  const bool is_first = request.http.query_value("after") == nullptr;
  HttpResponse response;
  response.content_type = "application/json";
  response.source =
      std::make_shared<EventPoll>(ring, position, std::chrono::seconds(is_first ? 0 : wait));
  ApiReply reply;
  reply.http = std::move(response);
  return reply;
}

}  // namespace

std::vector<ApiRoute> event_routes(const EventRing& ring, CredentialWatch watch) {
  return {
      {.method = "GET",
       .path = "/events",
       .operation_id = "streamEvents",
       .query = {"topics", "after"},
       .handler = [&ring, watch = std::move(watch)](
                      const ApiRequest& request) { return open_stream(ring, watch, request); }},
      {.method = "GET",
       .path = "/events/poll",
       .operation_id = "pollEvents",
       .query = {"topics", "after", "wait"},
       .handler = [&ring](const ApiRequest& request) { return poll(ring, request); }},
  };
}

}  // namespace pikaproxy
