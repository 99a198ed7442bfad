#include "proxy/routing/slot_gate.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "common/sabotage.h"

namespace pikaproxy {
namespace {

constexpr uint64_t kMovedBytesMax = 16ull << 20;

}  // namespace

SlotGate::SlotGate(Host& host) : host_(host), moved_(kMovedBytesMax) {}

SlotGate::~SlotGate() = default;

// ---- Admission ----------------------------------------------------------------------------------

bool SlotGate::may_go(SlotId slot, uint32_t db, std::string_view key) const noexcept {
  if (table_ == nullptr) return true;
  switch (table_->slots[slot].state) {
    case SlotState::kUnassigned:
    case SlotState::kNormal:
      return true;
    case SlotState::kLocked:
      return false;
    case SlotState::kMigrating:
      if (is_sabotaged(Sabotage::kGateIgnored)) return true;
      break;
  }
  const auto queues = queues_.find(slot_and_db(slot, db));
  if (queues != queues_.end()) {
    const auto queue = queues->second.find(key);
    if (queue != queues->second.end() && !queue->second.requests.empty()) return false;
  }
  return moved_.contains(slot, db, key);
}

bool SlotGate::may_go_whole(SlotId slot) const noexcept {
  if (table_ == nullptr) return true;
  const SlotState state = table_->slots[slot].state;
  return state == SlotState::kUnassigned || state == SlotState::kNormal;
}

HeldRequest& SlotGate::hold(std::unique_ptr<HeldRequest> request) {
  HeldRequest& held = *request;
  held_bytes_ += held.cost;
  held_.push_back(std::move(request));
  held.place = std::prev(held_.end());
  enter(held);
  return held;
}

void SlotGate::enter(HeldRequest& request) {
  Questions questions;
  for (const HeldRequest::Key& key : request.keys) {
    const SlotState state = table_ == nullptr ? SlotState::kNormal : table_->slots[key.slot].state;
    if (state == SlotState::kUnassigned || state == SlotState::kNormal) continue;
    if (state == SlotState::kMigrating && request.names_channel) continue;
    // Until the next table, and with that it is looked at anew.
    if (state == SlotState::kLocked || request.whole_slot) ++request.unready;
    if (state == SlotState::kLocked) continue;

    const std::string_view name = key.name;
    Queues& queues = queues_[slot_and_db(key.slot, request.db)];
    auto found = queues.find(name);
    if (found == queues.end()) {
      found = queues.emplace(std::string(name), KeyQueue()).first;
      found->second.slot_and_db = slot_and_db(key.slot, request.db);
      found->second.key = &found->first;
      found->second.has_moved = moved_.contains(key.slot, request.db, name);
    }
    KeyQueue& queue = found->second;
    if (!queue.requests.empty() && queue.requests.back() == &request) continue;  // Named twice.
    queue.requests.push_back(&request);
    request.queues.push_back(&queue);
    if (!queue.has_moved || queue.requests.size() > 1) ++request.unready;
    if (queue.has_moved || queue.is_asked) continue;
    queue.is_asked = true;
    auto question = std::find_if(questions.begin(), questions.end(),
                                 [&](const auto& one) { return one.first == key.slot; });
    if (question == questions.end()) {
      question = questions.insert(questions.end(), {key.slot, {}});
    }
    question->second.emplace_back(name);
  }
  if (request.unready == 0) make_ready(request);
  for (auto& [slot, keys] : questions) {
    host_.ask(slot, versions_[slot], request.db, std::move(keys));
  }
}

void SlotGate::make_ready(HeldRequest& request) {
  assert(!request.is_ready);
  request.is_ready = true;
  ready_.push_back(&request);
}

// ---- Events -------------------------------------------------------------------------------------

bool SlotGate::is_same_entry(const SlotTable* now, SlotId slot) const noexcept {
  const SlotEntry old = table_ == nullptr ? SlotEntry() : table_->slots[slot];
  const SlotEntry entry = now == nullptr ? SlotEntry() : now->slots[slot];
  if (old.state != entry.state) return false;
  // Groups may have other indices in another table.
  const auto id_of = [](const SlotTable* table, uint16_t group) {
    return group == SlotEntry::kNone ? 0 : table->groups[group].id;
  };
  return id_of(table_.get(), old.group) == id_of(now, entry.group) &&
         id_of(table_.get(), old.target) == id_of(now, entry.target);
}

void SlotGate::install(std::shared_ptr<const SlotTable> table) {
  std::array<bool, kSlotCount> is_changed{};
  for (SlotId slot = 0; slot < kSlotCount; ++slot) {
    if (is_same_entry(table.get(), slot)) continue;
    is_changed[slot] = true;
    ++versions_[slot];
    if (!is_sabotaged(Sabotage::kMovedKeysKept)) moved_.forget(slot);
  }
  table_ = std::move(table);
  // Everybody leaves all queues and enters anew, in the order of arrival. What stays is what the
  // mover still owes an answer to.
  ready_.clear();
  for (auto& [id, queues] : queues_) {
    const bool is_stale = is_changed[id >> 32];
    for (auto& [key, queue] : queues) queue.requests.clear();
    std::erase_if(queues,
                  [is_stale](const auto& item) { return is_stale || !item.second.is_asked; });
  }
  std::erase_if(queues_, [](const auto& of_slot) { return of_slot.second.empty(); });
  for (auto& request : held_) {
    request->queues.clear();
    request->unready = 0;
    request->is_ready = false;
  }
  for (auto& request : held_) enter(*request);
}

KeyQueue* SlotGate::find(SlotId slot, uint32_t db, std::string_view key) noexcept {
  const auto queues = queues_.find(slot_and_db(slot, db));
  if (queues == queues_.end()) return nullptr;
  const auto queue = queues->second.find(key);
  return queue == queues->second.end() ? nullptr : &queue->second;
}

void SlotGate::answered(SlotId slot, uint32_t version, uint32_t db,
                        const std::vector<std::string>& keys, const KeyMover::Outcome& outcome) {
  if (versions_[slot] != version) return;
  for (const std::string& key : keys) {
    if (outcome.moved) moved_.add(slot, db, key);
    KeyQueue* queue = find(slot, db, key);
    if (queue == nullptr || !queue->is_asked) continue;
    if (outcome.moved) {
      queue->is_asked = false;
      queue->has_moved = true;
      if (!queue->requests.empty() && --queue->requests.front()->unready == 0) {
        make_ready(*queue->requests.front());
      }
    } else {
      // Counts as asked until it is empty, so that it is not erased on the way.
      while (!queue->requests.empty()) {
        HeldRequest& request = *queue->requests.front();
        host_.refuse(request, outcome.error);
        remove(request);
      }
      queue->is_asked = false;
    }
    erase_if_unused(*queue);
  }
}

void SlotGate::expire(Ticks oldest, uint64_t timeout_ms) {
  while (!held_.empty() && held_.front()->since <= oldest) {
    HeldRequest& request = *held_.front();
    SlotId slot = request.keys.front().slot;
    bool is_locked = false;
    for (const HeldRequest::Key& key : request.keys) {
      const SlotState state =
          table_ == nullptr ? SlotState::kNormal : table_->slots[key.slot].state;
      if (state != SlotState::kLocked && state != SlotState::kMigrating) continue;
      slot = key.slot;
      is_locked = state == SlotState::kLocked;
      if (is_locked) break;
    }
    host_.refuse(
        request,
        "TRYAGAIN slot " + std::to_string(slot) +
            (is_locked ? " is locked, and was not open again within "
                       : " is moving to another group, and the key was not there within ") +
            std::to_string(timeout_ms) + " ms (proxy.hold_timeout); try again");
    remove(request);
  }
}

void SlotGate::drop(HeldRequest& request) {
  remove(request);
}

void SlotGate::run() {
  while (!ready_.empty()) {
    HeldRequest& request = *ready_.front();
    ready_.pop_front();
    request.is_ready = false;
    // It leaves its queues afterwards: what comes behind it must not go first.
    host_.go(request);
    remove(request);
  }
  over_.clear();
}

void SlotGate::remove(HeldRequest& request) {
  if (request.is_over) return;
  request.is_over = true;
  if (request.is_ready) std::erase(ready_, &request);
  for (KeyQueue* queue : request.queues) {
    if (queue->requests.front() != &request) {
      std::erase(queue->requests, &request);
      continue;
    }
    queue->requests.pop_front();
    if (queue->requests.empty()) {
      erase_if_unused(*queue);
    } else if (queue->has_moved && --queue->requests.front()->unready == 0) {
      make_ready(*queue->requests.front());
    }
  }
  request.queues.clear();
  held_bytes_ -= request.cost;
  over_.push_back(std::move(*request.place));
  held_.erase(request.place);
}

void SlotGate::erase_if_unused(KeyQueue& queue) {
  if (!queue.requests.empty() || queue.is_asked) return;
  const auto queues = queues_.find(queue.slot_and_db);
  queues->second.erase(queues->second.find(*queue.key));
  if (queues->second.empty()) queues_.erase(queues);
}

size_t SlotGate::queues() const noexcept {
  size_t count = 0;
  for (const auto& [id, queues] : queues_) count += queues.size();
  return count;
}

}  // namespace pikaproxy
