#pragma once

#include <cstdint>
#include <string_view>

namespace pikaproxy {

// A hash of any bytes, as twemproxy computes it on x86-64. Several differ from the published
// function of the same name, and four of them take bytes above 0x7F for negative numbers; both
// decide where existing data lives, so both are kept.
using HashFunction = uint32_t (*)(std::string_view) noexcept;

// By twemproxy's name: one of kTwemproxyHashes (common/twemproxy_names.h).
//   Result: null if there is no such function. "md5" must only be called if md5_available().
//   Source: twemproxy 0.5.0, src/hashkit; placement compared by tests/integration/ketama_test.py.
HashFunction hash_function(std::string_view name) noexcept;

}  // namespace pikaproxy
