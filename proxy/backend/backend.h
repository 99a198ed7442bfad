#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "common/config.h"
#include "common/reply_framer.h"
#include "common/stray_line.h"
#include "proxy/backend/lane.h"
#include "proxy/client/task.h"
#include "proxy/io/stream.h"
#include "proxy/stats/stats.h"

namespace pikaproxy {

class Resolver;
class Worker;

// Our connection to one server for one database and lane. Requests of all clients of the worker
// share it:
//
//   accept(task), write(bytes)...  ->  [ output ]  --one write per turn-->  server
//                                      [ tasks_ ]  <--replies in order----
//
// A lost connection fails its tasks and is made again: at once if it had been working, then with
// growing pauses. While the server cannot be reached, new requests fail at once.
//
// A connection that ends while the server owes replies, and not by the server's own word, is "given
// up": the server may still read requests from it. It is killed over the next connection before
// that one carries requests, so nothing given up can run after something newer of this backend.
// Worker's thread only.
class Backend : public Stream {
 public:
  // `worker` and `resolver` outlive the backend.
  Backend(Worker& worker, Resolver& resolver, const GroupConfig& group, uint32_t db, Lane lane,
          std::shared_ptr<ServerStats> stats);
  ~Backend() override;
  // One client has it for itself: whether it works says nothing of the server, which may just have
  // no room for it.
  void dedicate() noexcept { is_dedicated_ = true; }

  // Takes a task whose request of `size` bytes follows by write(). False: the task was answered
  // with an error that says why, and nothing must be written.
  bool accept(Task* task, uint64_t size);
  // The accepted task's request, whole and well-formed, in any number of pieces.
  void write(std::string_view bytes);
  // The same, taking over memory from malloc().
  void write_own(char* data, size_t begin, size_t end, size_t capacity);

  // Connects if it is not connected (database 0 of every group, so that an outage is seen early).
  void open();
  // Called several times a second: ends what takes too long.
  void check_timeouts();
  // No new requests will come. It can be destroyed when it is idle and nothing of it can run at the
  // server any more; until then it connects to see to that.
  void retire() noexcept { retired_ = true; }
  // The server's user and password have changed: for a retired backend that has to connect again.
  void set_credentials(const GroupConfig& group);
  // Closes the connection; what is in flight is answered with an error.
  void shut();
  // Ends a connection that one client had for itself, with whatever it may still have in flight.
  void give_up();
  // For a connection of one client: how much longer than backend.request_timeout its request may
  // take; negative = for ever.
  void set_patience(Ticks patience) noexcept { patience_ = patience; }
  // It works, or has not been needed yet, and nothing of earlier requests is left.
  bool is_clean() const noexcept {
    return (state_ == State::kReady || accepted_ == 0) && !retired_ && !auth_lost_ &&
           given_up_.empty();
  }
  bool is_ready() const noexcept { return state_ == State::kReady; }
  // Another number for each connection that it has had: state at the server, as of WATCH, ends with
  // the connection.
  uint32_t connection() const noexcept { return connections_ended_; }
  // As its server knows the connection; empty before it is made, and where the server does not
  // tell.
  const std::string& client_id() const noexcept { return identity_.id; }
  // It is connected, and its server knows no CLIENT ID: Pika, and Redis before 5.0.
  bool lacks_client_id() const noexcept { return state_ == State::kReady && identity_.id.empty(); }
  // It is connected, and its server has to be taken for one that is careless with its protocol, as
  // Pika is: its errors repeat keys as they are, so that a line break in a key forges replies, and
  // to some requests it answers too much. It knows no CLIENT ID, and says so in other words than
  // Redis.
  bool is_careless() const noexcept { return state_ == State::kReady && is_careless_; }
  // The same, or not known yet.
  bool may_be_careless() const noexcept { return state_ != State::kReady || is_careless_; }

  // What a request that is about to be accepted needs of the server. Without that, what has been
  // accepted fails once the server is known, and none of it was sent.
  enum class Need : uint8_t { kCare = 1, kClientId = 2 };
  void need(Need need) noexcept { needs_ |= static_cast<uint8_t>(need); }
  // Why a request that needs it is refused, without the "ERR ".
  std::string lacks(Need need) const;
  bool is_idle() const noexcept { return tasks_.empty(); }

  // To tell when all that was accepted up to a moment is over: take accepted() then; it is over
  // when answered() has got there and no given-up connection is left.
  uint64_t accepted() const noexcept { return accepted_; }
  uint64_t answered() const noexcept { return accepted_ - tasks_.size(); }
  // No connection that was given up can still run something.
  bool is_settled() const noexcept {
    return given_up_.empty() && ending_.empty() && loop_.now() >= unsettled_until_;
  }

  bool serves(const GroupConfig& group) const noexcept;
  const GroupConfig& group() const noexcept { return group_; }
  uint32_t db() const noexcept { return db_; }
  Lane lane() const noexcept { return lane_; }
  const std::shared_ptr<ServerStats>& stats() const noexcept { return stats_; }
  // For errors: "server 127.0.0.1:7001 of group g1".
  const std::string& label() const noexcept { return label_; }
  bool is_reachable() const noexcept { return reachable_; }

  // Scripts that this connection's server is known to have (by SHA-1 in lower case).
  bool has_script(const std::string& sha) const { return scripts_.contains(sha); }
  void add_script(const std::string& sha) {
    // Forgetting only costs a SCRIPT LOAD.
    if (scripts_.size() >= kScriptsMax) scripts_.clear();
    scripts_.insert(sha);
  }
  void forget_scripts() noexcept { scripts_.clear(); }
  void forget_script(const std::string& sha) { scripts_.erase(sha); }

 private:
  static constexpr size_t kScriptsMax = 10'000;

  enum class State : uint8_t {
    kClosed,
    kResolving,
    kConnecting,
    kAuth,
    kHello,
    kTrack,
    kSelect,
    kPing,
    kSettle,
    kReady,
    kWaiting
  };

  void on_data(std::string_view bytes) override;
  Stream* relay_target(uint64_t& bytes) override;
  void on_relayed(uint64_t bytes) override;
  void on_connect(int error) override;
  void on_end(int error) override;
  void on_flush() override;
  void on_sent() override;

  void start_connect();
  void connect_to(const Address& address);
  void next_handshake_step();
  void on_handshake_reply(std::string_view reply);
  void on_hello_reply(std::string_view reply);
  // The server has no client-side caching: who asked for it is told so.
  void refuse_tracking(std::string_view answer);
  // CLIENT SETNAME, INFO and ID.
  std::array<std::string, 3> identity_questions() const;
  // Asks once more for what the server did not tell when the connection was made.
  void identify_again();
  // Answers to what is sent along with PING.
  void note_identity(std::string_view reply);
  // Kills the next given-up connection, or becomes ready when none is left.
  void settle();
  void on_kill_reply(std::string_view reply);
  // The oldest given-up connection is killed, or was gone (not `was_killed`).
  void settled_one(bool was_killed);
  // Looks which of those have ended.
  void check_ending();
  // Pika stops reading from a connection that was idle for its `timeout` (60 s), and closes it some
  // seconds later: a request that comes in between would wait for nothing.
  void stay_awake();
  void become_ready();
  // The attempt failed: every waiting task gets `reason`, the next attempt comes after a pause.
  void attempt_failed(const std::string& reason);
  void disconnect() noexcept;
  // A working connection ended. `server_closed`: by the server's own word, so that it does not read
  // what it was sent any more.
  void lose(const std::string& reason, bool server_closed = false);
  void end_connection(const std::string& reason, bool server_closed);
  // The server is not to be trusted any more, in the handshake or later.
  void end_attempt_or_lose(const std::string& reason);
  void fail_tasks(const std::string& error);
  // `first`, `complete`: the reply begins, ends with this piece.
  void take_reply(std::string_view piece, bool first, bool complete);
  // The same for the replies of a transaction that come before the one that counts.
  bool take_reply_before(Task* task, std::string_view piece, bool first, bool complete);
  bool is_auth_lost(std::string_view reply) const noexcept;
  Milliseconds handshake_timeout() const noexcept;
  // Takes the beginning of `bytes` if it is (more of) a push message, which answers no request.
  bool take_push(std::string_view& bytes);
  // The reply of a server without RESP3, for a client with it.
  void complete_lifted(Task* task, std::string_view piece);
  // The connection whose state is the server's state.
  bool is_main() const noexcept { return db_ == 0 && lane_ == Lane::kResp2 && !is_dedicated_; }

  // Constant after construction.
  Worker& worker_;
  Resolver& resolver_;
  GroupConfig group_;  // But for the credentials, see set_credentials().
  const uint32_t db_;
  const Lane lane_;
  const std::string label_;
  const std::shared_ptr<ServerStats> stats_;

  // A connection as its server knows it.
  struct Identity {
    std::string id;       // CLIENT ID; empty where the server does not tell.
    std::string address;  // Our end as the server sees it: "127.0.0.1:50123".
    // One without an id, given up: kept open until its server closes it. -1 = closed.
    int fd = -1;
  };
  Identity identity_;               // Of the present connection.
  std::vector<Identity> given_up_;  // Oldest first.
  // Sockets of those that the server was told to kill, but may not be done with: see
  // docs/slot-migration.md, "Drained".
  std::vector<int> ending_;
  bool kill_asked_ = false;  // For the oldest one given up.
  // Where a server lets us kill nothing, time has to do.
  Ticks unsettled_until_ = 0;
  bool kill_by_id_ = true;  // The form that is being tried.
  uint8_t identified_ = 0;  // Answers so far to what is sent along with PING.
  // The server was busy with a script, or is, and has not said who we are.
  bool is_unidentified_ = false;
  bool is_careless_ = false;
  bool is_dedicated_ = false;
  uint8_t needs_ = 0;     // Need bits of what was accepted before the connection is ready.
  StrayLine stray_line_;  // Of careless servers.
  Ticks patience_ = 0;
  uint64_t accepted_ = 0;   // Tasks, ever.
  BackendTaskQueue tasks_;  // Accepted, without a reply; oldest first.
  Task* unsent_ = nullptr;  // The oldest of them that the kernel has not got yet.
  ByteQueue waiting_;       // Their bytes until the handshake is over.
  ReplyFramer framer_;
  std::string handshake_reply_;
  std::string push_;  // An incomplete push message.
  std::unordered_set<std::string> scripts_;
  std::string last_error_;  // Of the last attempt to connect.
  Ticks state_since_ = 0;
  Ticks ready_since_ = 0;
  Ticks last_received_ = 0;
  // When the kernel took a part of what was too much for it at once.
  Ticks last_sent_part_ = 0;
  uint32_t connections_ended_ = 0;
  Ticks pause_ = 0;  // Before the next attempt.
  std::optional<EventLoop::TimerId> retry_timer_;
  uint32_t attempt_ = 0;  // Rotates through a name's addresses.
  State state_ = State::kClosed;
  bool reachable_ = true;    // Until an attempt fails: then requests fail at once.
  bool plain_auth_ = false;  // AUTH with the password alone (servers before Redis 6).
  bool retired_ = false;
  bool is_lifting_ = false;  // The server knows no RESP3, but the lane's clients expect it.
  bool is_pushing_ = false;  // The framer is inside a push message.
  bool auth_lost_ = false;   // The server answered NOAUTH: connect anew once the replies are in.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For answers of the resolver.
};

}  // namespace pikaproxy
