#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/resp3.h"

namespace pikaproxy {

class Backend;
class Client;
class Worker;
struct Command;
struct Task;
struct TaskNotes;

// What CLIENT TRACKING ON has made of a client.
struct ClientTracking {
  enum class Choice : uint8_t { kAll, kOptIn, kOptOut };
  enum class Caching : uint8_t { kUnset, kYes, kNo };

  Choice choice = Choice::kAll;
  Caching caching = Caching::kUnset;  // CLIENT CACHING: for the next request.
  bool broadcast = false;
  bool no_loop = false;
  bool redirect_broken = false;
  uint64_t redirect = 0;              // The client that is told instead; 0 = this one.
  size_t redirect_worker = 0;         // Whose client that is.
  std::vector<std::string> prefixes;  // kBroadcast; an empty one is every key.

  // Whether the keys of the next request are to be remembered.
  bool takes_next() const noexcept {
    if (broadcast || choice == Choice::kAll) return true;
    return choice == Choice::kOptIn ? caching == Caching::kYes : caching != Caching::kNo;
  }
};

// Client-side caching: which clients of a worker have to be told that a key has changed.
//
//   client ── reads k ──> Backend, Lane::kTracking ──> server     it remembers that we read k
//                                │ reply: (k, client) is noted here
//   client <─ invalidate k ──────┴─── ">2 invalidate k" ── k was written, by whomever
//
// The server tells over the connection that the read took, so that what comes behind the reply
// concerns it and what comes before does not. A client is told behind all replies that may hold an
// old value and before those that hold a newer one. Where nobody would tell of a change any more
// the client is told at once: a lost connection, a slot that moves, a read over another connection.
// So a value that was read and whose key has been written since has been or will be told of.
//
// Three sources:
//   default      Lane::kTracking: keys that were read over it
//   BCAST        Lane::kBroadcast: every key that changes, chosen by prefix here
//   RESP2        with REDIRECT: keys that were read, told of by Lane::kBroadcast; as with Redis,
//                replies and messages come over two connections, in any order
//
// Worker's thread only.
class Tracking {
 public:
  // `worker` outlives it.
  explicit Tracking(Worker& worker) noexcept : worker_(worker) {}

  // The client's tracking has begun or changed, or is over.
  void started(Client& client);
  void stopped(Client& client);
  void client_gone(Client& client);

  // A request of a client with tracking is being sent; its notes have the keys that it reads.
  void note_sent(const Client& client, TaskNotes& notes);
  // A task with notes has its reply, whose last bytes are `piece`; the client has not got it yet.
  void answered(Task& task, std::string_view piece);

  // Of a connection of one of our lanes.
  void on_push(const Backend& source, std::string_view push);
  void on_ready(const Backend& source);
  void on_lost(const Backend& source);

  void topology_changed();

  // Another worker's client has this one as its REDIRECT. False: there is no such client.
  bool accept_redirection(uint64_t target);
  // What that one is to be told; `keys` null = all keys. False: the target is gone.
  bool tell_target(uint64_t target, const std::vector<std::string>* keys);
  // Then the client that redirects is told so.
  void redirection_broken(uint64_t client);

  size_t clients() const noexcept { return clients_.size(); }

 private:
  using Keys = std::vector<std::string_view>;
  using ClientIds = std::vector<uint64_t>;
  using Table = std::unordered_map<std::string, ClientIds>;

  void add(Table& table, std::string_view key, const Client& client);
  // Out of the table, and of what is counted.
  void erase(Table& table, Table::iterator entry);
  void clear(Table& table);
  // What the client has changed itself it is not told of (NOLOOP). The server tells of a key that
  // was read over the connection once, when it changes: had it changed before this write, that
  // would have come before the write's reply, and nobody would be noted any more. So if the write
  // is certain to have changed the key, and the client is noted, the message to come is about the
  // client's own write. Where nothing is certain the client is told.
  void note_own_write(const Task& task, std::string_view reply);
  uint64_t bytes_max() const noexcept;
  // Makes room for so many keys: clients are told of others.
  void evict(Table& table, size_t keys, const Backend* source);
  // `behind`: the task whose reply goes first, null = none. `keys` null = all keys.
  void tell(Client& client, const Keys* keys, Task* behind);
  void tell_all(const std::unordered_map<uint64_t, Keys>& keys_of_client, const Backend* source);
  // Every client of the broadcasts: all keys.
  void flush_broadcast();
  void flush(const Backend& source);
  // Takes the clients out of the table.
  void take(Table& table, std::string_view key, std::unordered_map<uint64_t, Keys>& told);
  bool is_at_home(std::string_view key, const Backend& backend) const;
  bool hears_of(std::string_view key) const;
  bool uses_broadcast(const Client& client) const;
  void open_broadcast();
  std::vector<Client*> broadcast_clients() const;
  // Connections that nobody needs any more are given back.
  void release_lanes();

  Worker& worker_;
  std::unordered_map<uint64_t, Client*> clients_;  // With tracking, by id.
  std::unordered_map<uint64_t, Client*> targets_;  // Of a REDIRECT, by id.
  // By the connection that tells of the keys.
  std::unordered_map<const Backend*, Table> tables_;
  Table redirected_;    // Keys that RESP2 clients have read.
  size_t keys_ = 0;     // In all tables.
  uint64_t bytes_ = 0;  // That they take, about.
  uint64_t epoch_ = 0;  // Counts the moments at which broadcasts may have been missed.
};

// Whether that command, which writes one key, is certain to have changed it if the reply says so.
//   Source: where Redis 7.0's commands signal that a key was modified.
bool has_surely_changed(const Command& command, std::string_view reply) noexcept;

// The message of an invalidation; `keys` null = all keys. RESP2 has it as a message of the channel
// "__redis__:invalidate".
std::string invalidation(RespVersion version, const std::vector<std::string_view>* keys);

}  // namespace pikaproxy
