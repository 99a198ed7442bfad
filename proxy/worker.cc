#include "proxy/worker.h"

#include <algorithm>
#include <pthread.h>
#include <unistd.h>
#include <utility>

#include "common/log.h"
#include "common/resp.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// How often time-outs are looked for: their precision.
constexpr Ticks kTickUs = 100'000;

}  // namespace

Worker::Worker(WorkerManager& manager, size_t index, Resolver& resolver,
               std::shared_ptr<const Config> config, std::shared_ptr<const RedisUsers> users,
               std::shared_ptr<const Topology> topology)
    : manager_(manager),
      index_(index),
      dispatcher_(*this),
      backends_(*this, resolver),
      replica_reads_(*this),
      monitors_(*this),
      subscriptions_(*this, resolver),
      config_(std::move(config)),
      users_(std::move(users)),
      topology_(std::move(topology)) {
  slowlog_.configure(config_->slowlog);
}

Worker::~Worker() {
  mailbox_->close();
  stop();
}

void Worker::start() {
  loop_.set_turn_end([this] { end_turn(); });
  loop_.post([this] {
    backends_.install(*topology_, {}, {});
    replica_reads_.install(*topology_, *topology_);
    replica_reads_.configure();
    subscriptions_.install(*topology_);
    tick();
  });
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "worker");
    loop_.run();
  });
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  mailbox_->close();
  loop_.post([this] {
    // What closing leaves at the servers is not over.
    table_drained_ = nullptr;
    for_each_client([](Client& client) { client.shut(Disconnect::kDrain); });
    backends_.shut();
    subscriptions_.shut();
  });
  loop_.stop();
  thread_.join();
}

void Worker::add_client(int fd, uint8_t listener) {
  loop_.post([this, fd, listener] {
    auto client = std::make_unique<Client>(*this, manager_.next_client_id(), listener);
    if (drained_ != nullptr || !client->start(fd)) {
      if (drained_ != nullptr) ::close(fd);
      manager_.client_gone(*this);
      return;
    }
    stats_.clients.add();
    stats_.clients_total.add();
    client->next_ = clients_;
    if (clients_ != nullptr) clients_->previous_ = client.get();
    clients_ = client.release();  // Owned by the list from here on.
  });
}

void Worker::remove_client(Client* client, Disconnect why) {
  (client->previous_ != nullptr ? client->previous_->next_ : clients_) = client->next_;
  if (client->next_ != nullptr) client->next_->previous_ = client->previous_;
  if (client->resuming_) std::erase(resuming_, client);
  tracking_.client_gone(*client);
  stats_.clients.subtract();
  stats_.disconnects[static_cast<size_t>(why)].add();
  manager_.client_gone(*this);
  loop_.destroy_later(std::unique_ptr<Stream>(client));
}

void Worker::for_each_client(const std::function<void(Client&)>& visit) {
  for (Client* client = clients_; client != nullptr;) {
    Client* next = client->next_;
    visit(*client);
    client = next;
  }
}

void Worker::pause(Milliseconds duration, bool only_writes) {
  const Ticks end = loop_.now() + duration.count() * 1000;
  pause_only_writes_ = only_writes && (!is_paused_ || pause_only_writes_);
  pause_end_ = is_paused_ ? std::max(pause_end_, end) : end;
  is_paused_ = true;
  loop_.add_timer(pause_end_ - loop_.now(), [this] {
    // Another pause may have come, whose end is not yet there.
    if (is_paused_ && loop_.now() >= pause_end_) unpause();
  });
}

void Worker::unpause() {
  is_paused_ = false;
  for_each_client([](Client& client) { client.end_pause(); });
}

void Worker::install(std::shared_ptr<const Config> config, std::shared_ptr<const RedisUsers> users,
                     std::shared_ptr<const Topology> topology, std::function<void()> installed) {
  loop_.post([this, config = std::move(config), users = std::move(users),
              topology = std::move(topology), installed = std::move(installed)] {
    config_ = config;
    if (users != users_) {
      users_ = users;
      for_each_client([](Client& client) { client.follow_users(); });
    }
    slowlog_.configure(config_->slowlog);
    if (topology != nullptr) use_topology(topology);
    replica_reads_.configure();
    installed();
  });
}

void Worker::install_table(std::shared_ptr<const Topology> topology,
                           std::function<void(std::string undrained)> routes,
                           std::function<void()> drained) {
  loop_.post([this, topology = std::move(topology), routes = std::move(routes),
              drained = std::move(drained)] {
    std::string undrained_before = undrained();
    use_topology(topology);
    table_drained_ = drained;
    routes(std::move(undrained_before));
  });
}

std::vector<GroupIndex> Worker::groups_to_drain(const Topology& topology) {
  std::vector<GroupIndex> groups;
  if (topology.table == nullptr) return groups;
  const SlotTable& table = *topology.table;
  const SlotTable* before = topology_->table.get();
  const auto is_same_group = [&](const TableGroup& group) {
    return before != nullptr &&
           std::find(before->groups.begin(), before->groups.end(), group) != before->groups.end();
  };
  for (SlotId slot = 0; slot < kSlotCount; ++slot) {
    const SlotEntry& entry = table.slots[slot];
    const bool is_leaving =
        entry.state == SlotState::kLocked || entry.state == SlotState::kMigrating;
    const bool is_drained = is_leaving && drained_of_[slot] == table.groups[entry.group].id &&
                            is_same_group(table.groups[entry.group]);
    if (is_drained) continue;
    drained_of_[slot] = 0;
    if (is_leaving && std::find(groups.begin(), groups.end(), entry.group) == groups.end()) {
      groups.push_back(entry.group);
    }
  }
  return groups;
}

void Worker::note_drained() {
  const SlotTable& table = *topology_->table;
  for (SlotId slot = 0; slot < kSlotCount; ++slot) {
    const SlotEntry& entry = table.slots[slot];
    if (entry.state == SlotState::kLocked || entry.state == SlotState::kMigrating) {
      drained_of_[slot] = table.groups[entry.group].id;
    }
  }
}

std::string Worker::undrained() {
  if (table_drained_ == nullptr) return {};
  if (!backends_.is_drained()) return backends_.undrained();
  return subscriptions_.is_settled() ? "" : "subscriptions at other servers";
}

void Worker::use_topology(std::shared_ptr<const Topology> topology) {
  const std::vector<GroupIndex> to_drain = groups_to_drain(*topology);
  const std::shared_ptr<const Topology> before = std::exchange(topology_, std::move(topology));
  table_drained_ = nullptr;
  // In this order: what was accepted is noted before held requests add to it.
  backends_.install(*topology_, to_drain, [this](const Client& client, const Backend& backend) {
    return dispatcher_.wait_stays(client, backend);
  });
  replica_reads_.install(*before, *topology_);
  subscriptions_.install(*topology_);
  dispatcher_.gate().install(topology_->table);
  dispatcher_.gate().run();
  dispatcher_.topology_changed();
  tracking_.topology_changed();
}

void Worker::drain(std::function<void()> drained) {
  loop_.post([this, drained = std::move(drained)] {
    drained_ = drained;
    for_each_client([](Client& client) { client.close_after_replies(); });
  });
}

void Worker::tick() {
  loop_.add_timer(kTickUs, [this] { tick(); });
  backends_.check_timeouts();
  subscriptions_.check_timeouts();
  dispatcher_.expire_held();
  replica_reads_.tick();
  if (now_s() == last_second_) return;
  last_second_ = now_s();
  for_each_client([this](Client& client) { client.check_timeouts(last_second_); });
  loop_.pool().shrink();
  tasks_.shrink();
  parser_.shrink();
  dispatcher_.shrink();
}

void Worker::end_turn() {
  SlotGate& gate = dispatcher_.gate();
  // Those that were held first: they came before what their clients are paused for.
  while (gate.has_work() || !resuming_.empty()) {
    gate.run();
    std::vector<Client*> clients;
    clients.swap(resuming_);
    for (Client* client : clients) {
      // An earlier one may have closed a later one (CLIENT KILL).
      if (client->is_open()) client->resume();
    }
  }
  monitors_.flush();
  if (gate.held_bytes() != stats_.held_bytes.get()) {
    stats_.held_requests.set(gate.held());
    stats_.held_bytes.set(gate.held_bytes());
  }
  if (table_drained_ != nullptr && backends_.is_drained() && subscriptions_.is_settled()) {
    note_drained();
    std::exchange(table_drained_, nullptr)();
  }
  const uint64_t queued = loop_.pool().bytes_in_use();
  if (queued != stats_.queued_bytes.get()) stats_.queued_bytes.set(queued);
  memory_full_ = manager_.queued_bytes() > config_->proxy.memory_max;
  if (drained_ != nullptr && clients_ == nullptr) std::exchange(drained_, [] {})();
}

void Worker::complete(Task* task, std::string_view piece) {
  if (task->notes != nullptr) tracking_.answered(*task, piece);
  if (task->gathering != nullptr) {
    task->reply.append(loop_.pool(), piece);
    task->done = true;
    Gathering& gathering = *task->gathering;
    if (gathering.from_replicas) dispatcher_.replica_answered(*task);
    if (--gathering.outstanding == 0) dispatcher_.gathered(gathering);
    return;
  }
  if ((task->is_block || task->holds_client) && !dispatcher_.answered(task, piece)) return;
  count(*task);
  if (task->client == nullptr) {
    free(task);
  } else {
    task->client->complete(task, piece);
  }
}

void Worker::fail(Task* task, std::string_view text) {
  if (task->streaming && task->client != nullptr) {
    // Half of the reply went out: there is no way to say that the rest will not come.
    log_warn("server lost in mid-reply: client closed", "id", task->client->id());
    Client* client = task->client;
    task->done = true;
    client->shut(Disconnect::kError);
    return;
  }
  task->reply.clear(loop_.pool());
  task->error_before = 0;
  task->is_error = task->failed_here = true;
  complete(task, resp::error(text));
}

void Worker::try_streaming(Task* task) {
  // What a transaction subscribes to is put into its reply.
  if (task->client != nullptr && !task->subscribes) task->client->try_streaming(task);
}

void Worker::stream(Task* task, std::string_view piece) {
  if (task->client != nullptr) task->client->stream(piece);
}

void Worker::count(const Task& task) {
  const Ticks total = loop_.now() - task.started;
  const auto command_class = static_cast<size_t>(task.command->command_class);
  WorkerStats::PerCommand& counters = stats_.commands[task.command->index];
  // Local commands are counted when they run, whether they need a task or not.
  if (task.command->action != CommandAction::kLocal) counters.calls.add();
  counters.total_us.add(static_cast<uint64_t>(total));
  if (task.is_error) counters.errors.add();
  stats_.latency[command_class].record(total);
  stats_.own_time[command_class].record(total - task.server_time);
  if (slowlog_.is_slow(total)) {
    stats_.slowlog_entries.add();
    slowlog_.add(task, total, task.client);
  }
}

}  // namespace pikaproxy
