#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

namespace pikaproxy {

// Where parts of the dashboard tell what happened, for the event stream. Topics: "slots",
// "migration", "stats", "health", "topology", "audit".
class EventBus {
 public:
  virtual ~EventBus() = default;
  // Any thread; returns at once. `data` holds no secrets.
  virtual void publish(std::string_view topic, nlohmann::json data) = 0;
};

}  // namespace pikaproxy
