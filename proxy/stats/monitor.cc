#include "proxy/stats/monitor.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <time.h>

#include "common/ascii.h"
#include "proxy/client/client.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// Of one worker in one turn; of one watcher, waiting to be read.
constexpr size_t kLinesMax = 256 * 1024;
constexpr size_t kUnreadMax = 1024 * 1024;
constexpr size_t kArgumentMax = 1024;
constexpr std::string_view kRedacted = "(redacted)";

int64_t unix_us() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

void append_quoted(std::string& out, std::string_view text) {
  out += " \"";
  for (const char byte : text) {
    switch (byte) {
      case '\\':
      case '"':
        out += '\\';
        out += byte;
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (byte >= ' ' && byte <= '~') {
          out += byte;
        } else {
          char hex[8];
          std::snprintf(hex, sizeof hex, "\\x%02x", static_cast<unsigned char>(byte));
          out += hex;
        }
    }
  }
  out += '"';
}

// Arguments that are secrets: all of AUTH's, and the two behind HELLO's AUTH.
bool is_secret(const Command& command, Arguments args, size_t position) {
  if (command.name == "auth") return position > 0;
  if (command.name != "hello") return false;
  for (size_t back = 1; back <= 2 && back < position; ++back) {
    if (equals_ignoring_case(args[position - back], "AUTH")) return true;
  }
  return false;
}

// Those that Redis shows, and scripts: it shows what they do, which is not seen here. (EXEC has the
// flag because Redis shows it at another moment than others.)
bool is_shown(const Command& command) {
  if (command.action == CommandAction::kRefuse || command.proxy_admin) return false;
  const bool is_script =
      command.action == CommandAction::kEval || command.name.starts_with("fcall");
  if (is_script || command.name == "exec") return true;
  return (command.flags & (kFlagSkipMonitor | kFlagAdmin)) == 0;
}

}  // namespace

void append_monitor_line(std::string& out, int64_t unix_us, uint32_t db, std::string_view client,
                         const Command& command, Arguments args, size_t cut) {
  char head[64];
  std::snprintf(head, sizeof head, "+%lld.%06lld [%u ", static_cast<long long>(unix_us / 1'000'000),
                static_cast<long long>(unix_us % 1'000'000), db);
  out += head;
  out += client;
  out += ']';
  for (size_t i = 0; i < args.size(); ++i) {
    if (is_secret(command, args, i)) {
      append_quoted(out, kRedacted);
    } else if (args[i].size() <= cut) {
      append_quoted(out, args[i]);
    } else {
      append_quoted(out, args[i].substr(0, cut));
      out.insert(out.size() - 1, "... (" + std::to_string(args[i].size() - cut) + " more bytes)");
    }
  }
  out += "\r\n";
}

void Monitors::add(Client& client) {
  own_.push_back({&client});
}

void Monitors::remove(Client& client) {
  std::erase_if(own_, [&](const Watcher& watcher) { return watcher.client == &client; });
}

void Monitors::note(Client& client, const Command& command, Arguments args) {
  if (!is_shown(command)) return;
  if (lines_.size() > kLinesMax) {
    ++dropped_;
    return;
  }
  append_monitor_line(lines_, unix_us(), client.session.db, client.peer(), command, args,
                      kArgumentMax);
}

void Monitors::flush() {
  if (lines_.empty()) return;
  const auto lines = std::make_shared<const std::string>(std::move(lines_));
  lines_.clear();
  const uint64_t dropped = std::exchange(dropped_, 0);
  for (const auto& worker : worker_.manager().workers()) {
    worker->loop().post(
        [&monitors = worker->monitors(), lines, dropped] { monitors.deliver(*lines, dropped); });
  }
}

void Monitors::deliver(const std::string& lines, uint64_t dropped) {
  const auto count = static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  // By index: a client that is closed for being full leaves the list.
  for (size_t i = 0; i < own_.size(); ++i) {
    Watcher& watcher = own_[i];
    watcher.dropped += dropped;
    if (watcher.client->unread_bytes() > kUnreadMax) {
      watcher.dropped += count;
      continue;
    }
    std::string out;
    if (const uint64_t missing = std::exchange(watcher.dropped, 0); missing > 0) {
      const std::string number = std::to_string(missing);
      const std::string_view words[] = {"MONITOR", "dropped", number};
      append_monitor_line(out, unix_us(), 0, "proxy", *find_command("monitor"), words, kLinesMax);
    }
    out += lines;
    watcher.client->reply(out);
  }
}

}  // namespace pikaproxy
