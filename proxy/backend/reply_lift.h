#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/command_table.h"

namespace pikaproxy {

// What a RESP2 reply becomes for a client that speaks RESP3, where the server does not: Pika, Redis
// before 6. Null values become "_" whatever the shape; a reply of another form than the shape's (an
// error, "QUEUED") stays as it is.
//
//   HGETALL, map:              *4 f1 v1 f2 v2   ->   %2 f1 v1 f2 v2
//   ZRANGE WITHSCORES, pairs:  *4 m1 $1 m2 $2   ->   *2 (*2 m1 ,1) (*2 m2 ,2)
struct ReplyShape {
  enum class Kind : uint8_t {
    kDouble,       // A string that is a number.
    kSet,          // An array whose order means nothing.
    kMap,          // A flat array of keys and values.
    kMapOfPairs,   // An array of pairs that RESP3 has as a map (XREAD).
    kPairs,        // A flat array that RESP3 has as an array of pairs.
    kAlternating,  // A flat array that stays one; its second, fourth ... elements have a shape.
    kArray,        // Elements of one shape.
    kTuple,        // Elements of different shapes; those behind the last one are plain.
  };
  struct Field {
    std::string_view key;
    const ReplyShape* shape;
  };

  Kind kind = Kind::kArray;
  const ReplyShape* inner = nullptr;              // Of the elements, the values; null = plain.
  std::span<const Field> fields = {};             // kMap: values with a shape of their own.
  std::span<const ReplyShape* const> tuple = {};  // kTuple.
};

// The shape of the reply to that request; null if there is nothing but null values to lift. Lives
// as long as the process. The arity has been checked.
//   Source: Redis 7.0's replies in both versions, see tests/integration/resp3_test.py.
const ReplyShape* reply_shape(const Command& command, Arguments args);

// Appends the whole, well-formed reply `reply` as RESP3.
void lift_reply(std::string_view reply, const ReplyShape* shape, std::string& out);
// The same for EXEC, of whose requests each has its shape.
void lift_block(std::string_view reply, std::span<const ReplyShape* const> shapes,
                std::string& out);

}  // namespace pikaproxy
