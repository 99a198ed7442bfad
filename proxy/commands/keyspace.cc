#include "proxy/commands/keyspace.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>
#include <vector>

#include "common/reply_framer.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kInfo = "*2\r\n$4\r\nINFO\r\n$8\r\nkeyspace\r\n";
// Monitoring must not stand still with a server that hangs.
constexpr Ticks kPatience = 1'000'000;

// The number behind `name` within a line; 0 if there is none.
uint64_t field(std::string_view line, std::string_view name) {
  const size_t at = line.find(name);
  if (at == std::string_view::npos) return 0;
  const char* begin = line.data() + at + name.size();
  uint64_t value = 0;
  std::from_chars(begin, line.data() + line.size(), value);
  return value;
}

struct Question {
  Keyspace keyspace;
  std::vector<std::string> groups;
  std::vector<bool> has_answered;
  size_t outstanding = 0;
  std::function<void(const Keyspace&)> done;  // Null when it was told.

  void finish() {
    if (done == nullptr) return;
    for (size_t i = 0; i < groups.size(); ++i) {
      if (!has_answered[i]) keyspace.add_unknown(groups[i]);
    }
    std::exchange(done, nullptr)(keyspace);
  }
};

}  // namespace

void Keyspace::add(std::string_view info) {
  while (!info.empty()) {
    const std::string_view line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(line.size() + 1, info.size()));
    if (!line.starts_with("db")) continue;
    uint32_t number = 0;
    const auto [end, ec] = std::from_chars(line.data() + 2, line.data() + line.size(), number);
    if (ec != std::errc() || end == line.data() + line.size()) continue;
    Database& database = databases_[number];
    const uint64_t expires = field(line, "expires=");
    database.keys += field(line, "keys=");
    database.expires += expires;
    database.ttl_sum += static_cast<double>(field(line, "avg_ttl=")) * static_cast<double>(expires);
  }
}

void Keyspace::add_unknown(std::string_view group) {
  if (!unknown_.empty()) unknown_ += ',';
  unknown_ += group;
}

std::string Keyspace::lines() const {
  std::string out;
  for (const auto& [number, database] : databases_) {
    if (database.keys == 0) continue;
    const auto average =
        database.expires == 0
            ? 0
            : static_cast<uint64_t>(database.ttl_sum / static_cast<double>(database.expires));
    out += "db" + std::to_string(number) + ":keys=" + std::to_string(database.keys) +
           ",expires=" + std::to_string(database.expires) + ",avg_ttl=" + std::to_string(average) +
           "\r\n";
  }
  if (!unknown_.empty()) out += "unknown_groups:" + unknown_ + "\r\n";
  return out;
}

void ask_keyspace(Worker& worker, std::function<void(const Keyspace&)> done) {
  const Topology& topology = worker.topology();
  const auto question = std::make_shared<Question>();
  question->done = std::move(done);
  for (const GroupIndex group : topology.serving_groups) {
    question->groups.push_back(topology.groups[group].name);
  }
  question->has_answered.resize(question->groups.size());
  // One more until all are asked: those that cannot be answer at once.
  question->outstanding = question->groups.size() + 1;
  const auto answered = [question] {
    if (--question->outstanding == 0) question->finish();
  };
  for (size_t i = 0; i < question->groups.size(); ++i) {
    worker.ask(worker.backends().main(topology.serving_groups[i]), kInfo,
               [question, answered, i](std::string_view reply) {
                 if (question->done != nullptr && !reply.starts_with('-')) {
                   question->has_answered[i] = true;
                   question->keyspace.add(reply_text(reply));
                 }
                 answered();
               });
  }
  if (question->outstanding > 1) {
    worker.loop().add_timer(kPatience, [question] { question->finish(); });
  }
  answered();
}

}  // namespace pikaproxy
