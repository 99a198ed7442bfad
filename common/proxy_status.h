#pragma once

#include <string>

namespace pikaproxy {

// What the admin port may ask of the running proxy. Any thread; answers at once.
class ProxyStatus {
 public:
  virtual ~ProxyStatus() = default;

  // The page of /metrics: Prometheus text format 0.0.4.
  virtual std::string metrics() const = 0;

  // Empty when the proxy serves; otherwise the sentence for /readyz that says what is missing
  // ("draining", "no server of group g2 is reachable").
  virtual std::string not_ready_reason() const = 0;
};

}  // namespace pikaproxy
