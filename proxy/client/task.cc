#include "proxy/client/task.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "proxy/client/tracking.h"
#include "proxy/client/transaction.h"

namespace pikaproxy {
namespace {

constexpr size_t kTasksKept = 2048;

}  // namespace

TaskNotes::TaskNotes() = default;
TaskNotes::~TaskNotes() = default;

void KeptBytes::append(BlockPool& pool, std::string_view bytes) {
  if (size_ + bytes.size() > capacity_) {
    const size_t wanted = std::max(size_ + bytes.size(), 2 * capacity_);
    auto* grown = static_cast<char*>(std::realloc(heap_, wanted));
    if (grown == nullptr) throw std::bad_alloc();
    if (heap_ == nullptr) {
      std::memcpy(grown, inline_, size_);
      pool.add_bytes(wanted);
    } else {
      pool.add_bytes(wanted - capacity_);
    }
    heap_ = grown;
    capacity_ = wanted;
  }
  std::memcpy((heap_ != nullptr ? heap_ : inline_) + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

void KeptBytes::clear(BlockPool& pool) noexcept {
  if (heap_ != nullptr) {
    pool.remove_bytes(capacity_);
    std::free(heap_);
    heap_ = nullptr;
    capacity_ = kInlineBytes;
  }
  size_ = 0;
}

TaskPool::~TaskPool() {
  while (free_ != nullptr) {
    Task* next = free_->next_of_client;
    delete free_;
    free_ = next;
  }
}

Task* TaskPool::take() {
  if (free_ == nullptr) return new Task;
  Task* task = free_;
  free_ = task->next_of_client;
  --count_;
  spare_ = std::min(spare_, count_);
  return task;
}

void TaskPool::shrink() noexcept {
  for (; spare_ > 0; --spare_, --count_) {
    Task* next = free_->next_of_client;
    delete free_;
    free_ = next;
  }
  spare_ = count_;
}

void TaskPool::give_back(Task* task, BlockPool& pool) noexcept {
  task->reply.clear(pool);
  if (count_ >= kTasksKept) {
    delete task;
    return;
  }
  task->client = nullptr;
  task->gathering = nullptr;
  task->backend = nullptr;
  task->held = nullptr;
  task->shape = nullptr;
  task->notes.reset();
  task->sent = 0;
  task->server_time = 0;
  task->done = false;
  task->is_error = task->failed_here = false;
  task->streaming = false;
  task->dropped = false;
  task->is_block = false;
  task->holds_client = false;
  task->from_careless = false;
  task->silent = false;
  task->is_push = false;
  task->replies_before = 0;
  task->error_before = 0;
  task->next_of_client = free_;
  free_ = task;
  ++count_;
}

}  // namespace pikaproxy
