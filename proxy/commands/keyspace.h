#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace pikaproxy {

class Worker;

// How many keys all groups have, by database, added up from what their servers say of themselves.
class Keyspace {
 public:
  // The text of a server's INFO keyspace. A Pika counts the keys of each type.
  //   Source: Redis' "db0:keys=12,expires=3,avg_ttl=9876", Pika 4.0's
  //   "db0 Strings_keys=12, expires=3, invalid_keys=0".
  void add(std::string_view info);
  // A group whose keys are not among them.
  void add_unknown(std::string_view group);
  // The lines of our own INFO; the average time to live is that of all keys that have one.
  std::string lines() const;

 private:
  struct Database {
    uint64_t keys = 0;
    uint64_t expires = 0;
    double ttl_sum = 0;  // Milliseconds.
  };

  std::map<uint32_t, Database> databases_;
  std::string unknown_;  // "g1,g2"
};

// Asks the masters of all groups that serve anything. `done` gets what they say, on this thread,
// maybe within the call; who cannot be asked, or has not answered in a second, is unknown.
void ask_keyspace(Worker& worker, std::function<void(const Keyspace&)> done);

}  // namespace pikaproxy
