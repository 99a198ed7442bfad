// Requests whose slot is locked or migrating: into the SlotGate and out of it again.

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/io/mailbox.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// A queue of the gate with one key, about.
constexpr uint64_t kQueueCost = 200;
// Smaller requests are cheaper to copy into the output than to give a block of their own.
constexpr size_t kOwnBlockMin = 32 * 1024;

}  // namespace

bool Dispatcher::admit(Request& request, bool whole_slot) {
  const Router& router = *worker_.topology().router;
  for (const uint32_t position : positions_) {
    const Place place = router.place(request.args[position]);
    if (place.group != kNoGroup) continue;
    refuse(request, slot_not_assigned(place.unit));
    return false;
  }
  if (request.held != nullptr) return true;
  bool may_go = true;
  for (const uint32_t position : positions_) {
    const std::string_view key = request.args[position];
    const SlotId slot = slot_of(key);
    may_go = whole_slot ? gate_.may_go_whole(slot) : gate_.may_go(slot, request.db, key);
    if (!may_go) break;
  }
  if (!may_go) hold_request(request, whole_slot);
  return may_go;
}

void Dispatcher::hold_request(Request& request, bool whole_slot) {
  auto held = std::make_unique<HeldRequest>();
  held->cost = request.raw.size() + sizeof(HeldRequest) + sizeof(Task) +
               positions_.size() * (sizeof(HeldRequest::Key) + kQueueCost);
  if (gate_.held_bytes() + held->cost > worker_.config().proxy.hold_max) {
    worker_.stats().tryagain.add();
    refuse(request, "TRYAGAIN slot " + std::to_string(slot_of(request.args[positions_.front()])) +
                        " is moving to another group, and as many requests as may wait do so"
                        " (proxy.hold_max); try again");
    return;
  }
  held->db = request.db;
  held->since = worker_.loop().now();
  held->whole_slot = whole_slot;
  held->scripts = std::exchange(scripts_needed_, {});
  held->names_channel = request.command.action == CommandAction::kPublish;
  held->size = request.raw.size();
  held->data = request.client.take_request_memory(request.raw, held->capacity);
  if (held->data == nullptr) {
    held->capacity = held->size;
    held->data = static_cast<char*>(std::malloc(held->capacity));
    if (held->data == nullptr) throw std::bad_alloc();
    std::memcpy(held->data, request.raw.data(), held->size);
  }
  held->cost += held->capacity - held->size;
  worker_.loop().pool().add_bytes(held->cost);
  for (const uint32_t position : positions_) {
    const std::string_view key = request.args[position];
    const SlotId slot = slot_of(key);
    held->keys.push_back({slot, {held->data + (key.data() - request.raw.data()), key.size()}});
    held->pauses_client = held->pauses_client || slot != held->keys.front().slot;
  }
  held->task = task_of(request);
  held->task->held = held.get();
  held->task->backend = nullptr;  // One that waited there before may go before this request does.
  if (held->pauses_client) request.client.hold();
  gate_.hold(std::move(held));
}

void Dispatcher::send_held(Backend& backend, HeldRequest& held) {
  if (held.size >= kOwnBlockMin) {
    backend.write_own(std::exchange(held.data, nullptr), 0, held.size, held.capacity);
  } else {
    backend.write(held.bytes());
  }
}

void Dispatcher::go(HeldRequest& held) {
  Client* client = held.task->client;
  held.task->held = nullptr;
  RequestParser& parser = worker_.parser();
  RequestProgress progress;
  // It has passed the limits when it came.
  parser.parse(held.bytes(), progress, {UINT64_MAX, UINT64_MAX, true});
  Request request{*client, *held.task->command, parser.args(), held.bytes(), held.db, &held};
  act(request);
  leave_gate(held, client);
}

void Dispatcher::refuse(HeldRequest& held, std::string_view error) {
  Client* client = held.task->client;
  held.task->held = nullptr;
  if (error.starts_with("TRYAGAIN")) worker_.stats().tryagain.add();
  worker_.fail(held.task, error);
  leave_gate(held, client);
}

void Dispatcher::leave_gate(HeldRequest& held, Client* client) {
  worker_.loop().pool().remove_bytes(held.cost);
  // Its end, should the reply have been too much for it, waits for the end of the turn.
  if (held.pauses_client && client->is_open()) client->release();
}

void Dispatcher::drop_held(Task* task) {
  worker_.loop().pool().remove_bytes(task->held->cost);
  gate_.drop(*task->held);
  worker_.free(task);
}

void Dispatcher::expire_held() {
  const Milliseconds timeout = worker_.config().proxy.hold_timeout;
  gate_.expire(worker_.loop().now() - timeout.count() * 1000,
               static_cast<uint64_t>(timeout.count()));
}

void Dispatcher::ask(SlotId slot, uint32_t version, uint32_t db, std::vector<std::string> keys) {
  worker_.stats().key_moves.add();
  const auto asked = std::make_shared<const std::vector<std::string>>(keys);
  auto done = [this, mailbox = worker_.mailbox(), slot, version, db,
               asked](KeyMover::Outcome outcome) {
    mailbox->post([this, slot, version, db, asked, outcome = std::move(outcome)] {
      if (!outcome.moved) worker_.stats().key_moves_failed.add();
      gate_.answered(slot, version, db, *asked, outcome);
    });
  };
  if (KeyMover* mover = worker_.manager().mover()) {
    mover->move(slot, db, std::move(keys), std::move(done));
  } else {
    done({false, "TRYAGAIN slot " + std::to_string(slot) +
                     " is migrating, and this proxy has nobody to move its keys; try again"});
  }
}

}  // namespace pikaproxy
