#include "proxy/client/gathering.h"

#include "common/reply_framer.h"
#include "common/resp.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kUnexpected =
    "-ERR a server's reply has another form than this command's replies have\r\n";

bool is_error(std::string_view reply) {
  return reply.starts_with('-');
}

const Task* first_error(const Gathering& gathering) {
  for (const Task* part : gathering.parts) {
    if (is_error(part->reply.view())) return part;
  }
  return nullptr;
}

void merge_mget(const Gathering& gathering, std::string& out) {
  std::vector<ReplyCursor> cursors;
  cursors.reserve(gathering.parts.size());
  size_t bytes = 32;
  for (const Task* part : gathering.parts) {
    bytes += part->reply.size();
    if (cursors.emplace_back(part->reply.view()).enter() < 0) {
      out += kUnexpected;
      return;
    }
  }
  const size_t start = out.size();
  out.reserve(start + bytes);
  resp::append_array(out, static_cast<int64_t>(gathering.part_of_key.size()));
  for (const uint16_t part : gathering.part_of_key) {
    const std::string_view value = cursors[part].next();
    if (value.empty()) {
      out.resize(start);
      out += kUnexpected;
      return;
    }
    out += value;
  }
}

void merge_sum(const Gathering& gathering, std::string& out) {
  uint64_t sum = 0;  // Unsigned: what servers say must not be able to overflow it.
  for (const Task* part : gathering.parts) {
    int64_t value = 0;
    if (!reply_integer(part->reply.view(), value)) {
      out += kUnexpected;
      return;
    }
    sum += static_cast<uint64_t>(value);
  }
  resp::append_integer(out, static_cast<int64_t>(sum));
}

void merge_concat(const Gathering& gathering, std::string& out) {
  int64_t elements = 0;
  std::vector<std::string_view> bodies;
  std::string user_keys;
  for (const Task* part : gathering.parts) {
    const std::string_view reply = part->reply.view();
    ReplyCursor cursor(reply);
    const int64_t length =
        part->from_careless ? append_user_keys(reply, user_keys) : cursor.enter();
    if (length < 0) {
      out += kUnexpected;
      return;
    }
    elements += length;
    if (part->from_careless) continue;
    bodies.push_back(reply.substr(reply.find("\r\n") + 2));
  }
  resp::append_array(out, elements);
  for (const std::string_view body : bodies) out += body;
  out += user_keys;
}

void merge_script_exists(const Gathering& gathering, std::string& out) {
  std::vector<int64_t> everywhere;
  for (const Task* part : gathering.parts) {
    ReplyCursor cursor(part->reply.view());
    const int64_t length = cursor.enter();
    if (length < 0) {
      out += kUnexpected;
      return;
    }
    if (part == gathering.parts.front()) everywhere.assign(static_cast<size_t>(length), 1);
    if (everywhere.size() != static_cast<size_t>(length)) {
      out += kUnexpected;
      return;
    }
    for (int64_t& all : everywhere) {
      int64_t here = 0;
      if (!reply_integer(cursor.next(), here) || here == 0) all = 0;
    }
  }
  resp::append_array(out, static_cast<int64_t>(everywhere.size()));
  for (size_t i = 0; i < everywhere.size(); ++i) {
    const bool is_known = i < gathering.known_scripts.size() && gathering.known_scripts[i];
    resp::append_integer(out, is_known ? 1 : everywhere[i]);
  }
}

// OK, then UNKILLABLE, then what else went wrong, then NOTBUSY.
std::string_view merge_kill(const Gathering& gathering) {
  const auto rank = [](std::string_view reply) {
    if (!is_error(reply)) return 0;
    if (reply.starts_with("-UNKILLABLE")) return 1;
    return reply.starts_with("-NOTBUSY") ? 3 : 2;
  };
  std::string_view best = gathering.parts.front()->reply.view();
  for (const Task* part : gathering.parts) {
    if (rank(part->reply.view()) < rank(best)) best = part->reply.view();
  }
  return best;
}

bool runs_function(std::string_view stats) {
  ReplyCursor fields(stats);
  if (fields.enter() < 2 || reply_text(fields.next()) != "running_script") return false;
  const std::string_view script = fields.next();
  return script.starts_with('*') ? !script.starts_with("*-1") : script.starts_with('%');
}

// All have the same functions, so one reply tells of them; but only where one runs it is told of.
std::string_view merge_function_stats(const Gathering& gathering) {
  for (const Task* part : gathering.parts) {
    if (runs_function(part->reply.view())) return part->reply.view();
  }
  for (const Task* part : gathering.parts) {
    if (!is_error(part->reply.view())) return part->reply.view();
  }
  return gathering.parts.front()->reply.view();
}

}  // namespace

int64_t append_user_keys(std::string_view array, std::string& out) {
  ReplyCursor cursor(array);
  if (cursor.enter() < 0) return -1;
  int64_t keys = 0;
  for (std::string_view key = cursor.next(); !key.empty(); key = cursor.next()) {
    const std::string_view name = reply_text(key);
    if (name.starts_with("_internal:slotkey:4migrate:") ||
        name.starts_with("_internal:slottag:4migrate:")) {
      continue;
    }
    out += key;
    ++keys;
  }
  return keys;
}

void merge_replies(const Gathering& gathering, std::string& out) {
  if (gathering.kind == Gathering::Kind::kKill) {
    out += merge_kill(gathering);
    return;
  }
  if (gathering.kind == Gathering::Kind::kFunctionStats) {
    out += merge_function_stats(gathering);
    return;
  }
  if (const Task* failed = first_error(gathering)) {
    out += failed->reply.view();
    return;
  }
  switch (gathering.kind) {
    case Gathering::Kind::kMget:
      merge_mget(gathering, out);
      break;
    case Gathering::Kind::kSum:
      merge_sum(gathering, out);
      break;
    case Gathering::Kind::kConcat:
      merge_concat(gathering, out);
      break;
    case Gathering::Kind::kScriptExists:
      merge_script_exists(gathering, out);
      break;
    default:
      out += gathering.parts.front()->reply.view();
  }
}

}  // namespace pikaproxy
