#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/config.h"
#include "common/proxy_inspector.h"
#include "common/request_parser.h"
#include "common/resp3.h"
#include "proxy/backend/lane.h"
#include "proxy/client/task.h"
#include "proxy/io/stream.h"
#include "proxy/routing/router.h"
#include "proxy/stats/stats.h"

namespace pikaproxy {

class Backend;
class Rights;
class Transaction;
struct RedisUser;
struct ClientSubscriptions;
struct ClientTracking;
class Worker;

// One client's connection: splits its bytes into requests, hands each to the Dispatcher, and writes
// the replies in the order of the requests.
//
//   bytes -> RequestParser -> Dispatcher --+-- answered here: reply()
//                                          +-- add_task(): the reply comes later, by complete()
//   queue_:  [done][done][waiting][done]...   only what is done at its head goes out
//
// An idle client holds no buffer: bytes are parsed where the loop received them, and only an
// incomplete request is kept. Worker's thread only.
class Client : public Stream {
 public:
  // `worker` outlives the client.
  // `listener`: the number of the [[listener]] it came by, counted from 1; 0 = proxy.listen.
  Client(Worker& worker, uint64_t id, uint8_t listener);
  ~Client() override;

  // Takes over the accepted socket; false (errno set) if that is not possible.
  bool start(int fd);

  // Answers the request being handled, after all earlier ones.
  void reply(std::string_view resp);
  // The same with an error; `text` begins with its code.
  void reply_error(std::string_view text);
  // The same for what CLIENT REPLY OFF does not concern.
  void reply_always(std::string_view resp);
  // A published message, as RESP2, which is no reply to anything. False, and it is not taken: the
  // client has as much output as it may.
  bool push(std::string_view message);
  // The request being handled will be answered by complete(). `request`: its first bytes, for
  // SLOWLOG.
  Task* add_task(const Command& command, std::string_view request);
  // The last bytes of a task's reply (all of it, where nothing was kept before). Frees the task
  // when it was its turn. May close the client.
  void complete(Task* task, std::string_view piece);
  // Nothing has been asked since that task's request.
  bool is_newest(const Task* task) const noexcept { return queue_.back() == task; }
  // A message that answers no request goes out behind that task's reply, or at once if `behind` is
  // null. May close the client.
  void push_message(std::string_view message, Task* behind);
  // The last task whose reply may hold what a server knew before now: complete, merged of several,
  // or not sent yet. `source`: only replies of that connection matter; null = of all. Null if there
  // is none: a message can go out at once.
  Task* last_answered(const Backend* source) const noexcept;
  // The task's reply is large: what was kept goes out now if it is the task's turn.
  void try_streaming(Task* task);
  // More bytes of such a reply.
  void stream(std::string_view piece);
  // Whether more bytes of such a reply may go from the server's socket to ours by themselves.
  bool can_relay() const noexcept { return can_send_at_once(); }
  void relayed(uint64_t bytes);

  // Everything this client has written was answered at this time or before. Kept for clients that
  // read from replicas; before READONLY it is when the last write was sent.
  Ticks last_write() const noexcept { return wrote_at_; }
  bool may_be_writing() const noexcept {
    return !queue_.empty() && queue_.front()->started <= wrote_at_;
  }
  // READONLY and READWRITE.
  void choose_reads(bool from_replicas) noexcept;
  // What applies to a client that has said neither: the user's, the listener's, [proxy]'s.
  void settle_reads() noexcept;

  // Hands over the memory of the request being handled, if it has memory of its own: the request's
  // bytes start at its beginning. Null if not; then the bytes must be copied.
  char* take_request_memory(std::string_view request, size_t& capacity);

  // Not read from between these: a held request has to go first.
  void hold() noexcept { held_ = true; }
  void release();
  // The same until the end of a CLIENT PAUSE.
  void hold_for_pause() noexcept { held_ = paused_by_command_ = true; }
  void end_pause();

  // For WAIT: to which groups of which topology this client has written. Groups 64 apart are not
  // told apart, nor any after another topology came: then too many are asked, never too few.
  void note_write(GroupIndex group, uint64_t epoch) noexcept {
    if (written_epoch_ != epoch) {
      if (written_ != 0) written_ = UINT64_MAX;
      written_epoch_ = epoch;
    }
    written_ |= uint64_t{1} << group % 64;
    wrote_at_ = loop_.now();
  }
  bool has_written() const noexcept { return written_ != 0; }
  bool may_have_written(GroupIndex group, uint64_t epoch) const noexcept {
    return written_ != 0 && (epoch != written_epoch_ || (written_ >> group % 64 & 1) != 0);
  }

  // Handles what was left unparsed when too much was in flight.
  void resume();
  // Answers what was asked so far, then closes.
  void close_after_replies();
  // The same, but what the client still sends is read and dropped for a while: closing with unread
  // input would reset the connection, and the client might not see the last reply.
  void close_lingering();
  // Closes now.
  void shut(Disconnect why);
  bool is_closing() const noexcept { return closing_; }
  // No request waits for its reply.
  bool has_no_request() const noexcept { return queue_.empty(); }
  // Replies that wait to be sent.
  uint64_t unread_bytes() const noexcept { return output_bytes() + kept_bytes_; }
  // Nothing in flight, nothing to write.
  bool is_idle() const noexcept { return queue_.empty() && output_bytes() == 0; }

  // The client does not take its output: closes now.
  void shut_for_output();

  // Once a second: ends a client that has been idle for too long or does not take its replies.
  void check_timeouts(uint32_t now_s);

  // One line of CLIENT LIST, with its line end.
  std::string describe() const;
  // The same for the dashboard.
  ProxyClient inspect() const;

  // The connection's state, changed by commands.
  struct Session {
    uint32_t db = 0;
    uint8_t protocol = 2;  // RESP version of the replies.
    Lane lane = Lane::kResp2;
    bool is_plain = true;  // Lane::kResp2, and no tracking.
    bool authenticated = false;
    bool admin = false;
    // What the user is allowed; null: everything but administration.
    const Rights* rights = nullptr;
    bool no_evict = false;
    bool no_touch = false;
    bool monitor = false;
    ReadFrom read_from = ReadFrom::kMaster;
    bool chose_reads = false;   // By READONLY or READWRITE.
    Ticks replica_max_lag = 0;  // 0 = proxy.replica_max_lag.
    enum class Replies : uint8_t { kOn, kOff, kSkipNext, kSkipThis } replies = Replies::kOn;
  };
  Session session;
  RespVersion version() const noexcept { return static_cast<RespVersion>(session.protocol); }
  // Nothing must be in flight: the next requests may take other connections.
  void set_version(RespVersion version) noexcept;
  // CLIENT TRACKING; null = off. The same holds.
  void set_tracking(std::unique_ptr<ClientTracking> tracking);
  // Some request of it was sent to a server.
  bool has_sent_requests() const noexcept { return answered_ > 0; }
  // Rarely set, hence apart.
  struct Names {
    std::string name, lib_name, lib_version;
    std::string peer;  // Once somebody asked.
  };
  const Names& names() const noexcept;
  Names& edit_names();
  // "127.0.0.1:50123"
  const std::string& peer();
  // Who the client is; before AUTH, the default user.
  const RedisUser& user() const noexcept { return *user_; }
  void set_user(std::shared_ptr<const RedisUser> user, bool is_authenticated);
  // The worker has other users now. Closes the connection if its own is not among them, or if it
  // subscribes to what that one may not any more.
  void follow_users();
  // Back to what a new connection has.
  void reset_session();

  // With CLIENT TRACKING ON; changed by set_tracking() only, but for what concerns no connection.
  std::unique_ptr<ClientTracking> tracking;
  // MULTI until EXEC; null otherwise.
  std::unique_ptr<Transaction> transaction;
  // What a WATCH has made of one of our connections to a server.
  struct Watch {
    Backend* backend;
    std::string key;  // One of the watched ones: all lie in the same slot.
    // Backend::connection() when the first WATCH was answered.
    std::optional<uint32_t> connection;
    // Its slot has moved, or what was watched over a lost connection is not any more. (That the
    // connection is lost now is for Dispatcher::is_broken() to see.) EXEC answers nil.
    bool broken = false;
  };
  std::unique_ptr<Watch> watch;
  // A WAIT, see dispatcher_wait.cc; who looks at servers for it must not keep it alive.
  struct ReplicaWait;
  std::shared_ptr<ReplicaWait> replica_wait;
  // A command that waits at the server (BLPOP), on a connection of the client's own.
  struct Wait {
    Backend* backend;
    std::string request;
    uint32_t db;
    Ticks since;
    bool recalled = false;       // Its slot moves: the server was told to end the wait.
    bool unblock_asked = false;  // For that or by a client; it may not have come yet.
  };
  std::unique_ptr<Wait> wait;

  // What it subscribes to; null while it never has.
  std::unique_ptr<ClientSubscriptions> subscriptions;
  bool subscribes() const noexcept;
  // It subscribes with RESP2, so messages are all it gets, and few requests are allowed.
  bool only_subscribes() const noexcept;

  void note_command(const Command& command) noexcept { last_command_ = &command; }
  uint64_t id() const noexcept { return id_; }
  uint64_t age_s() const noexcept;
  Worker& worker() noexcept { return worker_; }

 private:
  friend class Worker;

  // An incomplete request.
  struct Input {
    char* data = nullptr;
    size_t size = 0;
    size_t capacity = 0;
    size_t wanted = 0;  // The request has at least so many bytes.
    RequestProgress progress;
    bool received_in_place = false;  // The space handed to the loop lay in `data`.
  };

  std::span<char> receive_space(std::span<char> scratch) override;
  void on_data(std::string_view bytes) override;
  void on_end(int error) override;
  void on_sent() override;

  void process(std::string_view bytes, RequestProgress progress);
  // Keeps `bytes`, which may lie in the present input.
  void keep_input(std::string_view bytes, size_t wanted, const RequestProgress& progress);
  void drop_input() noexcept;
  bool must_pause() const noexcept;
  // It waits for something that may take long, and its end must be noticed meanwhile.
  bool is_waiting() const noexcept {
    return wait != nullptr || replica_wait != nullptr || paused_by_command_;
  }
  // How many requests may be in flight, so that their replies are likely to fit.
  size_t window() const noexcept;
  void output(std::string_view bytes);
  bool has_too_much_output() const noexcept;
  void settle();
  void finish_closing();
  void choose_lane() noexcept;
  ReadPolicy configured_reads() const noexcept;
  void read_from(ReadFrom where) noexcept;
  void end_monitor();

  // Constant after construction.
  Worker& worker_;
  const uint64_t id_;
  const uint8_t listener_;

  Client* previous_ = nullptr;  // Of the worker's list.
  Client* next_ = nullptr;
  ClientTaskQueue queue_;
  std::unique_ptr<Input> input_;
  std::unique_ptr<Names> names_;
  std::shared_ptr<const RedisUser> user_;
  uint64_t kept_bytes_ = 0;   // Replies that are done but have to wait.
  uint32_t reply_bytes_ = 0;  // Of a usual reply: a moving average.
  uint32_t answered_ = 0;     // Tasks completed, up to a bound.
  const Command* last_command_ = nullptr;
  uint64_t written_ = 0;  // A bit for each group, see note_write().
  uint64_t written_epoch_ = 0;
  Ticks wrote_at_ = 0;  // See last_write().
  uint32_t created_s_ = 0;
  uint32_t active_s_ = 0;           // Last request.
  uint32_t sent_s_ = 0;             // Last time the socket took some output, or had none to take.
  bool paused_ = false;             // Not read from until less is in flight.
  bool paused_by_command_ = false;  // By CLIENT PAUSE.
  bool held_ = false;               // Between hold() and release().
  bool deferred_ = false;  // The request at hand is looked at again when all earlier ones are done.
  bool resuming_ = false;  // In the worker's list for resume().
  bool lingering_ = false;  // Before it closes, see close_lingering().
  bool closing_ = false;    // No more requests; close when the replies are out.
};

}  // namespace pikaproxy
