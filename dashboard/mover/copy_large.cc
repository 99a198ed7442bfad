// Values that are too large to be held here, or to keep a server busy with: in pieces of about a
// megabyte. Nobody writes to the source's value meanwhile.

#include <algorithm>

#include "dashboard/mover/copy_context.h"

namespace pikaproxy {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;
constexpr uint64_t kElementsFirst = 64;
constexpr uint64_t kElementsMax = 1024;

// How many elements to ask for next, so that a piece has about kPieceBytes.
class PieceSize {
 public:
  uint64_t elements() const noexcept { return elements_; }
  void saw(uint64_t bytes, uint64_t elements) noexcept {
    const uint64_t each = std::max<uint64_t>(bytes / std::max<uint64_t>(elements, 1), 1);
    elements_ = std::clamp<uint64_t>(kPieceBytes / each, 1,
                                     std::min<uint64_t>(kElementsMax, elements_ * 4));
  }

 private:
  uint64_t elements_ = kElementsFirst;
};

uint64_t bytes_of(const std::vector<Reply>& elements) {
  uint64_t bytes = 0;
  for (const Reply& element : elements) bytes += element.text.size();
  return bytes;
}

// The first piece clears what is there, the others add to it.
bool write_piece(CopyChannel& channel, CopyItem& item, bool& is_first, const Args& command,
                 std::vector<Reply>& replies) {
  if (!is_first) return channel.write(item, {command}, replies);
  is_first = false;
  return channel.write_first(item, command, replies);
}

void copy_string(CopyChannel& channel, CopyItem& item) {
  bool is_first = true;
  std::vector<Reply> replies;
  for (uint64_t at = 0; at < item.length; at += kPieceBytes) {
    if (!channel.goes_on(item)) return;
    const std::string from = std::to_string(at);
    const std::string to = std::to_string(std::min(item.length, at + kPieceBytes) - 1);
    Reply piece;
    if (!channel.read(item, {"GETRANGE", item.key, from, to}, piece)) return;
    const std::string command = is_first ? "SET" : "APPEND";
    if (!write_piece(channel, item, is_first, {command, item.key, piece.text}, replies) ||
        !channel.write(item, {{"GETRANGE", item.key, from, to}, {"STRLEN", item.key}}, replies)) {
      return;
    }
    const uint64_t end = std::min(item.length, at + kPieceBytes);
    if (piece.text.size() != end - at || replies[0].text != piece.text ||
        !replies[1].is_integer(static_cast<int64_t>(end))) {
      channel.differs(item);
      return;
    }
  }
  if (channel.write_expiry(item)) item.outcome = CopyItem::Outcome::kCopied;
}

void copy_list(CopyChannel& channel, CopyItem& item) {
  bool is_first = true;
  PieceSize piece_size;
  std::vector<Reply> replies;
  for (uint64_t at = 0; at < item.length;) {
    if (!channel.goes_on(item)) return;
    const Args range = {"LRANGE", item.key, std::to_string(at),
                        std::to_string(at + piece_size.elements() - 1)};
    Reply piece;
    if (!channel.read(item, range, piece)) return;
    if (piece.elements.empty()) {
      channel.differs(item);
      return;
    }
    Args push = {"RPUSH", item.key};
    for (const Reply& element : piece.elements) push.push_back(element.text);
    if (!write_piece(channel, item, is_first, push, replies) ||
        !channel.write(item, {range, {"LLEN", item.key}}, replies)) {
      return;
    }
    at += piece.elements.size();
    if (!(replies[0] == piece) || !replies[1].is_integer(static_cast<int64_t>(at))) {
      channel.differs(item);
      return;
    }
    piece_size.saw(bytes_of(piece.elements), piece.elements.size());
  }
  if (channel.write_expiry(item)) item.outcome = CopyItem::Outcome::kCopied;
}

// Hashes, sets and sorted sets differ in the commands only.
struct ScanCommands {
  std::string scan;
  std::string write;
  std::string length;
  bool has_values = true;
  bool value_first = false;  // ZADD wants the score before the member.
};

bool compare_piece(CopyChannel& channel, CopyItem& item, const ScanCommands& commands,
                   const std::vector<Reply>& elements, std::vector<Reply>& replies) {
  const size_t step = commands.has_values ? 2 : 1;
  std::vector<Args> questions;
  if (item.type == "hash") {
    Args fields = {"HMGET", item.key};
    for (size_t i = 0; i < elements.size(); i += step) fields.push_back(elements[i].text);
    questions.push_back(std::move(fields));
  } else {
    const std::string question = item.type == "zset" ? "ZSCORE" : "SISMEMBER";
    for (size_t i = 0; i < elements.size(); i += step) {
      questions.push_back({question, item.key, elements[i].text});
    }
  }
  if (!channel.write(item, questions, replies)) return false;
  for (size_t i = 0; i < elements.size() / step; ++i) {
    bool is_same = false;
    if (item.type == "hash") {
      const std::vector<Reply>& values = replies[0].elements;
      is_same =
          i < values.size() && values[i].is_bulk() && values[i].text == elements[i * 2 + 1].text;
    } else if (item.type == "zset") {
      is_same = replies[i].is_bulk() && same_score(replies[i].text, elements[i * 2 + 1].text);
    } else {
      is_same = replies[i].is_integer(1);
    }
    if (!is_same) return channel.differs(item);
  }
  return true;
}

bool check_field_expiry(CopyChannel& channel, CopyItem& item, const std::vector<Reply>& elements) {
  if (item.type != "hash" || !channel.abilities().has_field_expiry) return true;
  Args question = {"HPEXPIRETIME", item.key, "FIELDS", std::to_string(elements.size() / 2)};
  for (size_t i = 0; i < elements.size(); i += 2) question.push_back(elements[i].text);
  Reply times;
  if (!channel.read(item, question, times)) return false;
  for (const Reply& time : times.elements) {
    if (time.integer <= 0) continue;
    item.refuse("ERR the hash has fields that expire by themselves, which cannot be copied");
    return false;
  }
  return true;
}

void copy_scanned(CopyChannel& channel, CopyItem& item, const ScanCommands& commands) {
  bool is_first = true;
  PieceSize piece_size;
  std::vector<Reply> replies;
  std::string cursor = "0";
  do {
    if (!channel.goes_on(item)) return;
    Reply step;
    if (!channel.read(
            item, {commands.scan, item.key, cursor, "COUNT", std::to_string(piece_size.elements())},
            step)) {
      return;
    }
    if (!step.is_array() || step.elements.size() != 2) {
      item.refuse("ERR the source answers " + commands.scan + " with something unexpected");
      return;
    }
    cursor = step.elements[0].text;
    const std::vector<Reply>& elements = step.elements[1].elements;
    if (elements.empty()) continue;
    if (!check_field_expiry(channel, item, elements)) return;
    Args write = {commands.write, item.key};
    for (size_t i = 0; i < elements.size(); i += commands.has_values ? 2 : 1) {
      if (!commands.has_values) {
        write.push_back(elements[i].text);
      } else {
        write.push_back(elements[i + (commands.value_first ? 1 : 0)].text);
        write.push_back(elements[i + (commands.value_first ? 0 : 1)].text);
      }
    }
    if (!write_piece(channel, item, is_first, write, replies) ||
        !compare_piece(channel, item, commands, elements, replies)) {
      return;
    }
    piece_size.saw(bytes_of(elements), elements.size());
  } while (cursor != "0");
  Reply length;
  if (!channel.read(item, {commands.length, item.key}, length)) return;
  if (is_first) {
    // Nothing was found: it has expired.
    item.outcome = CopyItem::Outcome::kGone;
    return;
  }
  if (!channel.write(item, {{commands.length, item.key}}, replies)) return;
  if (!(replies[0] == length)) {
    channel.differs(item);
    return;
  }
  if (channel.write_expiry(item)) item.outcome = CopyItem::Outcome::kCopied;
}

}  // namespace

void copy_large(CopyChannel& channel, CopyItem& item) {
  if (item.type == "string") {
    copy_string(channel, item);
  } else if (item.type == "list") {
    copy_list(channel, item);
  } else if (item.type == "hash") {
    copy_scanned(channel, item, {"HSCAN", "HMSET", "HLEN", true, false});
  } else if (item.type == "set") {
    copy_scanned(channel, item, {"SSCAN", "SADD", "SCARD", false, false});
  } else {
    copy_scanned(channel, item, {"ZSCAN", "ZADD", "ZCARD", true, true});
  }
}

}  // namespace pikaproxy
