#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pikaproxy {

// Which Host headers the server answers to: the guard against DNS rebinding, where a web page makes
// its own name point to our address so that the browser lets it talk to us. Such a request always
// carries that name. Hence any IP literal is allowed (nobody can make one point elsewhere), and so
// are "localhost" and the names given here; every other name is refused. The port is not looked at:
// people forward ports.
class HostCheck {
 public:
  // Names or addresses without ports; case does not matter.
  explicit HostCheck(const std::vector<std::string>& names);

  // `host` is the Host header's value: "name", "name:port", "1.2.3.4:port", "[v6]:port".
  bool allows(std::string_view host) const;

 private:
  const std::vector<std::string> names_;
};

}  // namespace pikaproxy
