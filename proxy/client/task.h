#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/command_table.h"
#include "proxy/io/byte_queue.h"
#include "proxy/io/event_loop.h"

namespace pikaproxy {

class Backend;
class Client;
struct ClientTracking;
struct ReplyShape;
struct Gathering;
struct HeldRequest;
struct SubscriptionStep;

// Reply bytes that have to wait: for the client's earlier replies, or for the other parts of a
// split request. Small ones lie in the object.
class KeptBytes {
 public:
  KeptBytes() = default;
  KeptBytes(const KeptBytes&) = delete;
  KeptBytes& operator=(const KeptBytes&) = delete;

  void append(BlockPool& pool, std::string_view bytes);
  void clear(BlockPool& pool) noexcept;
  std::string_view view() const noexcept { return {heap_ != nullptr ? heap_ : inline_, size_}; }
  size_t size() const noexcept { return size_; }

 private:
  static constexpr size_t kInlineBytes = 96;

  char* heap_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = kInlineBytes;
  char inline_[kInlineBytes];
};

// What only some tasks have.
struct TaskNotes {
  std::vector<const ReplyShape*> block;      // A transaction: the shapes of its replies.
  std::vector<std::string> reads;            // Keys, where the client has to be told of changes.
  uint64_t epoch = 0;                        // Tracking's, when it was sent.
  std::vector<std::string> written;          // Keys that change, see Tracking::note_own_write().
  std::unique_ptr<ClientTracking> tracking;  // What CLIENT TRACKING ON asks for.
  std::vector<SubscriptionStep> steps;       // A transaction: what is done after it.

  TaskNotes();
  ~TaskNotes();
};

// One request on its way. It has up to two holders, who both know it by pointer: the client's queue
// of replies to come, and the backend's queue of requests without a reply. Freed when the last one
// lets go. Worker's thread only.
//
//   client gone first:  the backend still waits for the reply, and then drops it (abandoned)
//   reply there first:  the task waits in the client's queue until it is the oldest
struct Task {
  Task* next_of_client = nullptr;
  Task* next_of_backend = nullptr;
  Client* client = nullptr;        // Null for a part of a split request, and when the client left.
  Gathering* gathering = nullptr;  // Set for a part of a split request.
  // Where it was sent last; null if it was answered here. Good for a look until it has its reply,
  // later only to be compared: connections go when they are idle.
  Backend* backend = nullptr;
  HeldRequest* held = nullptr;  // While it waits in the slot gate, before it is sent anywhere.
  const Command* command = nullptr;
  const ReplyShape* shape = nullptr;  // Of a RESP3 client's reply, see reply_lift.h; null = plain.
  std::unique_ptr<TaskNotes> notes;   // Rarely needed, hence apart.
  Ticks started = 0;                  // Request parsed.
  Ticks sent = 0;                     // Handed to the kernel; 0 = not yet.
  Ticks server_time = 0;              // From sent to answered, when that is over.
  KeptBytes reply;
  uint32_t replies_before = 0;  // A transaction: answers to come before the one that counts.
  uint32_t error_before = 0;    // A transaction: bytes of an earlier error at the start of `reply`.
  uint16_t part = 0;            // Which part of its gathering.
  bool is_error = false;        // The reply is an error, the server's or our own.
  bool failed_here = false;     // The error is the proxy's own: no server has answered it.
  bool done = false;            // The reply is complete (in `reply`).
  bool streaming = false;       // The first bytes of the reply went out to the client already.
  bool dropped = false;         // The reply was too large to be kept: an error is the answer.
  bool is_block = false;        // A transaction.
  bool holds_client = false;    // Its client's next request is looked at when this one is answered.
  bool from_careless = false;   // The reply is one of a server that is_careless(), see Backend.
  bool silent = false;          // CLIENT REPLY OFF or SKIP: nobody wants the reply.
  bool is_push = false;         // No reply: a message that waits for the end of another reply.
  bool subscribes = false;      // A transaction: messages that come meanwhile go behind its reply.
  uint8_t prefix_size = 0;
  char prefix[104];  // The request's first bytes, for SLOWLOG.

  // Whether anybody will look at the reply.
  bool is_wanted() const noexcept { return gathering != nullptr || (client != nullptr && !silent); }

  void set_prefix(std::string_view request) noexcept {
    prefix_size =
        static_cast<uint8_t>(request.size() < sizeof prefix ? request.size() : sizeof prefix);
    std::memcpy(prefix, request.data(), prefix_size);
  }
};

// Keeps freed tasks for the next request, up to a bound.
class TaskPool {
 public:
  TaskPool() = default;
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  Task* take();
  void give_back(Task* task, BlockPool& pool) noexcept;
  // Frees the kept tasks that were not needed since the last call. Now and then.
  void shrink() noexcept;

 private:
  Task* free_ = nullptr;
  size_t count_ = 0;
  size_t spare_ = 0;  // The lowest count since the last shrink().
};

// First in, first out, linked through one of the task's two links.
template <Task* Task::*Next>
class TaskQueue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  size_t size() const noexcept { return size_; }
  Task* front() const noexcept { return head_; }
  Task* back() const noexcept { return tail_; }
  void push(Task* task) noexcept {
    task->*Next = nullptr;
    (tail_ == nullptr ? head_ : tail_->*Next) = task;
    tail_ = task;
    ++size_;
  }
  // `earlier` is in the queue.
  void push_behind(Task* earlier, Task* task) noexcept {
    task->*Next = earlier->*Next;
    earlier->*Next = task;
    if (tail_ == earlier) tail_ = task;
    ++size_;
  }
  Task* pop() noexcept {
    Task* task = head_;
    head_ = task->*Next;
    if (head_ == nullptr) tail_ = nullptr;
    --size_;
    return task;
  }

 private:
  Task* head_ = nullptr;
  Task* tail_ = nullptr;
  uint32_t size_ = 0;
};

using ClientTaskQueue = TaskQueue<&Task::next_of_client>;
using BackendTaskQueue = TaskQueue<&Task::next_of_backend>;

}  // namespace pikaproxy
