// SCAN and RANDOMKEY: one group after the other.

#include <algorithm>
#include <charconv>

#include "common/reply_framer.h"
#include "common/resp3.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

// The first group at or behind `from` that serves anything.
GroupIndex serving_group_from(const Topology& topology, GroupIndex from) {
  for (const GroupIndex group : topology.serving_groups) {
    if (group >= from) return group;
  }
  return kNoGroup;
}

}  // namespace

void Dispatcher::scan(Request& request) {
  const Topology& topology = worker_.topology();
  uint64_t cursor = 0;
  const std::string_view text = request.args[1];
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (ec != std::errc() || end != text.data() + text.size()) {
    refuse(request, "ERR invalid cursor");
    return;
  }
  if (topology.serving_groups.empty()) {
    refuse(request, kNoSlotServed);
    return;
  }
  // Cursor 0 is the first group's, whichever that is; a group that serves nothing any more is
  // passed over, and there is nothing behind the last one.
  const auto wanted = static_cast<GroupIndex>(cursor % kScanGroups);
  const GroupIndex group = serving_group_from(topology, wanted);
  if (group == kNoGroup) {
    request.client.reply("*2\r\n$1\r\n0\r\n*0\r\n");
    return;
  }
  const uint64_t server_cursor = group == wanted ? cursor / kScanGroups : 0;
  Gathering& gathering = start_gathering(request, Gathering::Kind::kScan);
  gathering.group = group;
  scratch_.clear();
  resp::append_array(scratch_, static_cast<int64_t>(request.args.size()));
  resp::append_bulk(scratch_, "SCAN");
  resp::append_bulk(scratch_, std::to_string(server_cursor));
  for (const std::string_view arg : request.args.subspan(2)) resp::append_bulk(scratch_, arg);
  hold(gathering);
  send_part(gathering, group, scratch_);
  release(gathering);
}

void Dispatcher::gathered_scan(Gathering& gathering) {
  const std::string_view reply = gathering.parts.front()->reply.view();
  ReplyCursor elements(reply);
  uint64_t cursor = 0;
  if (elements.enter() == 2) {
    const std::string_view text = reply_text(elements.next());
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), cursor);
    if (ec == std::errc() && end == text.data() + text.size() &&
        cursor <= UINT64_MAX / kScanGroups - 1) {
      if (cursor != 0) {
        cursor = cursor * kScanGroups + gathering.group;
      } else {
        const GroupIndex next =
            serving_group_from(worker_.topology(), static_cast<GroupIndex>(gathering.group + 1));
        cursor = next == kNoGroup ? 0 : next;
      }
      const std::string_view keys = elements.next();
      scratch_.clear();
      resp::append_array(scratch_, 2);
      resp::append_bulk(scratch_, std::to_string(cursor));
      if (gathering.parts.front()->from_careless) {
        std::string user_keys;
        resp::append_array(scratch_, std::max<int64_t>(append_user_keys(keys, user_keys), 0));
        scratch_ += user_keys;
      } else {
        scratch_ += keys;
      }
      finish(gathering, scratch_);
      return;
    }
  }
  scratch_ = reply.starts_with('-') ? std::string(reply)
                                    : resp::error("ERR a server's reply to SCAN is malformed");
  finish(gathering, scratch_);
}

void Dispatcher::random_key(Request& request) {
  const Topology& topology = worker_.topology();
  if (topology.serving_groups.empty()) {
    refuse(request, kNoSlotServed);
    return;
  }
  Gathering& gathering = start_gathering(request, Gathering::Kind::kRandomKey);
  gathering.groups_left = topology.serving_groups;
  std::shuffle(gathering.groups_left.begin(), gathering.groups_left.end(), random_);
  const GroupIndex first = gathering.groups_left.back();
  gathering.groups_left.pop_back();
  hold(gathering);
  send_part(gathering, first, request.raw);
  release(gathering);
}

void Dispatcher::gathered_random_key(Gathering& gathering) {
  const std::string_view reply = gathering.parts.back()->reply.view();
  const bool is_empty = reply == resp::kNull || reply == resp::null(RespVersion::k3);
  if (!is_empty || gathering.groups_left.empty()) {
    scratch_ = reply;
    finish(gathering, scratch_);
    return;
  }
  const GroupIndex next = gathering.groups_left.back();
  gathering.groups_left.pop_back();
  if (gathering.epoch != worker_.topology().epoch) {
    // The groups' numbers may mean others now.
    finish(gathering,
           resp::null(gathering.lane == Lane::kResp2 ? RespVersion::k2 : RespVersion::k3));
    return;
  }
  hold(gathering);
  send_part(gathering, next, "*1\r\n$9\r\nRANDOMKEY\r\n");
  release(gathering);
}

}  // namespace pikaproxy
