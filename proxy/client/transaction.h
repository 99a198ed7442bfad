#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/request_parser.h"
#include "proxy/io/byte_queue.h"

namespace pikaproxy {

struct Command;
struct ReplyShape;

// A SUBSCRIBE, UNSUBSCRIBE or alike within a transaction. No server is sent it: it is done when the
// server has executed the rest, and what it says stands in its place in EXEC's reply.
struct SubscriptionStep {
  uint32_t before;  // So many requests of the block come before it.
  const Command* command;
  std::vector<std::string> args;
  std::string reply;
};

// What a client has queued since MULTI. Requests stay with the proxy until EXEC; then they go to
// the server as one block, MULTI and EXEC around them, over the connection that all clients share:
// nothing of another client comes between them.
//
//   MULTI       +OK          all answers here come from the proxy
//   SET {a}1 x  +QUEUED
//   EXEC        the server's reply to the block's last request
//
// All keys must lie in one slot. Worker's thread only.
class Transaction {
 public:
  // The bytes kept count in `pool`, which outlives the transaction.
  explicit Transaction(BlockPool& pool);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // An error was answered: EXEC will refuse.
  void fail() noexcept { failed_ = true; }
  bool has_failed() const noexcept { return failed_; }

  // Takes a request, whose keys are the arguments at `keys`; `args` are views into `raw`.
  void queue(std::string_view raw, Arguments args, const std::vector<uint32_t>& keys);
  // The EVALSHA just queued needs this script.
  void need_script(std::string_view sha) { scripts_.emplace_back(sha); }

  // The form of the reply to the request just queued, where the client speaks RESP3.
  void add_shape(const ReplyShape* shape) { shapes_.push_back(shape); }
  const std::vector<const ReplyShape*>& shapes() const noexcept { return shapes_; }
  void add_step(const Command& command, Arguments args);
  bool has_steps() const noexcept { return !steps_.empty(); }
  std::vector<SubscriptionStep> take_steps() noexcept { return std::move(steps_); }

  // One of its requests may touch keys of the slot that it does not name.
  void touch_others() noexcept { touches_others_ = true; }
  bool touches_others() const noexcept { return touches_others_; }
  // One of its requests changes data.
  void note_write() noexcept { writes_ = true; }
  bool writes() const noexcept { return writes_; }

  uint32_t size() const noexcept { return size_; }
  uint64_t bytes() const noexcept { return block_.size() + step_bytes_; }
  bool has_keys() const noexcept { return !keys_.empty(); }
  std::string_view first_key() const noexcept { return key(keys_.front()); }
  const std::vector<std::string>& scripts() const noexcept { return scripts_; }

  // Closes the block: MULTI, the requests, EXEC. Nothing can be queued any more.
  std::string_view finish();
  // The keys, as views into the block. After finish().
  std::vector<std::string_view> keys() const;

 private:
  struct Span {
    size_t at, size;
  };
  std::string_view key(const Span& span) const noexcept {
    return std::string_view(block_).substr(span.at, span.size);
  }
  void append(std::string_view bytes);

  BlockPool& pool_;
  std::string block_;
  std::vector<Span> keys_;
  std::vector<std::string> scripts_;
  std::vector<const ReplyShape*> shapes_;
  std::vector<SubscriptionStep> steps_;
  uint64_t step_bytes_ = 0;
  uint32_t size_ = 0;
  bool failed_ = false;
  bool writes_ = false;
  bool touches_others_ = false;
};

}  // namespace pikaproxy
