#pragma once

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace pikaproxy {

// Why something failed, as a sentence for the operator that says what to do.
struct Error {
  std::string message;
};

// A value or an Error. For set-up and control code; requests use enums and std::error_code.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  // Only when ok().
  T& value() {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Only when not ok().
  const std::string& error() const {
    assert(!ok());
    return std::get_if<1>(&state_)->message;
  }

 private:
  std::variant<T, Error> state_;
};

}  // namespace pikaproxy
