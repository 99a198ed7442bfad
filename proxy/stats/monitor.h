#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/command_table.h"

namespace pikaproxy {

class Client;
class Worker;

// MONITOR. Each worker writes down what its clients ask for while anybody watches, and at the end
// of the loop's turn hands that to all workers, who pass it on to those of their clients that
// watch.
//
//   request -> note() -> lines_ --flush()--> every worker: deliver() -> watching clients
//
// Bounded: what is too much for a turn, or for a watcher that does not read, is dropped and
// counted, and the watcher is told. Nobody watching costs a look at is_on(). Worker's thread only.
class Monitors {
 public:
  explicit Monitors(Worker& worker) noexcept : worker_(worker) {}

  bool is_on() const noexcept { return watchers_ > 0; }
  // One more or one less watcher, of whichever worker.
  void change(int by) noexcept { watchers_ += by; }

  // A client of this worker begins, or ends, to watch.
  void add(Client& client);
  void remove(Client& client);

  // A request that is about to be run. Passwords, and what only administrators may run, are not
  // shown; long arguments are cut.
  void note(Client& client, const Command& command, Arguments args);
  // The turn's end.
  void flush();

 private:
  struct Watcher {
    Client* client;
    uint64_t dropped = 0;
  };

  void deliver(const std::string& lines, uint64_t dropped);

  Worker& worker_;
  int watchers_ = 0;  // Of all workers.
  std::vector<Watcher> own_;
  std::string lines_;
  uint64_t dropped_ = 0;
};

// One line as Redis writes it, with its line end: +1339518083.107412 [0 127.0.0.1:60866] "GET" "a"
//   `cut`: so many bytes of an argument are shown.
void append_monitor_line(std::string& out, int64_t unix_us, uint32_t db, std::string_view client,
                         const Command& command, Arguments args, size_t cut);

}  // namespace pikaproxy
