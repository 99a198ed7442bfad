#include "proxy/dispatch/explain.h"

#include <algorithm>
#include <charconv>

#include "common/slot.h"
#include "proxy/client/gathering.h"
#include "proxy/client/rights.h"
#include "proxy/dispatch/placement.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/routing/slot_gate.h"

namespace pikaproxy {
namespace {

using enum CommandAction;

void add_key(Explanation& explanation, const Place& place, uint32_t position, bool has_slots) {
  auto& parts = explanation.parts;
  auto part = std::find_if(parts.begin(), parts.end(),
                           [&](const auto& one) { return one.group == place.group; });
  if (part == parts.end()) part = parts.insert(part, {place.group, {}, {}});
  part->positions.push_back(position);
  if (!has_slots) return;
  const auto at = std::lower_bound(part->slots.begin(), part->slots.end(), place.unit);
  if (at == part->slots.end() || *at != place.unit) part->slots.insert(at, place.unit);
}

// The keys at `positions`; `whole_slot`: others of their slot too.
void place_all(const ExplainContext& context, Arguments args,
               const std::vector<uint32_t>& positions, bool whole_slot, Explanation& explanation) {
  const Topology& topology = context.topology;
  for (const uint32_t position : positions) {
    const Place place = topology.router->place(args[position]);
    if (place.group == kNoGroup) {
      explanation.parts.clear();
      explanation.waits.clear();
      explanation.error = slot_not_assigned(place.unit);
      return;
    }
    add_key(explanation, place, position, context.has_slots);
    if (place.open || !explanation.waits.empty()) continue;
    const auto slot = static_cast<SlotId>(place.unit);
    if (whole_slot ? context.gate.may_go_whole(slot)
                   : context.gate.may_go(slot, context.db, args[position])) {
      continue;
    }
    const SlotEntry& entry = topology.table->slots[slot];
    explanation.waits =
        "slot " + std::to_string(slot) +
        (entry.state == SlotState::kLocked
             ? " is locked, for a moment"
             : " is moving from group " + topology.groups[entry.group].name + " to group " +
                   topology.groups[entry.target].name +
                   (whole_slot ? ", and the request may touch keys that it does not name"
                               : ", and this key is moved first"));
  }
}

void add_group(Explanation& explanation, GroupIndex group) {
  explanation.parts.push_back({group, {}, {}});
}

// Channels are no keys: nothing has to be moved for them, only locks hold what is published.
void place_channels(const Topology& topology, Arguments channels, Explanation& explanation) {
  for (const std::string_view channel : channels) {
    const Place place = topology.router->place(channel);
    if (place.group == kNoGroup) {
      explanation.parts.clear();
      explanation.error = slot_not_assigned(place.unit);
      return;
    }
    const auto has_group = [&](const auto& part) { return part.group == place.group; };
    if (std::none_of(explanation.parts.begin(), explanation.parts.end(), has_group)) {
      add_group(explanation, place.group);
    }
    if (!place.open && topology.table->slots[place.unit].state == SlotState::kLocked) {
      explanation.waits = "slot " + std::to_string(place.unit) + " is locked, for a moment";
    }
  }
}

void place_split(const ExplainContext& context, Arguments args, size_t args_per_key,
                 Explanation& explanation) {
  if ((args.size() - 1) % args_per_key != 0) {
    explanation.error = wrong_arity(*explanation.command);
    return;
  }
  std::vector<uint32_t> positions;
  for (size_t at = 1; at < args.size(); at += args_per_key) {
    positions.push_back(static_cast<uint32_t>(at));
  }
  place_all(context, args, positions, false, explanation);
}

void place_together(const ExplainContext& context, Arguments args, Explanation& explanation) {
  std::vector<uint32_t> positions;
  Placement placement;
  explanation.error =
      place_request(context.topology, *explanation.command, args, positions, placement);
  if (!explanation.error.empty()) return;
  if (placement.has_keys) {
    place_all(context, args, positions, placement.touches_others, explanation);
  } else {
    add_group(explanation, placement.place.group);
  }
}

void place_scan(const Topology& topology, Arguments args, Explanation& explanation) {
  uint64_t cursor = 0;
  const auto [end, ec] = std::from_chars(args[1].data(), args[1].data() + args[1].size(), cursor);
  if (ec != std::errc() || end != args[1].data() + args[1].size()) {
    explanation.error = "ERR invalid cursor";
    return;
  }
  for (const GroupIndex group : topology.serving_groups) {
    if (group < cursor % kScanGroups) continue;
    add_group(explanation, group);
    return;
  }
}

}  // namespace

std::string_view kind_of(const Command& command, Arguments args) noexcept {
  if (has_block_option(command, args)) return "blocking";
  switch (command.action) {
    case kForward:
    case kEval:
    case kPublish:
      return "forward";
    case kForwardAnyGroup:
      return "any-group";
    case kSplitMget:
    case kSplitMset:
    case kSplitSum:
      return "split";
    case kFanOutSum:
    case kFanOutConcat:
    case kFanOutAllOk:
    case kKill:
    case kFunctionStats:
    case kTracking:
    case kScriptLoad:
    case kScriptExists:
    case kScriptFlush:
      return "fan-out";
    case kRandomKey:
    case kScan:
      return "one-by-one";
    case kTransaction:
      return "transaction";
    case kBlock:
    case kWait:
      return "blocking";
    case kSubscribe:
      return "subscription";
    case kLocal:
      return "local";
    case kRefuse:
      break;
  }
  return "refused";
}

Explanation explain(const ExplainContext& context, Arguments args) {
  Explanation explanation;
  explanation.kind = "refused";
  const Command* command = find_command(args[0]);
  if (command == nullptr) {
    explanation.error = unknown_command(args);
    return explanation;
  }
  if (!command->subcommands.empty() && args.size() >= 2) {
    const Command* subcommand = find_subcommand(*command, args[1]);
    if (subcommand == nullptr) {
      explanation.error = unknown_subcommand(*command, args[1]);
      return explanation;
    }
    command = subcommand;
  }
  explanation.command = command;
  if (!arity_fits(*command, args.size())) {
    explanation.error = wrong_arity(*command);
    return explanation;
  }
  if (command->proxy_admin && !context.is_admin) {
    explanation.error = not_permitted(*command);
    return explanation;
  }
  if (context.rights != nullptr) {
    std::vector<KeyUse> keys;
    const Rights::Verdict verdict = context.rights->check(*command, args, keys);
    explanation.error = denial(verdict, *command);
    if (!explanation.error.empty()) return explanation;
  }
  explanation.kind = kind_of(*command, args);
  const Topology& topology = context.topology;
  const bool needs_group =
      command->action != kLocal && command->action != kRefuse && command->action != kTransaction;
  switch (command->action) {
    case kRefuse:
      explanation.error = "ERR " + std::string(command->refusal);
      break;
    case kForward:
    case kEval:
    case kBlock:
      place_together(context, args, explanation);
      break;
    case kPublish:
      place_channels(topology, args.subspan(1, 1), explanation);
      break;
    case kSubscribe:
      if (command->name != "psubscribe") {
        place_channels(topology, args.subspan(1), explanation);
        explanation.waits.clear();
        const auto is_elsewhere = [&](std::string_view channel) {
          return topology.router->place(channel).unit != topology.router->place(args[1]).unit;
        };
        if (command->name == "ssubscribe" &&
            std::any_of(args.begin() + 2, args.end(), is_elsewhere)) {
          explanation.parts.clear();
          explanation.error = kCrossSlot;
        }
        break;
      }
      for (size_t group = 0; group < topology.groups.size(); ++group) {
        add_group(explanation, static_cast<GroupIndex>(group));
      }
      break;
    case kTransaction:
      if (command->name == "watch") place_together(context, args, explanation);
      break;
    case kSplitMset:
      place_split(context, args, 2, explanation);
      break;
    case kSplitMget:
    case kSplitSum:
      place_split(context, args, 1, explanation);
      break;
    case kScan:
      place_scan(topology, args, explanation);
      break;
    case kForwardAnyGroup:
      if (!topology.serving_groups.empty()) {
        add_group(explanation, topology.serving_groups.front());
      }
      break;
    case kLocal:
      break;
    default:
      for (const GroupIndex group : topology.serving_groups) add_group(explanation, group);
  }
  if (needs_group && topology.serving_groups.empty() && explanation.error.empty()) {
    explanation.error = kNoSlotServed;
  }
  if (!explanation.error.empty()) explanation.kind = "refused";
  return explanation;
}

}  // namespace pikaproxy
