#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace pikaproxy {

// Why a decision was not made; nothing has changed then.
struct Refusal {
  enum class Kind : uint8_t {
    kNotFound,    // What it is about does not exist.
    kConflict,    // The present state does not allow it; another time it may.
    kImpossible,  // Well-formed, but can never work like this.
    kStale,       // Made for a topology that has been changed since.
    kStore,       // It could not be written to disk.
  };
  Kind kind = Kind::kConflict;
  std::string code;          // A stable word for programs: "slot_busy", "group_not_empty" ...
  std::string message;       // A sentence that says what to do.
  std::string pointer = {};  // JSON pointer to the field of the request that it is about.
};

// A value or a Refusal.
template <typename T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Outcome(Refusal refusal) : state_(std::in_place_index<1>, std::move(refusal)) {}

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  // Only when ok().
  T& operator*() {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& operator*() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }

  // Only when not ok().
  const Refusal& refusal() const {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Refusal> state_;
};

}  // namespace pikaproxy
