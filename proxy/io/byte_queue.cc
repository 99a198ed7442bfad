#include "proxy/io/byte_queue.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

namespace pikaproxy {
namespace {

// Small blocks: the replies of one loop turn to a client that does not pipeline. Large ones:
// batches. With their headers they fill 1 KiB and 16 KiB.
constexpr size_t kSmallBytes = 1024 - sizeof(Block);
constexpr size_t kLargeBytes = 16 * 1024 - sizeof(Block);
constexpr size_t kSmallKept = 512;
constexpr size_t kLargeKept = 64;

char* allocate(size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<char*>(memory);
}

}  // namespace

BlockPool::~BlockPool() {
  for (FreeList* list : {&small_, &large_}) {
    while (list->head != nullptr) {
      Block* next = list->head->next;
      std::free(list->head);
      list->head = next;
    }
  }
}

Block* BlockPool::take(size_t size, bool small) {
  if (size > kLargeBytes) {
    return adopt(allocate(size), 0, 0, size);
  }
  small = small && size <= kSmallBytes;
  FreeList& list = small ? small_ : large_;
  const size_t capacity = small ? kSmallBytes : kLargeBytes;
  Block* block = list.head;
  if (block != nullptr) {
    list.head = block->next;
    --list.count;
    list.spare = std::min(list.spare, list.count);
  } else {
    char* memory = allocate(sizeof(Block) + capacity);
    block = new (memory) Block{};
    block->data = memory + sizeof(Block);
    block->capacity = capacity;
    block->size = small ? Block::Size::kSmall : Block::Size::kLarge;
  }
  block->next = nullptr;
  block->begin = block->end = 0;
  bytes_in_use_ += capacity;
  return block;
}

Block* BlockPool::adopt(char* data, size_t begin, size_t end, size_t capacity) {
  auto* block =
      new (allocate(sizeof(Block))) Block{nullptr, data, begin, end, capacity, Block::Size::kOwn};
  bytes_in_use_ += capacity;
  return block;
}

void BlockPool::give_back(Block* block) noexcept {
  bytes_in_use_ -= block->capacity;
  if (block->size == Block::Size::kOwn) {
    std::free(block->data);
    std::free(block);
    return;
  }
  const bool small = block->size == Block::Size::kSmall;
  FreeList& list = small ? small_ : large_;
  if (list.count >= (small ? kSmallKept : kLargeKept)) {
    std::free(block);
    return;
  }
  block->next = list.head;
  list.head = block;
  ++list.count;
}

void BlockPool::shrink() noexcept {
  for (FreeList* list : {&small_, &large_}) {
    for (; list->spare > 0; --list->spare, --list->count) {
      Block* next = list->head->next;
      std::free(list->head);
      list->head = next;
    }
    list->spare = list->count;
  }
}

ByteQueue::~ByteQueue() {
  assert(head_ == nullptr);
}

void ByteQueue::append(BlockPool& pool, std::string_view bytes) {
  bytes_ += bytes.size();
  // Never behind memory that was taken over: the bytes there may still be in use (the requests that
  // a client sent behind the one whose memory this is).
  if (tail_ != nullptr && tail_->size != Block::Size::kOwn) {
    const size_t part = std::min(bytes.size(), tail_->capacity - tail_->end);
    std::memcpy(tail_->data + tail_->end, bytes.data(), part);
    tail_->end += part;
    bytes.remove_prefix(part);
  }
  if (bytes.empty()) return;
  Block* block = pool.take(bytes.size(), head_ == nullptr);
  std::memcpy(block->data, bytes.data(), bytes.size());
  block->end = bytes.size();
  (tail_ == nullptr ? head_ : tail_->next) = block;
  tail_ = block;
}

void ByteQueue::adopt(BlockPool& pool, char* data, size_t begin, size_t end, size_t capacity) {
  bytes_ += end - begin;
  Block* block = pool.adopt(data, begin, end, capacity);
  (tail_ == nullptr ? head_ : tail_->next) = block;
  tail_ = block;
}

void ByteQueue::splice(ByteQueue& other) noexcept {
  if (other.head_ == nullptr) return;
  (tail_ == nullptr ? head_ : tail_->next) = other.head_;
  tail_ = other.tail_;
  bytes_ += other.bytes_;
  other.head_ = other.tail_ = nullptr;
  other.bytes_ = 0;
}

int ByteQueue::pieces(iovec* pieces, int count) const noexcept {
  int n = 0;
  for (const Block* block = head_; block != nullptr && n < count; block = block->next) {
    pieces[n].iov_base = block->data + block->begin;
    pieces[n].iov_len = block->end - block->begin;
    ++n;
  }
  return n;
}

void ByteQueue::consume(BlockPool& pool, uint64_t bytes) noexcept {
  assert(bytes <= bytes_);
  bytes_ -= bytes;
  while (head_ != nullptr) {
    const size_t here = head_->end - head_->begin;
    if (bytes < here) {
      head_->begin += bytes;
      return;
    }
    bytes -= here;
    Block* next = head_->next;
    pool.give_back(head_);
    head_ = next;
  }
  tail_ = nullptr;
}

void ByteQueue::clear(BlockPool& pool) noexcept {
  while (head_ != nullptr) {
    Block* next = head_->next;
    pool.give_back(head_);
    head_ = next;
  }
  tail_ = nullptr;
  bytes_ = 0;
}

}  // namespace pikaproxy
