#include "proxy/worker_manager.h"

#include <algorithm>
#include <condition_variable>
#include <thread>
#include <time.h>
#include <utility>

#include "common/connection_name.h"
#include "common/log.h"

namespace pikaproxy {
namespace {

constexpr unsigned kAutomaticWorkersMax = 4;

size_t worker_count(const Config& config) {
  if (config.proxy.workers != 0) return config.proxy.workers;
  return std::clamp(std::thread::hardware_concurrency(), 1u, kAutomaticWorkersMax);
}

// Runs `done` when the last holder lets go: when every worker has done its part.
struct Barrier {
  std::function<void()> done;
  explicit Barrier(std::function<void()> work) : done(std::move(work)) {}
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  ~Barrier() {
    if (done) done();
  }
};

constexpr std::string_view kEnding = "the proxy is ending";

int64_t unix_ms() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

WorkerManager::WorkerManager(const Config& config, std::shared_ptr<const Topology> topology)
    : started_unix_ms_(unix_ms()),
      max_clients_(config.proxy.max_clients),
      config_(config),
      users_(std::make_shared<const RedisUsers>(config, stored_users_)) {
  set_cluster("");
  const size_t count = worker_count(config);
  clients_of_ = std::make_unique<std::atomic<uint32_t>[]>(count);
  const auto shared = std::make_shared<const Config>(config);
  for (size_t i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<Worker>(*this, i, resolver_, shared, users_, topology));
  }
}

void WorkerManager::set_cluster(std::string_view cluster) {
  connection_name_ = worker_name_prefix(cluster) + process_instance() + ":";
}

WorkerManager::~WorkerManager() {
  stop();
}

void WorkerManager::start() {
  for (auto& worker : workers_) worker->start();
}

void WorkerManager::stop() {
  {
    const std::lock_guard lock(config_mutex_);
    stopped_ = true;
  }
  for (auto& worker : workers_) worker->stop();
  // Workers answer each other's questions by posted work; what is left of it owns tasks.
  for (auto& worker : workers_) worker->loop().run_leftovers();
  std::vector<Installed> waiting;
  {
    const std::lock_guard lock(config_mutex_);
    for (Installation* one = installation_.get(); one != nullptr; one = one->superseded.get()) {
      for (Installed& done : std::exchange(one->waiting, {})) waiting.push_back(std::move(done));
    }
  }
  for (const Installed& done : waiting) done(Error{std::string(kEnding)});
}

bool WorkerManager::add_client(int fd, uint8_t listener) {
  if (clients_.load(std::memory_order_relaxed) >= max_clients_.load(std::memory_order_relaxed)) {
    return false;
  }
  size_t fewest = 0;
  for (size_t i = 1; i < workers_.size(); ++i) {
    if (clients_of_[i].load(std::memory_order_relaxed) <
        clients_of_[fewest].load(std::memory_order_relaxed)) {
      fewest = i;
    }
  }
  clients_.fetch_add(1, std::memory_order_relaxed);
  clients_of_[fewest].fetch_add(1, std::memory_order_relaxed);
  workers_[fewest]->add_client(fd, listener);
  return true;
}

void WorkerManager::client_gone(const Worker& worker) noexcept {
  clients_.fetch_sub(1, std::memory_order_relaxed);
  clients_of_[worker.index()].fetch_sub(1, std::memory_order_relaxed);
}

Config WorkerManager::config() const {
  const std::lock_guard lock(config_mutex_);
  return config_;
}

void WorkerManager::change_config(const std::function<bool(Config&)>& edit,
                                  std::function<void()> installed) {
  // Held until the work is posted, so that all workers see all changes in the same order.
  const std::lock_guard lock(config_mutex_);
  Config changed = config_;
  const bool is_changed = edit(changed) && changed != config_;
  const auto barrier = std::make_shared<Barrier>(std::move(installed));
  if (!is_changed) return;
  const bool new_users = changed.users != config_.users || changed.auth != config_.auth;
  const bool new_groups = changed.groups != config_.groups && installation_ == nullptr;
  config_ = changed;
  max_clients_.store(changed.proxy.max_clients, std::memory_order_relaxed);
  log_set_level(changed.log.level);
  if (new_users) users_ = std::make_shared<const RedisUsers>(config_, stored_users_);
  const auto shared = std::make_shared<const Config>(std::move(changed));
  std::shared_ptr<const Topology> topology;
  if (new_groups) {
    // Only routers that cannot fail follow a change while running (check_config() sees to that).
    topology = make_topology(*shared, topology_epoch_.fetch_add(1) + 1).value();
    log_info("topology changed", "epoch", topology_epoch(), "groups", shared->groups.size());
  }
  for (auto& worker : workers_) {
    worker->install(shared, users_, topology, [barrier] {});
  }
}

std::vector<UserConfig> WorkerManager::configured_users() const {
  const std::lock_guard lock(config_mutex_);
  return pikaproxy::configured_users(config_);
}

void WorkerManager::set_stored_users(std::vector<UserConfig> users,
                                     std::function<void()> installed) {
  const std::lock_guard lock(config_mutex_);
  stored_users_ = std::move(users);
  users_ = std::make_shared<const RedisUsers>(config_, stored_users_);
  const auto shared = std::make_shared<const Config>(config_);
  const auto barrier = std::make_shared<Barrier>(std::move(installed));
  for (auto& worker : workers_) worker->install(shared, users_, nullptr, [barrier] {});
}

std::shared_ptr<SubscriptionCounts> WorkerManager::subscriptions_at(const Address& server) {
  const std::lock_guard lock(subscriptions_mutex_);
  std::erase_if(subscriptions_, [](const auto& item) { return item.second.expired(); });
  std::weak_ptr<SubscriptionCounts>& kept = subscriptions_[server];
  std::shared_ptr<SubscriptionCounts> counts = kept.lock();
  if (counts == nullptr) kept = counts = std::make_shared<SubscriptionCounts>();
  return counts;
}

// ---- Tables -------------------------------------------------------------------------------------

void WorkerManager::install(std::shared_ptr<const SlotTable> table, Installed done) {
  // Held until the work is posted, as in change_config().
  const std::lock_guard lock(config_mutex_);
  if (std::string why = refusal(*table); !why.empty()) {
    tell_later({std::move(done)}, Error{std::move(why)});
    return;
  }
  if (installation_ != nullptr && installation_->table->epoch == table->epoch) {
    if (installation_->undrained == 0) {
      tell_later({std::move(done)}, table->epoch);
    } else {
      installation_->waiting.push_back(std::move(done));
    }
    return;
  }
  const auto installation = std::make_shared<Installation>();
  // Who waits is told when the workers have said what they wait for.
  if (installation_ != nullptr && !installation_->waiting.empty()) {
    installation->superseded = installation_;
  }
  installation->table = table;
  installation->not_routing = installation->undrained = workers_.size();
  installation->waiting.push_back(std::move(done));
  installation_ = installation;
  const auto topology = make_topology(std::move(table), topology_epoch_.fetch_add(1) + 1);
  for (auto& worker : workers_) {
    worker->install_table(
        topology,
        [this, installation](std::string undrained_before) {
          worker_routes(*installation, std::move(undrained_before));
        },
        [this, installation] { worker_drained(installation); });
  }
}

std::string WorkerManager::refusal(const SlotTable& table) const {
  if (stopped_) return std::string(kEnding);
  if (config_.proxy.router != RouterKind::kSlot) {
    return "this proxy follows no slot table: its proxy.router is not \"slot\"";
  }
  if (installation_ != nullptr) {
    const SlotTable& present = *installation_->table;
    if (table.epoch < present.epoch) {
      return "table " + std::to_string(table.epoch) + " is older than table " +
             std::to_string(present.epoch) + ", which is in force";
    }
    if (table.epoch == present.epoch && table != present) {
      return "another table with epoch " + std::to_string(table.epoch) + " is in force";
    }
  }
  return check_table(table);
}

void WorkerManager::worker_routes(Installation& installation, std::string undrained_before) {
  {
    const std::lock_guard lock(config_mutex_);
    if (installation.undrained_before.empty()) {
      installation.undrained_before = std::move(undrained_before);
    }
  }
  if (installation.not_routing.fetch_sub(1) != 1) return;
  const uint64_t epoch = installation.table->epoch;
  tell_superseded(installation);
  // The last worker to get there: all have older tables behind them, so it only grows. Two tables
  // may finish on two workers at once.
  uint64_t before = table_epoch_.load(std::memory_order_relaxed);
  while (before < epoch && !table_epoch_.compare_exchange_weak(before, epoch)) {
  }
  log_debug("table routes", "epoch", epoch);
}

void WorkerManager::tell_superseded(Installation& installation) {
  std::vector<Installed> waiting;
  std::string error;
  {
    const std::lock_guard lock(config_mutex_);
    const std::shared_ptr<Installation> before = std::exchange(installation.superseded, nullptr);
    if (before == nullptr) return;
    waiting.swap(before->waiting);
    error = "table " + std::to_string(before->table->epoch) + " was superseded by table " +
            std::to_string(installation.table->epoch);
    if (!installation.undrained_before.empty()) {
      error += " while it waited for " + installation.undrained_before;
    }
  }
  for (const Installed& done : waiting) done(Error{error});
}

void WorkerManager::worker_drained(const std::shared_ptr<Installation>& installation) {
  std::vector<Installed> waiting;
  {
    const std::lock_guard lock(config_mutex_);
    // Who waited for an older table has been told already.
    if (installation != installation_ || --installation->undrained > 0) return;
    waiting.swap(installation->waiting);
  }
  for (const Installed& done : waiting) done(installation->table->epoch);
}

void WorkerManager::tell_later(std::vector<Installed> waiting, Result<uint64_t> result) {
  auto tell = [waiting = std::move(waiting), result = std::move(result)] {
    for (const Installed& done : waiting) done(result);
  };
  if (stopped_) {
    // No worker runs posted work any more.
    std::thread(std::move(tell)).detach();
  } else {
    workers_.front()->loop().post(std::move(tell));
  }
}

std::shared_ptr<const SlotTable> WorkerManager::table() const {
  const std::lock_guard lock(config_mutex_);
  return installation_ == nullptr ? nullptr : installation_->table;
}

bool WorkerManager::drain(Milliseconds timeout) {
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  draining_.store(true);
  const auto state = std::make_shared<State>();
  {
    const auto barrier = std::make_shared<Barrier>([state] {
      const std::lock_guard lock(state->mutex);
      state->done = true;
      state->changed.notify_all();
    });
    for (auto& worker : workers_) worker->drain([barrier] {});
  }
  std::unique_lock lock(state->mutex);
  return state->changed.wait_for(lock, timeout, [&] { return state->done; });
}

uint64_t WorkerManager::queued_bytes() const noexcept {
  uint64_t bytes = 0;
  for (const auto& worker : workers_) bytes += worker->stats().queued_bytes.get();
  return bytes;
}

void WorkerManager::reset_stats() {
  for (auto& worker : workers_) {
    worker->loop().post([&stats = worker->stats()] { stats.reset(); });
  }
}

void WorkerManager::forget_scripts() {
  scripts_.clear();
  for (auto& worker : workers_) {
    worker->loop().post([worker = worker.get()] { worker->backends().forget_scripts(); });
  }
}

void WorkerManager::note_reload(bool successful) noexcept {
  last_reload_ok_.store(successful);
  last_reload_unix_s_.store(unix_ms() / 1000);
}

void WorkerManager::find_worker(Worker& asker, std::function<bool(Worker&)> ask,
                                std::function<void(const Worker*)> found) {
  const auto who = std::make_shared<std::atomic<const Worker*>>(nullptr);
  const auto barrier = std::make_shared<Barrier>([&asker, who, found = std::move(found)] {
    asker.loop().post([who, found] { found(who->load()); });
  });
  for (const auto& worker : workers_) {
    worker->loop().post([worker = worker.get(), ask, who, barrier] {
      if (ask(*worker)) who->store(worker);
    });
  }
}

void WorkerManager::ask_workers(
    Client& client, const Command& command, std::function<std::string(Worker&)> ask,
    std::function<std::string(const std::vector<std::string>&)> combine) {
  ask_workers_later(
      client, command,
      [ask = std::move(ask)](Worker& worker, const Answer& answer) { answer(ask(worker)); },
      std::move(combine));
}

void WorkerManager::ask_workers_later(
    Client& client, const Command& command, std::function<void(Worker&, Answer)> ask,
    std::function<std::string(const std::vector<std::string>&)> combine) {
  struct Question {
    std::function<void(Worker&, Answer)> ask;
    std::vector<std::string> answers;  // Each worker writes its own.
  };
  const auto question = std::make_shared<Question>(Question{std::move(ask), {}});
  question->answers.resize(workers_.size());
  Worker& asker = client.worker();
  Task* task = client.add_task(command, "");
  const auto barrier =
      std::make_shared<Barrier>([&asker, task, question, combine = std::move(combine)] {
        asker.loop().post([&asker, task, question, combine] {
          asker.complete(task, combine(question->answers));
        });
      });
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->loop().post([worker = workers_[i].get(), i, question, barrier] {
      question->ask(*worker, [i, question, barrier](std::string answer) {
        question->answers[i] = std::move(answer);
      });
    });
  }
}

std::string WorkerManager::not_ready_reason() const {
  if (draining_.load()) return "draining: the process was asked to end";
  if (workers_.empty()) return "no worker runs";
  const WorkerStats& stats = workers_.front()->stats();
  const std::lock_guard lock(stats.servers_mutex);
  if (stats.servers.empty()) return "no group is configured: no slot is served";
  std::string down;
  for (const auto& server : stats.servers) {
    if (server->is_replica || server->up.get() != 0) continue;
    down += (down.empty() ? "" : ", ") + server->server + " of group " + server->group;
  }
  return down.empty() ? "" : "not reachable: " + down;
}

}  // namespace pikaproxy
