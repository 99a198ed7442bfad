#pragma once

#include <functional>
#include <vector>

#include "dashboard/api/api_route.h"
#include "dashboard/events/event_ring.h"

namespace pikaproxy {

// Given a request that was let in: whether its credential is valid still, for as long as its stream
// goes on. Loop thread.
using CredentialWatch = std::function<std::function<bool()>(const HttpRequest&)>;

// GET /events and GET /events/poll. `ring` outlives the server.
std::vector<ApiRoute> event_routes(const EventRing& ring, CredentialWatch watch);

}  // namespace pikaproxy
