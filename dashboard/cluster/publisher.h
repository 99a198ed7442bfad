#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/proxy_control.h"
#include "common/slot_table.h"

namespace pikaproxy {

// Brings tables to proxies and knows who has put which in force. What a proxy refuses or loses is
// pushed again, always the newest table. Any thread.
class Publisher {
 public:
  struct Proxy {
    std::string name;
    ProxyControl* control = nullptr;  // Outlives the publisher.
  };
  // How far a proxy is.
  struct Progress {
    std::string name;
    uint64_t epoch = 0;  // In force and drained; 0 = nothing yet.
    std::string
        problem;  // Why the newest table is not in force; empty while that is being awaited.
  };

  // `retry_pause`: between attempts to push a table that was refused. `acknowledged` is called on
  // any thread when a proxy has come further; it must neither block nor call the publisher.
  Publisher(std::vector<Proxy> proxies, std::chrono::milliseconds retry_pause,
            std::function<void()> acknowledged);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Returns at once. Tables come in the order of their epochs.
  void publish(std::shared_ptr<const SlotTable> table);

  // Whether every proxy has put this table or a newer one in force. For a slot that stays locked
  // from `epoch` on, a newer one's acknowledgement says the same as its own: see ProxyControl.
  bool acknowledged(uint64_t epoch) const;
  // Waits for that. Empty: so it is; otherwise who is missing, as a sentence's subject
  // ("proxy local").
  std::string wait(uint64_t epoch, std::chrono::milliseconds timeout) const;
  // What the proxies said when they gave up putting this table in force; may be empty.
  std::string reason(uint64_t epoch) const;

  std::vector<Progress> progress() const;

  // Pushes the newest table to all proxies once more.
  void repeat() const;

  // Waits end. Nothing is pushed any more.
  void stop();

 private:
  struct Shared;

  static void push(const std::shared_ptr<Shared>& shared, size_t proxy,
                   std::shared_ptr<const SlotTable> table);
  void push_again();

  const std::shared_ptr<Shared> shared_;  // Answers may come when the publisher is gone.
  std::thread retrier_;
};

}  // namespace pikaproxy
