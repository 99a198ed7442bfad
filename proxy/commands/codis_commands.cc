// What codis-proxy answers beyond Redis' commands, for tools that were made for it.
//   Source: codis 3.2, pkg/proxy/session.go (which of them there are, their replies and errors).

#include "common/ascii.h"
#include "common/resp.h"
#include "common/slot.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

void hash_keys(Client& client, const Command&, Arguments args) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(args.size() - 1));
  for (const std::string_view key : args.subspan(1)) resp::append_integer(out, slot_of(key));
  client.reply(out);
}

// False: the client was told what is wrong.
bool parse_slot(Client& client, std::string_view text, SlotId& slot) {
  int64_t number = 0;
  const bool is_number = parse_integer(text, number);
  if (is_number && number >= 0 && number < static_cast<int64_t>(kSlotCount)) {
    slot = static_cast<SlotId>(number);
    return true;
  }
  client.reply_error("ERR parse slotnum '" + std::string(text.substr(0, 64)) + "' failed, " +
                     (is_number ? "out of range" : "not a number"));
  return false;
}

bool has_slots(Client& client) {
  if (client.worker().config().proxy.router == RouterKind::kSlot) return true;
  client.reply_error("ERR this proxy places keys on a ring and has no slots");
  return false;
}

// A key of each slot: routers place keys.
const std::string& key_of(SlotId slot) {
  static const std::vector<std::string> kKeys = [] {
    std::vector<std::string> keys(kSlotCount);
    size_t found = 0;
    for (uint32_t number = 0; found < kSlotCount; ++number) {
      std::string key = std::to_string(number);
      std::string& place = keys[slot_of(key)];
      if (!place.empty()) continue;
      place = std::move(key);
      ++found;
    }
    return keys;
  }();
  return kKeys[slot];
}

// Number, server, the server that keys are leaving (or ""), replicas.
void append_slot(std::string& out, RespVersion version, const Topology& topology, SlotId slot) {
  const Place place = topology.router->place(key_of(slot));
  const GroupConfig* group = place.group == kNoGroup ? nullptr : &topology.groups[place.group];
  std::string from;
  if (topology.table != nullptr) {
    const SlotEntry& entry = topology.table->slots[slot];
    if (entry.state == SlotState::kMigrating) {
      from = topology.table->groups[entry.group].master.to_string();
    }
  }
  resp::append_array(out, 4);
  resp::append_status(out, std::to_string(slot));
  resp::append_status(out, group == nullptr ? "" : group->server.to_string());
  resp::append_status(out, from);
  if (group == nullptr || group->replicas.empty()) {
    out += resp::null_array(version);
    return;
  }
  // Groups of replicas by their distance in codis; here there is one.
  resp::append_array(out, 1);
  resp::append_array(out, static_cast<int64_t>(group->replicas.size()));
  for (const Address& replica : group->replicas) resp::append_status(out, replica.to_string());
}

void mapping(Client& client, const Command& command, Arguments args) {
  if (!has_slots(client)) return;
  if (args.size() > 2) {
    client.reply_error(wrong_arity(command));
    return;
  }
  SlotId slot = 0;
  std::string out;
  if (args.size() == 2) {
    if (!parse_slot(client, args[1], slot)) return;
    append_slot(out, client.version(), client.worker().topology(), slot);
  } else {
    resp::append_array(out, kSlotCount);
    for (; slot < kSlotCount; ++slot)
      append_slot(out, client.version(), client.worker().topology(), slot);
  }
  client.reply(out);
}

// Has the server answer, in the client's order.
void pass_on(Client& client, const Command& command, GroupIndex group, Arguments request) {
  std::string bytes;
  resp::append_array(bytes, static_cast<int64_t>(request.size()));
  for (const std::string_view arg : request) resp::append_bulk(bytes, arg);
  Worker& worker = client.worker();
  Task* task = client.add_task(command, bytes);
  worker.ask(worker.backends().get(group, client.session.db, client.session.lane), bytes,
             [&worker, task](std::string_view reply) { worker.complete(task, reply); });
}

void info(Client& client, const Command& command, Arguments args) {
  const std::vector<GroupConfig>& groups = client.worker().topology().groups;
  for (size_t group = 0; group < groups.size(); ++group) {
    if (groups[group].server.to_string() != args[1]) continue;
    pass_on(client, command, static_cast<GroupIndex>(group), args.first(1));
    return;
  }
  client.reply_error("ERR backend server '" + std::string(args[1].substr(0, 128)) + "' not found");
}

void scan(Client& client, const Command& command, Arguments args) {
  SlotId slot = 0;
  if (!has_slots(client) || !parse_slot(client, args[1], slot)) return;
  const Place place = client.worker().topology().router->place(key_of(slot));
  if (place.group == kNoGroup) {
    client.reply_error(slot_not_assigned(slot));
  } else if (!place.open) {
    client.reply_error("TRYAGAIN slot " + std::to_string(slot) +
                       " is moving to another group; try again");
  } else {
    pass_on(client, command, place.group, args);
  }
}

constexpr LocalEntry kEntries[] = {
    {"slotshashkey", hash_keys},
    {"slotsinfo", info},
    {"slotsmapping", mapping},
    {"slotsscan", scan},
};

}  // namespace

std::span<const LocalEntry> codis_commands() {
  return kEntries;
}

}  // namespace pikaproxy
