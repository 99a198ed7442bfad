#include "proxy/client/tracking.h"

#include <algorithm>
#include <utility>

#include "common/reply_framer.h"
#include "proxy/client/gathering.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// Keys that a worker remembers. One more, and the clients of another one are told that it changed.
constexpr size_t kKeysMax = 256 * 1024;
// What one takes beside its name, and one of its clients.
constexpr uint64_t kKeyCost = 128;
constexpr uint64_t kClientCost = 16;

bool has_prefix(const ClientTracking& tracking, std::string_view key) {
  return std::any_of(tracking.prefixes.begin(), tracking.prefixes.end(),
                     [&](const std::string& prefix) { return key.starts_with(prefix); });
}

}  // namespace

bool has_surely_changed(const Command& command, std::string_view reply) noexcept {
  const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), command.name) != names.end();
  };
  if (reply.starts_with('-')) return false;
  if (reply == resp::kOk) return is_one_of({"set", "setex", "psetex", "hmset", "lset"});
  int64_t number = 0;
  if (reply_integer(reply, number) && number > 0 &&
      is_one_of({"del", "unlink", "sadd", "srem", "hdel", "hsetnx", "setnx", "expire", "pexpire",
                 "expireat", "pexpireat", "persist", "zadd", "zrem", "lrem", "lpushx", "rpushx"})) {
    return true;
  }
  return is_one_of({"hset", "incr", "decr", "incrby", "decrby", "incrbyfloat", "hincrby",
                    "hincrbyfloat", "lpush", "rpush", "append", "getset"});
}

std::string invalidation(RespVersion version, const std::vector<std::string_view>* keys) {
  std::string out;
  if (version == RespVersion::k3) {
    resp::append_push(out, version, 2);
    resp::append_bulk(out, "invalidate");
  } else {
    resp::append_array(out, 3);
    resp::append_bulk(out, "message");
    resp::append_bulk(out, "__redis__:invalidate");
  }
  if (keys == nullptr) {
    out += resp::null(version);
    return out;
  }
  resp::append_array(out, static_cast<int64_t>(keys->size()));
  for (const std::string_view key : *keys) resp::append_bulk(out, key);
  return out;
}

// ---- Clients ------------------------------------------------------------------------------------

void Tracking::started(Client& client) {
  clients_[client.id()] = &client;
  worker_.stats().tracking_clients.set(clients_.size());
  if (uses_broadcast(client)) open_broadcast();
}

void Tracking::stopped(Client& client) {
  // What the tables have of it is dropped when its keys change.
  if (clients_.erase(client.id()) == 0) return;
  worker_.stats().tracking_clients.set(clients_.size());
  release_lanes();
}

void Tracking::client_gone(Client& client) {
  targets_.erase(client.id());
  stopped(client);
}

bool Tracking::uses_broadcast(const Client& client) const {
  const ClientTracking& tracking = *client.tracking;
  return tracking.broadcast || (client.version() == RespVersion::k2 && tracking.redirect != 0);
}

std::vector<Client*> Tracking::broadcast_clients() const {
  std::vector<Client*> found;
  for (const auto& [id, client] : clients_) {
    if (uses_broadcast(*client)) found.push_back(client);
  }
  return found;
}

void Tracking::open_broadcast() {
  for (const GroupIndex group : worker_.topology().serving_groups) {
    worker_.backends().get(group, 0, Lane::kBroadcast).open();
  }
}

void Tracking::release_lanes() {
  const size_t broadcast = broadcast_clients().size();
  if (broadcast == 0) {
    worker_.backends().retire_lane(Lane::kBroadcast);
    clear(redirected_);
  }
  if (broadcast == clients_.size()) worker_.backends().retire_lane(Lane::kTracking);
}

// ---- Reads --------------------------------------------------------------------------------------

bool Tracking::is_at_home(std::string_view key, const Backend& backend) const {
  const Topology& topology = worker_.topology();
  const Place place = topology.router->place(key);
  return place.open && backend.serves(topology.groups[place.group]);
}

bool Tracking::hears_of(std::string_view key) const {
  const Place place = worker_.topology().router->place(key);
  return place.open && worker_.backends().get(place.group, 0, Lane::kBroadcast).is_ready();
}

void Tracking::add(Table& table, std::string_view key, const Client& client) {
  const auto [found, is_new] = table.try_emplace(std::string(key));
  ClientIds& ids = found->second;
  uint64_t bytes = is_new ? kKeyCost + key.size() : 0;
  if (is_new) ++keys_;
  if (std::find(ids.begin(), ids.end(), client.id()) == ids.end()) {
    ids.push_back(client.id());
    bytes += kClientCost;
  }
  bytes_ += bytes;
  worker_.loop().pool().add_bytes(bytes);
}

void Tracking::erase(Table& table, Table::iterator entry) {
  const uint64_t bytes = kKeyCost + entry->first.size() + entry->second.size() * kClientCost;
  bytes_ -= bytes;
  worker_.loop().pool().remove_bytes(bytes);
  --keys_;
  table.erase(entry);
}

void Tracking::clear(Table& table) {
  while (!table.empty()) erase(table, table.begin());
}

uint64_t Tracking::bytes_max() const noexcept {
  // Of all workers together a quarter, so that requests are not refused because of this.
  return worker_.config().proxy.memory_max / 4 / worker_.manager().workers().size();
}

void Tracking::evict(Table& table, size_t keys, const Backend* source) {
  while ((keys_ + keys > kKeysMax || bytes_ > bytes_max()) && !table.empty()) {
    std::unordered_map<uint64_t, Keys> told;
    const std::string victim = table.begin()->first;
    take(table, victim, told);
    tell_all(told, source);
  }
}

void Tracking::note_sent(const Client& client, TaskNotes& notes) {
  notes.epoch = epoch_;
  if (client.version() != RespVersion::k2 || !uses_broadcast(client)) return;
  if (client.tracking->broadcast) return;
  // A message may overtake the reply, and then it must not be missed.
  evict(redirected_, notes.reads.size(), nullptr);
  for (const std::string& key : notes.reads) add(redirected_, key, client);
}

void Tracking::note_own_write(const Task& task, std::string_view reply) {
  const Client* client = task.client;
  const auto table = tables_.find(task.backend);
  if (client == nullptr || table == tables_.end() || !has_surely_changed(*task.command, reply)) {
    return;
  }
  for (const std::string& key : task.notes->written) {
    const auto entry = table->second.find(key);
    if (entry == table->second.end()) continue;
    const size_t erased = std::erase(entry->second, client->id());
    bytes_ -= erased * kClientCost;
    worker_.loop().pool().remove_bytes(erased * kClientCost);
    if (entry->second.empty()) erase(table->second, entry);
  }
}

void Tracking::answered(Task& task, std::string_view piece) {
  const TaskNotes& notes = *task.notes;
  if (!notes.written.empty() && task.reply.size() == 0) note_own_write(task, piece);
  if (notes.reads.empty() || task.is_error || task.backend == nullptr) return;
  Task* shown = task.gathering != nullptr ? task.gathering->parent : &task;
  Client* client = shown->client;
  if (client == nullptr || client->tracking == nullptr) return;
  const ClientTracking& tracking = *client->tracking;
  const Backend& source = *task.backend;
  const bool is_resp2 = client->version() == RespVersion::k2;
  if (is_resp2 && tracking.redirect == 0) return;
  Table* table = tracking.broadcast ? nullptr : is_resp2 ? &redirected_ : &tables_[&source];
  // Before this reply's keys are noted: those that are told of now stand in earlier replies.
  if (table != nullptr) evict(*table, notes.reads.size(), is_resp2 ? nullptr : &source);
  const Lane expected = tracking.broadcast ? Lane::kBroadcast : Lane::kTracking;
  Keys untold;  // Nobody will tell of a change of these.
  for (const std::string& key : notes.reads) {
    if (tracking.broadcast && !has_prefix(tracking, key)) continue;
    const bool is_told =
        is_at_home(key, source) &&
        (is_resp2 ? notes.epoch == epoch_ && hears_of(key) : source.lane() == expected);
    if (!is_told) {
      untold.push_back(key);
    } else if (table != nullptr) {
      add(*table, key, *client);
    }
  }
  if (!untold.empty()) tell(*client, &untold, shown);
}

// ---- Changes ------------------------------------------------------------------------------------

void Tracking::take(Table& table, std::string_view key, std::unordered_map<uint64_t, Keys>& told) {
  const auto found = table.find(std::string(key));
  if (found == table.end()) return;
  for (const uint64_t id : found->second) told[id].push_back(key);
  erase(table, found);
}

void Tracking::on_push(const Backend& source, std::string_view push) {
  ReplyCursor message(push);
  if (message.enter() != 2 || reply_text(message.next()) != "invalidate") return;
  ReplyCursor list(message.next());
  const int64_t count = list.enter();
  if (count < 0) {
    flush(source);
    return;
  }
  Keys keys;
  for (int64_t i = 0; i < count; ++i) keys.push_back(reply_text(list.next()));
  std::unordered_map<uint64_t, Keys> told;
  if (source.lane() == Lane::kTracking) {
    const auto table = tables_.find(&source);
    if (table == tables_.end()) return;
    for (const std::string_view key : keys) take(table->second, key, told);
    tell_all(told, &source);
    return;
  }
  for (const std::string_view key : keys) take(redirected_, key, told);
  for (const auto& [id, client] : clients_) {
    if (!client->tracking->broadcast) continue;
    for (const std::string_view key : keys) {
      if (has_prefix(*client->tracking, key)) told[id].push_back(key);
    }
  }
  // The key may have been read over a connection to another server, before it moved.
  tell_all(told, nullptr);
}

void Tracking::tell_all(const std::unordered_map<uint64_t, Keys>& keys_of_client,
                        const Backend* source) {
  for (const auto& [id, keys] : keys_of_client) {
    const auto client = clients_.find(id);
    if (client == clients_.end()) continue;
    tell(*client->second, &keys, client->second->last_answered(source));
  }
}

void Tracking::flush(const Backend& source) {
  if (source.lane() == Lane::kBroadcast) {
    flush_broadcast();
    return;
  }
  const auto found = tables_.find(&source);
  if (found == tables_.end()) return;
  std::unordered_set<uint64_t> ids;
  for (const auto& [key, of_key] : found->second) ids.insert(of_key.begin(), of_key.end());
  clear(found->second);
  tables_.erase(found);
  for (const uint64_t id : ids) {
    const auto client = clients_.find(id);
    if (client != clients_.end()) {
      tell(*client->second, nullptr, client->second->last_answered(&source));
    }
  }
}

void Tracking::flush_broadcast() {
  ++epoch_;
  clear(redirected_);
  for (Client* client : broadcast_clients()) tell(*client, nullptr, client->last_answered(nullptr));
}

void Tracking::on_ready(const Backend& source) {
  // What changed while there was no connection was told to nobody.
  if (source.lane() == Lane::kBroadcast) flush_broadcast();
}

void Tracking::on_lost(const Backend& source) {
  flush(source);
}

void Tracking::topology_changed() {
  if (clients_.empty()) return;
  for (auto& [source, table] : tables_) {
    std::vector<std::string> moved;
    for (const auto& [key, ids] : table) {
      if (!is_at_home(key, *source)) moved.push_back(key);
    }
    std::unordered_map<uint64_t, Keys> told;
    for (const std::string& key : moved) take(table, key, told);
    tell_all(told, source);
  }
  if (broadcast_clients().empty()) return;
  flush_broadcast();
  open_broadcast();
}

// ---- Messages -----------------------------------------------------------------------------------

void Tracking::tell(Client& client, const Keys* keys, Task* behind) {
  if (!client.is_open()) return;
  worker_.stats().invalidations.add();
  const ClientTracking& tracking = *client.tracking;
  if (tracking.redirect == 0) {
    // RESP2 has no way to say it, as with Redis.
    if (client.version() == RespVersion::k3) {
      client.push_message(invalidation(RespVersion::k3, keys), behind);
    }
    return;
  }
  std::shared_ptr<std::vector<std::string>> copy;
  if (keys != nullptr) {
    copy = std::make_shared<std::vector<std::string>>(keys->begin(), keys->end());
  }
  Worker& target = *worker_.manager().workers()[tracking.redirect_worker];
  target.mailbox()->post([&target, copy, id = tracking.redirect, teller = client.id(),
                          home = worker_.mailbox(), this] {
    if (target.tracking().tell_target(id, copy.get())) return;
    home->post([this, teller] { redirection_broken(teller); });
  });
}

bool Tracking::accept_redirection(uint64_t target) {
  bool found = false;
  worker_.for_each_client([&](Client& client) {
    if (client.id() != target) return;
    targets_[target] = &client;
    found = true;
  });
  return found;
}

bool Tracking::tell_target(uint64_t target, const std::vector<std::string>* keys) {
  const auto found = targets_.find(target);
  if (found == targets_.end()) return false;
  Client& client = *found->second;
  // As Redis: RESP2 has messages for subscribers only.
  if (client.version() == RespVersion::k2 && !client.only_subscribes()) return true;
  const Keys views = keys != nullptr ? Keys(keys->begin(), keys->end()) : Keys();
  client.push_message(invalidation(client.version(), keys != nullptr ? &views : nullptr),
                      client.last_answered(nullptr));
  return true;
}

void Tracking::redirection_broken(uint64_t id) {
  const auto found = clients_.find(id);
  if (found == clients_.end() || found->second->tracking->redirect_broken) return;
  Client& client = *found->second;
  client.tracking->redirect_broken = true;
  if (client.version() != RespVersion::k3) return;
  std::string message;
  resp::append_push(message, RespVersion::k3, 2);
  resp::append_bulk(message, "tracking-redir-broken");
  resp::append_integer(message, static_cast<int64_t>(client.tracking->redirect));
  client.push_message(message, client.last_answered(nullptr));
}

}  // namespace pikaproxy
