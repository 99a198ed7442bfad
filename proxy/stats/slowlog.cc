#include "proxy/stats/slowlog.h"

#include <charconv>
#include <time.h>

#include "proxy/backend/backend.h"
#include "proxy/client/client.h"
#include "proxy/client/task.h"

namespace pikaproxy {
namespace {

std::atomic<uint64_t> next_id{0};

// The arguments of a RESP request of which only the first bytes are at hand.
std::vector<std::string> arguments_of(std::string_view prefix) {
  std::vector<std::string> args;
  size_t at = prefix.find("\r\n");
  if (at == std::string_view::npos) return args;
  at += 2;
  while (at < prefix.size() && prefix[at] == '$') {
    const size_t line_end = prefix.find("\r\n", at);
    if (line_end == std::string_view::npos) break;
    uint64_t length = 0;
    std::from_chars(prefix.data() + at + 1, prefix.data() + line_end, length);
    const std::string_view rest = prefix.substr(line_end + 2);
    if (rest.size() < length) {
      args.push_back(std::string(rest) + "... (" + std::to_string(length - rest.size()) +
                     " more bytes)");
      break;
    }
    args.emplace_back(rest.substr(0, length));
    at = line_end + 2 + length + 2;
  }
  return args;
}

}  // namespace

void Slowlog::configure(const SlowlogConfig& config) {
  threshold_ = config.slower_than.count();
  const std::lock_guard lock(mutex_);
  max_len_ = config.max_len;
  while (entries_.size() > max_len_) entries_.pop_front();
}

void Slowlog::add(const Task& task, Ticks total, Client* client) {
  Entry entry;
  entry.id = next_id.fetch_add(1, std::memory_order_relaxed);
  entry.unix_time = ::time(nullptr);
  entry.total_us = total;
  entry.server_us = task.server_time;
  entry.args = arguments_of({task.prefix, task.prefix_size});
  if (client != nullptr && client->is_open()) {
    entry.client = client->peer();
    entry.client_name = client->names().name;
  }
  if (task.backend != nullptr) entry.server = task.backend->stats()->server;
  const std::lock_guard lock(mutex_);
  entries_.push_back(std::move(entry));
  while (entries_.size() > max_len_) entries_.pop_front();
}

void Slowlog::copy_to(std::vector<Entry>& entries) const {
  const std::lock_guard lock(mutex_);
  entries.insert(entries.end(), entries_.begin(), entries_.end());
}

void Slowlog::reset() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

}  // namespace pikaproxy
