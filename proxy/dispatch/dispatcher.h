#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common/command_table.h"
#include "common/request_parser.h"
#include "proxy/backend/backend.h"
#include "proxy/client/client.h"
#include "proxy/client/gathering.h"
#include "proxy/routing/router.h"
#include "proxy/routing/slot_gate.h"

namespace pikaproxy {

class Worker;
struct GroupConfig;

// Decides what becomes of a request: checks it as Redis would, then answers it, forwards it to the
// group its keys live in, or splits it over groups. One per worker, its thread only.
//
//   dispatcher.cc           checks, one group, several groups
//   dispatcher_careless.cc  what must not be sent to Pika
//   dispatcher_gate.cc      requests whose slot is not open: held, and sent later
//   dispatcher_scan.cc      SCAN, RANDOMKEY
//   dispatcher_scripts.cc   EVAL and the like
//   dispatcher_transactions.cc   MULTI, EXEC, WATCH
//   dispatcher_tracking.cc  CLIENT TRACKING
//   dispatcher_blocking.cc  BLPOP and the like, CLIENT UNBLOCK
//   dispatcher_wait.cc      WAIT
//   dispatcher_waitaof.cc   WAITAOF
//   dispatcher_replicas.cc  reads that go to replicas
//   dispatcher_rights.cc    what users are not allowed
//   dispatcher_pubsub.cc    SUBSCRIBE, PUBLISH and the like
class Dispatcher : private SlotGate::Host {
 public:
  explicit Dispatcher(Worker& worker);
  ~Dispatcher() override;
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // The request that `parser` found, whose bytes are `raw`. False: it has to be given again when
  // all earlier requests of the client have been answered.
  bool dispatch(Client& client, RequestParser& parser, std::string_view raw);

  // A part that went to a replica has its reply. (Its backend may be gone when the others have
  // theirs.)
  void replica_answered(const Task& part);
  // All parts of a gathering have their replies.
  void gathered(Gathering& gathering);

  // A transaction, or a request that holds its client, has its reply, which may be replaced. False:
  // the request was sent again, elsewhere.
  bool answered(Task* task, std::string_view& reply);
  // Watched keys may be elsewhere now, and so may those that clients wait for.
  void topology_changed();
  // The client waits on that connection, for a key that is still served there.
  bool wait_stays(const Client& client, const Backend& backend);
  // The client's own connections to servers are not needed any more.
  void drop_connections(Client& client);

  // Has a server answer a request of the proxy's own, as RESP. `answer` gets the whole reply, also
  // where that is an error of ours; maybe within this call.
  void ask(Backend& backend, std::string_view request,
           std::function<void(std::string_view reply)> answer);
  // Ends the client's wait (BLPOP, WAIT) as its time-out would, or with an error. `done`: whether
  // it was waiting; maybe within this call.
  void unblock(Client& client, bool with_error, std::function<void(bool)> done);

  // Requests that wait for their slot.
  SlotGate& gate() noexcept { return gate_; }
  // Refuses those that have waited for too long.
  void expire_held();
  // The client of a held task is gone.
  void drop_held(Task* task);

  // Gives back what unusually large requests or replies made it keep. Now and then.
  void shrink();

 private:
  struct Request {
    Client& client;
    const Command& command;
    Arguments args;
    std::string_view raw;  // RESP, also where the client sent an inline command.
    uint32_t db;
    HeldRequest* held = nullptr;  // It was held, and goes on now: it has a task already.
    Task* task = nullptr;         // Or so.
    bool holds_client = false;    // The client's next request waits for its reply.
    bool from_master = false;     // No replica could answer it.
  };

  bool check_and_run(Client& client, RequestParser& parser, std::string_view raw);
  // A request that never gets as far as being run. command: null if there is no such one.
  void reject(Client& client, std::string_view error, const Command* command = nullptr);
  // Whether the client's user is allowed that; rejected otherwise. For those with rights.
  bool is_permitted(Client& client, const Command& command, Arguments args);
  // Whether the client's later requests take other connections than the earlier ones (HELLO).
  static bool changes_lane(const Client& client, const Command& command, Arguments args);
  // Whether it may only be sent when nothing else of the client is in flight.
  bool must_be_alone(const Client& client, const Command& command, Arguments args) const;
  void run(Request& request);
  // Then it was refused.
  bool is_out_of_memory(Request& request);
  // Sends it, to whom it concerns.
  void act(Request& request);
  void refuse(Request& request, std::string_view error);
  Task* task_of(Request& request);
  void count_slot(Place place) noexcept;
  void count_key(Place place, std::string_view key) noexcept;
  void forward(Request& request);
  void forward_to(Request& request, GroupIndex group);
  void forward_to_any(Request& request);
  // Any server may be sent it, see dispatcher_careless.cc.
  static bool is_careful(const Request& request);
  // False: it was refused, since this server would break its protocol over it.
  bool is_fit_for(Backend& backend, Request& request) {
    return !backend.may_be_careless() || is_fit_for_careless(backend, request);
  }
  bool is_fit_for_careless(Backend& backend, Request& request);
  bool is_block_fit_for_careless(Backend& backend, Request& request);
  // For one that needs a careful server: false if it was refused.
  bool is_need_met(Backend& backend, Request& request);
  void split(Request& request, Gathering::Kind kind, size_t args_per_key);
  void fan_out(Request& request, Gathering::Kind kind);
  void scan(Request& request);
  void random_key(Request& request);
  void eval(Request& request);
  void script_load(Request& request);
  void keep_script(Request& request);
  // To every group, past what its server is busy with.
  void control(Request& request, Gathering::Kind kind);

  void transaction_command(Request& request);
  // Puts a request into the client's transaction.
  bool queue(Request& request);
  bool find_transaction_keys(Request& request);
  // The same for a SUBSCRIBE or alike; see dispatcher_pubsub.cc, also for the next ones.
  bool queue_step(Request& request);
  struct BlockSteps;
  // Does what is left of a transaction that the server has executed. True: its reply comes later.
  bool begin_steps(Task* task, std::string_view last_piece);
  void run_steps(const std::shared_ptr<BlockSteps>& steps);
  void exec(Request& request);
  void send_block(Request& request, std::string_view key);
  void watch(Request& request);
  // Whether EXEC must not be sent, since changes of a watched key may have been missed.
  static bool is_broken(const Client::Watch& watch) noexcept;
  void drop_watch(Client& client);
  void watch_answered(Client& client, const Task& task, std::string_view reply);
  std::string exec_error(const Task& task, std::string_view reply) const;

  void tracking(Request& request);
  // Asks every server whether it can tell of changes; then tracking is on.
  void probe_tracking(Task* task);
  void gathered_tracking(Gathering& gathering);
  static void tracking_on(Task* task);
  // Notes with the task which keys the request reads, if its client has to be told of changes.
  void note_reads(Request& request, Task* task);
  // CLIENT CACHING concerns one request, or one transaction.
  static void end_caching(Client& client);

  void subscribe(Request& request);
  void publish(Request& request);
  void gathered_publish(Gathering& gathering);

  void wait_for_replicas(Request& request);
  void ask_masters(const std::shared_ptr<Client::ReplicaWait>& wait);
  void master_answered(const std::shared_ptr<Client::ReplicaWait>& wait, size_t number,
                       std::string_view reply);
  void nudge(const GroupConfig& server);
  // Those that the client's WAIT is about.
  std::vector<GroupIndex> groups_written_by(const Client& client) const;
  std::shared_ptr<Client::ReplicaWait> begin_replica_wait(Request& request,
                                                          const std::vector<GroupIndex>& groups,
                                                          int64_t timeout_ms);
  void wait_for_disks(Request& request);
  void ask_disk(const std::shared_ptr<Client::ReplicaWait>& wait, Backend& backend, size_t number);
  void send_waitaof(const std::shared_ptr<Client::ReplicaWait>& wait, Backend& backend,
                    size_t number, std::string_view timeout_ms);
  // True: it was asked again. Otherwise its connection is not needed any more.
  bool disk_answered(const std::shared_ptr<Client::ReplicaWait>& wait, size_t number,
                     std::string_view reply);
  // `reply`: how many there are if empty.
  void end_replica_wait(Client::ReplicaWait& wait, std::string_view reply = {});

  // Whether the request is one that replicas may answer, and its client wants that.
  bool wants_replica(const Request& request) const noexcept;
  // Sends it to a replica of the group, or refuses it; false if it is for the master. `positions_`:
  // its keys.
  bool read_from_replica(Request& request, GroupIndex group);
  // How new a replica's data must be for the keys at `positions_`.
  Ticks needed_freshness(const Request& request) const noexcept;
  // The replica to ask; null: the master. False: `error_` says why neither.
  bool find_replica(const Request& request, GroupIndex group, Ticks not_before, Backend*& backend);
  // Has masters answer what replicas could not. False if there is nothing of the kind.
  bool read_again_from_masters(Gathering& gathering);

  // Whether a CLIENT PAUSE concerns it.
  bool must_pause(const Client& client, const Command& command) const noexcept;
  // For WAIT: the client writes to that group, if that command writes.
  void note_write(Client& client, const Command& command, GroupIndex group) noexcept;

  void block(Request& request);
  // True: it goes on waiting, elsewhere.
  bool wait_answered(Client& client, Task* task, std::string_view reply);
  // is_unsent: no server has looked for elements yet.
  bool wait_again(Client& client, Task* task, const Client::Wait& wait, bool is_unsent);
  // The key's slot is open, and the connection is one to its group as it is now.
  bool is_served_by(std::string_view key, const Backend& backend) const;
  void recall(Client& client, Backend& backend);
  void recall_again(const Backend* backend);
  std::string too_many_connections() const;
  void return_or_give_up(Backend* backend);

  // Where all of the request's keys live; false if the request was answered with an error.
  bool place_keys(Request& request, GroupIndex& group);

  // Whether a request may go, of whose keys (`positions_`) one at least lies in a slot that is not
  // open. If not it was held or refused. `whole_slot`: it touches keys that it does not name.
  bool admit(Request& request, bool whole_slot);
  void hold_request(Request& request, bool whole_slot);
  void send_held(Backend& backend, HeldRequest& held);

  // SlotGate::Host
  void go(HeldRequest& held) override;
  void refuse(HeldRequest& held, std::string_view error) override;
  void ask(SlotId slot, uint32_t version, uint32_t db, std::vector<std::string> keys) override;
  void leave_gate(HeldRequest& held, Client* client);

  // A task of the proxy's own, whose reply `answer` gets.
  Task* own_task(std::function<void(std::string_view reply)> answer);
  // Ready to be used again.
  void recycle(Gathering& gathering);
  Gathering& start_gathering(Request& request, Gathering::Kind kind);
  Gathering& start_gathering(Task* parent, Gathering::Kind kind, uint32_t db, Lane lane);
  // A new part for that group; null if it was answered with an error at once. The part counts as
  // outstanding from here on.
  Task* add_part(Gathering& gathering, GroupIndex group, uint64_t size, Backend*& backend);
  // The same for a backend that is known.
  Task* add_part_to(Gathering& gathering, Backend& backend, uint64_t size);
  // One that nobody can be asked for.
  void fail_part(Gathering& gathering, std::string_view error);
  Task* new_part(Gathering& gathering);
  void send_part(Gathering& gathering, GroupIndex group, std::string_view request);
  // Parts are being added: replies that come meanwhile must not end the gathering.
  void hold(Gathering& gathering) noexcept { ++gathering.outstanding; }
  void release(Gathering& gathering);
  void finish(Gathering& gathering, std::string_view reply);

  // Sends a flush once more if keys may have escaped it.
  bool flush_again(Gathering& gathering);
  void gathered_scan(Gathering& gathering);
  void gathered_random_key(Gathering& gathering);
  void note_known_scripts(const Request& request, Gathering& gathering);
  void gathered_evalsha(Gathering& gathering);
  // Has the server load a script it may not know before an EVALSHA gets there.
  void load_script_first(Backend& backend, std::string_view sha);

  // What one group gets of a split request.
  struct Share {
    GroupIndex group;
    uint32_t keys;
    Backend* backend;  // Null if it refused.
    Task* part;
  };

  Worker& worker_;
  SlotGate gate_;
  std::string encoded_;                         // An inline command as RESP.
  std::vector<std::string_view> encoded_args_;  // Its arguments.
  std::vector<std::string> scripts_needed_;     // By the transaction being sent.
  std::string error_;                           // A reply that replaces the server's.
  std::string scratch_;                         // Merged replies, rewritten requests.
  std::vector<uint32_t> positions_;             // Of a request's keys.
  std::vector<GroupIndex> key_groups_;          // Their groups.
  std::vector<KeyUse> key_uses_;                // Of a request that may not be permitted.
  std::vector<uint16_t> share_of_group_;
  std::vector<Share> shares_;
  std::minstd_rand random_{std::random_device{}()};
  std::vector<std::unique_ptr<Gathering>> free_gatherings_;
};

}  // namespace pikaproxy
