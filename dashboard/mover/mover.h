#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dashboard/mover/route_state.h"

namespace pikaproxy {

// What became of one key.
struct KeyResult {
  enum class State : uint8_t {
    kUnknown,  // Not known to have moved: a server was lost on the way. Worth another try.
    kMoved,    // Not at the source any more.
    kStays,    // It was refused and is at the source.
  };
  State state = State::kUnknown;
  bool existed = false;       // Of kMoved: it was at the source.
  bool concerns_all = false;  // Of kStays: other keys would be refused, too.
  uint64_t bytes = 0;
  // Of the others: for clients, begins with an error code.
  std::string reason;
};

// The error code with which a client is told that a server refused its key, with a space behind it:
// "TRYAGAIN " where the server will think better of it by itself.
std::string_view refusal_code(std::string_view server_error) noexcept;

// Begins the reasons of what is worth another try.
inline constexpr std::string_view kTryAgain = "TRYAGAIN ";
// `reason` for operators, who see that in other ways.
std::string without_try_again(const std::string& reason);

// Links to both servers, of one thread. A link is made when it is needed, and again after one was
// lost.
class MoveLinks {
 public:
  using End = RouteState::End;

  explicit MoveLinks(RouteState& state) : state_(state) {}

  RouteState& state() noexcept { return state_; }
  // Null: the server cannot be reached, see error(). Never while answers are outstanding.
  ServerLink* get(End end);
  ServerLink* source() { return get(End::kSource); }
  ServerLink* target() { return get(End::kTarget); }
  // Ready for commands in this database; null as above.
  ServerLink* get(End end, uint32_t db);
  // After an exchange failed: gives the link up and keeps its reason.
  void lose(End end);
  const std::string& error() const noexcept { return error_; }
  // Whether a server is Pika, as it said at first. False: it cannot be reached, see error().
  bool ask_is_pika(End end, bool& is_pika);

  // The source has no MEMORY USAGE, or forbids it.
  bool lacks_memory_usage = false;

 private:
  RouteState& state_;
  std::unique_ptr<ServerLink> links_[2];
  std::optional<bool> is_pika_[2];
  std::string error_;
};

// Carries keys from the source to the target. Of one thread, while it holds RouteState::enter();
// nobody else moves these keys meanwhile.
class Mover {
 public:
  virtual ~Mover() = default;
  // Moves `keys`, which are different ones, of a database; results[i] is set for each.
  virtual void move(uint32_t db, const std::vector<std::string>& keys,
                    std::vector<KeyResult>& results) = 0;
};

// `is_wanted`: whether the slot of a key is still to be moved. A mover that carries a large key in
// pieces asks it now and then.
std::unique_ptr<Mover> make_mover(MoveLinks& links,
                                  std::function<bool(const std::string& key)> is_wanted);

inline constexpr std::chrono::milliseconds kCommandTimeout(5000);

// A key that is larger is announced, and moves alone.
inline constexpr uint64_t kLargeKeyBytes = 8 << 20;

// The command that tells how long a value of this type is.
std::string length_command(const std::string& type);

// For each key the bytes it takes at the source, as far as that can be told, or nothing if it is
// not there.
// False: the source was lost, see links.error().
bool probe_keys(MoveLinks& links, uint32_t db, const std::vector<std::string>& keys,
                std::vector<std::optional<uint64_t>>& bytes);

}  // namespace pikaproxy
