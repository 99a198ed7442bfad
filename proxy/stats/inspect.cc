// What WorkerManager tells the dashboard about itself (common/proxy_inspector.h).

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <utility>

#include "common/process_stats.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr std::chrono::seconds kAnswerTimeout(1);

// Has every worker answer on its own thread, and waits for that. False: one has not.
template <typename Answer>
bool gather(const std::vector<std::unique_ptr<Worker>>& workers, std::function<Answer(Worker&)> ask,
            std::vector<Answer>& answers) {
  // Outlives this call if a worker answers late.
  struct Question {
    std::function<Answer(Worker&)> ask;
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Answer> answers;
  };
  const auto question = std::make_shared<Question>();
  question->ask = std::move(ask);
  for (const auto& worker : workers) {
    worker->mailbox()->post([worker = worker.get(), question] {
      Answer answer = question->ask(*worker);
      const std::lock_guard lock(question->mutex);
      question->answers.push_back(std::move(answer));
      question->changed.notify_all();
    });
  }
  std::unique_lock lock(question->mutex);
  if (!question->changed.wait_for(lock, kAnswerTimeout,
                                  [&] { return question->answers.size() == workers.size(); })) {
    return false;
  }
  answers = question->answers;
  return true;
}

Error no_answer() {
  return Error{"the proxy has not answered within a second: it is busy, or ending; try again"};
}

}  // namespace

ProxySnapshot WorkerManager::snapshot() const {
  ProxySnapshot snapshot;
  snapshot.started_unix_ms = started_unix_ms_;
  snapshot.memory_bytes = read_process_stats().resident_bytes;
  bool by_slot = false;
  {
    const std::lock_guard lock(config_mutex_);
    by_slot = config_.proxy.router == RouterKind::kSlot;
    if (!config_.proxy.listen.empty()) {
      snapshot.listen = config_.proxy.listen.front().to_string();
    }
  }
  snapshot.commands.resize(command_count());
  for (const auto& worker : workers_) {
    const WorkerStats& stats = std::as_const(*worker).stats();
    snapshot.clients += stats.clients.get();
    for (const Histogram& histogram : stats.latency) snapshot.latency.add(histogram);
    for (size_t i = 0; i < snapshot.commands.size(); ++i) {
      snapshot.commands[i].calls += stats.commands[i].calls.get();
      snapshot.commands[i].errors += stats.commands[i].errors.get();
      snapshot.commands[i].total_us += stats.commands[i].total_us.get();
    }
    for (size_t slot = 0; by_slot && slot < kSlotCount; ++slot) {
      snapshot.slots[slot] += stats.slots[slot].get();
    }
  }
  for (size_t i = 0; i < snapshot.commands.size(); ++i) {
    snapshot.commands[i].name = command_at(i).name;
    snapshot.requests += snapshot.commands[i].calls;
    snapshot.errors += snapshot.commands[i].errors;
  }
  std::erase_if(snapshot.commands, [](const auto& command) { return command.calls == 0; });
  return snapshot;
}

Result<std::vector<ProxyClient>> WorkerManager::clients() {
  using Clients = std::vector<ProxyClient>;
  std::vector<Clients> answers;
  const bool answered = gather<Clients>(
      workers_,
      [](Worker& worker) {
        Clients clients;
        worker.for_each_client([&](Client& client) { clients.push_back(client.inspect()); });
        return clients;
      },
      answers);
  if (!answered) return no_answer();
  Clients all;
  for (Clients& clients : answers) {
    std::move(clients.begin(), clients.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end(),
            [](const ProxyClient& a, const ProxyClient& b) { return a.id < b.id; });
  return all;
}

Result<bool> WorkerManager::kill_client(uint64_t id) {
  std::vector<char> answers;  // Not of bool: their elements are written by several threads.
  const bool answered = gather<char>(
      workers_,
      [id](Worker& worker) {
        char killed = 0;
        worker.for_each_client([&](Client& client) {
          if (client.id() != id) return;
          client.shut(Disconnect::kKilled);
          killed = 1;
        });
        return killed;
      },
      answers);
  if (!answered) return no_answer();
  return std::find(answers.begin(), answers.end(), 1) != answers.end();
}

Result<std::vector<ProxyHotKey>> WorkerManager::hot_keys() {
  using Keys = std::vector<ProxyHotKey>;
  std::vector<Keys> answers;
  const bool answered = gather<Keys>(
      workers_, [](Worker& worker) { return worker.hot_keys().read(HotKeys::Clock::now()); },
      answers);
  if (!answered) return no_answer();
  // By what is known of a key: long ones that begin alike count as one if they are equally long.
  std::map<std::pair<std::string, uint64_t>, ProxyHotKey> merged;
  for (Keys& keys : answers) {
    for (ProxyHotKey& key : keys) {
      ProxyHotKey& sum = merged[{key.key, key.key_bytes}];
      key.ops_per_second += sum.ops_per_second;
      sum = std::move(key);
    }
  }
  Keys all;
  for (auto& [name, key] : merged) all.push_back(std::move(key));
  std::sort(all.begin(), all.end(), [](const ProxyHotKey& a, const ProxyHotKey& b) {
    return a.ops_per_second > b.ops_per_second;
  });
  return all;
}

std::vector<ProxySlowRequest> WorkerManager::slow_requests() const {
  std::vector<Slowlog::Entry> entries;
  for (const auto& worker : workers_) worker->slowlog().copy_to(entries);
  std::vector<ProxySlowRequest> requests;
  for (Slowlog::Entry& entry : entries) {
    requests.push_back({entry.id, entry.unix_time, entry.total_us, entry.server_us,
                        std::move(entry.args), std::move(entry.client),
                        std::move(entry.client_name), std::move(entry.server)});
  }
  std::sort(requests.begin(), requests.end(),
            [](const ProxySlowRequest& a, const ProxySlowRequest& b) { return a.id > b.id; });
  return requests;
}

}  // namespace pikaproxy
