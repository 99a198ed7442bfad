// A stream is its entries with their ids, the last id it gave, and its groups with their consumers
// and what these have not acknowledged.

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "common/text.h"
#include "dashboard/mover/copy_context.h"

namespace pikaproxy {
namespace {

constexpr size_t kPage = 100;

// The value of a name in "name value name value ..."; null if it is not there.
const Reply* field(const Reply& map, std::string_view name) {
  for (size_t i = 0; i + 1 < map.elements.size(); i += 2) {
    if (map.elements[i].text == name) return &map.elements[i + 1];
  }
  return nullptr;
}
std::string text_field(const Reply& map, std::string_view name) {
  const Reply* const value = field(map, name);
  return value ? value->text : std::string();
}

// The id after `id`: every server knows ranges that include their ends.
std::string next_id(const std::string& id) {
  uint64_t ms = 0;
  uint64_t number = 0;
  std::sscanf(id.c_str(), "%" SCNu64 "-%" SCNu64, &ms, &number);
  if (++number == 0) ++ms;
  return std::to_string(ms) + "-" + std::to_string(number);
}

class StreamCopy {
 public:
  StreamCopy(CopyChannel& channel, CopyItem& item) : channel_(channel), item_(item) {}

  void run() {
    if (describe() && copy_entries() && copy_last_id() && copy_groups() && compare() &&
        channel_.write_expiry(item_)) {
      item_.outcome = CopyItem::Outcome::kCopied;
    }
  }

 private:
  bool describe() {
    if (!channel_.read(item_, {"XINFO", "STREAM", item_.key}, info_)) return false;
    last_id_ = text_field(info_, "last-generated-id");
    if (channel_.abilities().source_has_groups) {
      if (!channel_.read(item_, {"XINFO", "GROUPS", item_.key}, groups_)) return false;
      if (!groups_.elements.empty() && !channel_.abilities().target_has_groups) {
        item_.refuse("ERR the stream has consumer groups, which the target does not know");
        return false;
      }
    }
    return true;
  }

  // Clears what the target has, and sees to the expiry, with whatever command makes the stream.
  bool write(const std::vector<Args>& commands) {
    size_t done = 0;
    if (is_first_) {
      is_first_ = false;
      if (!channel_.write_first(item_, commands.front(), replies_)) return false;
      done = 1;
    }
    const std::vector<Args> rest(commands.begin() + static_cast<std::ptrdiff_t>(done),
                                 commands.end());
    return rest.empty() || channel_.write(item_, rest, replies_);
  }

  bool copy_entries() {
    std::string from = "-";
    while (true) {
      if (!channel_.goes_on(item_)) return false;
      const Args range = {"XRANGE", item_.key, from, "+", "COUNT", std::to_string(kPage)};
      Reply page;
      if (!channel_.read(item_, range, page)) return false;
      if (page.elements.empty()) return true;
      std::vector<Args> adds;
      for (const Reply& entry : page.elements) {
        if (entry.elements.size() != 2) return channel_.differs(item_);
        Args add = {"XADD", item_.key, entry.elements[0].text};
        for (const Reply& part : entry.elements[1].elements) add.push_back(part.text);
        adds.push_back(std::move(add));
      }
      if (!write(adds) || !channel_.write(item_, {range}, replies_)) return false;
      if (!(replies_[0] == page)) return channel_.differs(item_);
      entries_ += page.elements.size();
      last_entry_ = page.elements.back().elements[0].text;
      if (page.elements.size() < kPage) return true;
      from = next_id(last_entry_);
    }
  }

  bool copy_last_id() {
    // Servers without this field have no ids beyond the last entry to tell of.
    const bool has_last_id = !last_id_.empty() && last_id_ != "0-0";
    if (entries_ == 0) {
      if (has_last_id) {
        // An entry, and none is left.
        if (!write({{"XADD", item_.key, last_id_, "-", "-"}, {"XDEL", item_.key, last_id_}})) {
          return false;
        }
      } else if (channel_.abilities().target_has_groups) {
        if (!write({{"XGROUP", "CREATE", item_.key, "pikaproxy-copy", "0", "MKSTREAM"},
                    {"XGROUP", "DESTROY", item_.key, "pikaproxy-copy"}})) {
          return false;
        }
      } else {
        item_.refuse("ERR the stream has never had an entry, and the target cannot make one so");
        return false;
      }
    } else if (has_last_id && last_id_ != last_entry_ && !channel_.abilities().target_has_xsetid) {
      if (!write({{"XADD", item_.key, last_id_, "-", "-"}, {"XDEL", item_.key, last_id_}})) {
        return false;
      }
    }
    if (!has_last_id || !channel_.abilities().target_has_xsetid) return true;
    Args set = {"XSETID", item_.key, last_id_};
    const Reply* const added = field(info_, "entries-added");
    const std::string deleted = text_field(info_, "max-deleted-entry-id");
    if (channel_.abilities().target_has_entries_added && added && !deleted.empty()) {
      set.insert(set.end(),
                 {"ENTRIESADDED", std::to_string(added->integer), "MAXDELETEDID", deleted});
    }
    return write({set});
  }

  bool copy_groups() {
    for (const Reply& group : groups_.elements) {
      const std::string name = text_field(group, "name");
      Args create = {"XGROUP", "CREATE", item_.key, name, text_field(group, "last-delivered-id")};
      const Reply* const read = field(group, "entries-read");
      if (channel_.abilities().target_has_entries_added && read &&
          read->kind == Reply::Kind::kInteger) {
        create.insert(create.end(), {"ENTRIESREAD", std::to_string(read->integer)});
      }
      if (!write({create}) || !copy_consumers(name) || !copy_pending(name)) return false;
    }
    return true;
  }

  bool copy_consumers(const std::string& group) {
    Reply consumers;
    if (!channel_.read(item_, {"XINFO", "CONSUMERS", item_.key, group}, consumers)) return false;
    std::vector<Args> creates;
    for (const Reply& consumer : consumers.elements) {
      creates.push_back(
          {"XGROUP", "CREATECONSUMER", item_.key, group, text_field(consumer, "name")});
    }
    return creates.empty() || write(creates);
  }

  bool copy_pending(const std::string& group) {
    std::string from = "-";
    while (true) {
      if (!channel_.goes_on(item_)) return false;
      std::vector<Reply> answers;
      const Args question = {"XPENDING", item_.key, group, from, "+", std::to_string(kPage)};
      if (!channel_.read_all(item_, {question, {"TIME"}}, answers)) return false;
      const std::vector<Reply>& pending = answers[0].elements;
      if (pending.empty()) return true;
      const int64_t now_ms = std::atoll(answers[1].elements[0].text.c_str()) * 1000 +
                             std::atoll(answers[1].elements[1].text.c_str()) / 1000;
      std::vector<Args> claims;
      for (const Reply& one : pending) {
        claims.push_back({"XCLAIM", item_.key, group, one.elements[1].text, "0",
                          one.elements[0].text, "TIME",
                          std::to_string(now_ms - one.elements[2].integer), "RETRYCOUNT",
                          std::to_string(one.elements[3].integer), "FORCE", "JUSTID"});
      }
      if (!write(claims)) return false;
      for (size_t i = 0; i < claims.size(); ++i) {
        if (replies_[i].elements.size() == 1) continue;
        item_.refuse(
            "ERR group " + quote(group) + " of the stream waits for the acknowledgement of " +
            pending[i].elements[0].text + ", an entry that was deleted; acknowledge it with XACK");
        return false;
      }
      if (pending.size() < kPage) return true;
      from = next_id(pending.back().elements[0].text);
    }
  }

  bool compare() {
    if (!channel_.write(item_, {{"XLEN", item_.key}, {"XINFO", "STREAM", item_.key}}, replies_)) {
      return false;
    }
    if (!replies_[0].is_integer(static_cast<int64_t>(entries_))) return channel_.differs(item_);
    const std::string last_id = text_field(replies_[1], "last-generated-id");
    if (!last_id_.empty() && !last_id.empty() && last_id != last_id_) {
      return channel_.differs(item_);
    }
    if (groups_.elements.empty()) return true;
    if (!channel_.write(item_, {{"XINFO", "GROUPS", item_.key}}, replies_)) return false;
    const Reply& copies = replies_[0];
    if (copies.elements.size() != groups_.elements.size()) return channel_.differs(item_);
    for (size_t i = 0; i < copies.elements.size(); ++i) {
      for (const std::string_view name : {"name", "consumers", "pending", "last-delivered-id"}) {
        const Reply* const original = field(groups_.elements[i], name);
        const Reply* const copy = field(copies.elements[i], name);
        if (!original || !copy || !(*original == *copy)) return channel_.differs(item_);
      }
    }
    return true;
  }

  CopyChannel& channel_;
  CopyItem& item_;
  Reply info_;
  Reply groups_;
  std::string last_id_;
  std::string last_entry_;
  uint64_t entries_ = 0;
  bool is_first_ = true;
  std::vector<Reply> replies_;
};

}  // namespace

void copy_stream(CopyChannel& channel, CopyItem& item) {
  StreamCopy(channel, item).run();
}

}  // namespace pikaproxy
