#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <sys/uio.h>

namespace pikaproxy {

// A piece of memory in a ByteQueue: bytes [begin, end) of `data` are waiting.
struct Block {
  Block* next;
  char* data;  // Behind this header, or memory of its own (kOwn).
  size_t begin;
  size_t end;
  size_t capacity;
  enum class Size : uint8_t { kSmall, kLarge, kOwn } size;
};

// Hands out blocks and counts what is in use. One per worker, its thread only. Freed blocks are
// kept for the next request up to a bound, so that the steady state does not allocate and a burst
// does not keep memory.
class BlockPool {
 public:
  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // A block with room for at least `size` bytes, or a standard one if that is more.
  Block* take(size_t size, bool small);
  // A block around memory from malloc(), which the pool frees from then on.
  Block* adopt(char* data, size_t begin, size_t end, size_t capacity);
  void give_back(Block* block) noexcept;
  // Frees the kept blocks that were not needed since the last call. Now and then.
  void shrink() noexcept;

  // Memory that is not in blocks but counts as queued: input buffers, replies kept for later.
  void add_bytes(size_t bytes) noexcept { bytes_in_use_ += bytes; }
  void remove_bytes(size_t bytes) noexcept { bytes_in_use_ -= bytes; }
  uint64_t bytes_in_use() const noexcept { return bytes_in_use_; }

 private:
  struct FreeList {
    Block* head = nullptr;
    size_t count = 0;
    size_t spare = 0;  // The lowest count since the last shrink().
  };

  FreeList small_;
  FreeList large_;
  uint64_t bytes_in_use_ = 0;
};

// Bytes waiting to be written to a socket, oldest first. Appending copies small pieces into the
// last block and never moves bytes that are already queued. 24 bytes when empty. The owner must
// clear() it before it dies.
class ByteQueue {
 public:
  ByteQueue() = default;
  ~ByteQueue();
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  bool empty() const noexcept { return bytes_ == 0; }
  uint64_t bytes() const noexcept { return bytes_; }

  void append(BlockPool& pool, std::string_view bytes);
  // Takes over memory from malloc(), of which bytes [begin, end) are queued; the rest of it stays
  // as it is until those are written.
  void adopt(BlockPool& pool, char* data, size_t begin, size_t end, size_t capacity);
  // Moves all of `other` to the end of this queue.
  void splice(ByteQueue& other) noexcept;
  // Fills in up to `count` pieces for a gathered write; returns how many.
  int pieces(iovec* pieces, int count) const noexcept;
  // Forgets the first `bytes`: they were written.
  void consume(BlockPool& pool, uint64_t bytes) noexcept;
  void clear(BlockPool& pool) noexcept;

 private:
  Block* head_ = nullptr;
  Block* tail_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace pikaproxy
