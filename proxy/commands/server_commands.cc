#include <algorithm>
#include <map>
#include <set>
#include <time.h>

#include "common/ascii.h"
#include "common/command_replies.h"
#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/commands/config_names.h"
#include "proxy/commands/keyspace.h"
#include "proxy/commands/local_commands.h"
#include "proxy/stats/info.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr size_t kSlowlogDefault = 10;  // What SLOWLOG GET without a count returns.

void time_command(Client& client, const Command&, Arguments) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  std::string out;
  resp::append_array(out, 2);
  resp::append_bulk(out, std::to_string(now.tv_sec));
  resp::append_bulk(out, std::to_string(now.tv_nsec / 1000));
  client.reply(out);
}

void info(Client& client, const Command& command, Arguments args) {
  std::set<std::string> sections;
  for (const std::string_view name : args.subspan(1)) sections.insert(to_lower(name));
  Worker& worker = client.worker();
  const RespVersion version = client.version();
  if (!wants_keyspace(sections)) {
    client.reply(resp::verbatim(version, info_text(worker.manager(), sections, {})));
    return;
  }
  Task* task = client.add_task(command, "");
  ask_keyspace(worker, [&worker, task, version, sections](const Keyspace& keyspace) {
    worker.complete(
        task, resp::verbatim(version, info_text(worker.manager(), sections, keyspace.lines())));
  });
}

// ---- CONFIG -------------------------------------------------------------------------------------

void config_get(Client& client, const Command&, Arguments args) {
  const Config config = client.worker().manager().config();
  std::map<std::string, std::string> found;
  for (const std::string_view pattern : args.subspan(2)) {
    get_config_values(config, pattern, found);
  }
  std::string out;
  resp::append_map(out, client.version(), static_cast<int64_t>(found.size()));
  for (const auto& [name, value] : found) {
    resp::append_bulk(out, name);
    resp::append_bulk(out, value);
  }
  client.reply(out);
}

void config_set(Client& client, const Command& command, Arguments args) {
  if (args.size() % 2 != 0) {
    client.reply_error("ERR syntax error");
    return;
  }
  const auto error = std::make_shared<std::string>();
  Worker& worker = client.worker();
  Task* task = client.add_task(command, "");
  // All or nothing. The answer comes when every worker has the new settings.
  worker.manager().change_config(
      [&](Config& config) {
        for (size_t i = 2; i < args.size() && error->empty(); i += 2) {
          *error = set_config_value(config, args[i], args[i + 1]);
        }
        if (error->empty()) *error = check_changed_config(config);
        return error->empty();
      },
      [&worker, task, error] {
        const std::string reply = error->empty() ? std::string(resp::kOk) : resp::error(*error);
        worker.loop().post([&worker, task, reply] { worker.complete(task, reply); });
      });
}

void config_resetstat(Client& client, const Command&, Arguments) {
  client.worker().manager().reset_stats();
  client.reply(resp::kOk);
}

void config_help(Client& client, const Command&, Arguments) {
  client.reply(help_reply(
      "CONFIG", {"GET <pattern> ...", "    Settings of the proxy, by the names of its file.",
                 "SET <setting> <value> ...", "    Change settings until the next restart.",
                 "RESETSTAT", "    Start the counters of INFO again."}));
}

// ---- SLOWLOG ------------------------------------------------------------------------------------

std::vector<Slowlog::Entry> all_slow_requests(WorkerManager& manager) {
  std::vector<Slowlog::Entry> entries;
  for (const auto& worker : manager.workers()) worker->slowlog().copy_to(entries);
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.id > b.id; });
  const size_t max_len = manager.config().slowlog.max_len;
  if (entries.size() > max_len) entries.resize(max_len);
  return entries;
}

void slowlog_get(Client& client, const Command&, Arguments args) {
  int64_t count = kSlowlogDefault;
  if (args.size() > 3) {
    client.reply_error("ERR unknown subcommand or wrong number of arguments for '" +
                       std::string(args[1]) + "'. Try SLOWLOG HELP.");
    return;
  }
  if (args.size() == 3 && (!parse_integer(args[2], count) || count < -1)) {
    client.reply_error("ERR count should be greater than or equal to -1");
    return;
  }
  const std::vector<Slowlog::Entry> entries = all_slow_requests(client.worker().manager());
  const size_t shown =
      count < 0 ? entries.size() : std::min(entries.size(), static_cast<size_t>(count));
  std::string out;
  resp::append_array(out, static_cast<int64_t>(shown));
  for (size_t i = 0; i < shown; ++i) {
    const Slowlog::Entry& entry = entries[i];
    // Redis' six fields, then ours: the part of the time spent at the server, and which one.
    resp::append_array(out, 8);
    resp::append_integer(out, static_cast<int64_t>(entry.id));
    resp::append_integer(out, entry.unix_time);
    resp::append_integer(out, entry.total_us);
    resp::append_array(out, static_cast<int64_t>(entry.args.size()));
    for (const std::string& arg : entry.args) resp::append_bulk(out, arg);
    resp::append_bulk(out, entry.client);
    resp::append_bulk(out, entry.client_name);
    resp::append_integer(out, entry.server_us);
    resp::append_bulk(out, entry.server);
  }
  client.reply(out);
}

void slowlog_len(Client& client, const Command&, Arguments) {
  client.reply(
      resp::integer(static_cast<int64_t>(all_slow_requests(client.worker().manager()).size())));
}

void slowlog_reset(Client& client, const Command&, Arguments) {
  for (const auto& worker : client.worker().manager().workers()) worker->slowlog().reset();
  client.reply(resp::kOk);
}

void slowlog_help(Client& client, const Command&, Arguments) {
  client.reply(help_reply(
      "SLOWLOG",
      {"GET [<count>]", "    The newest slow requests (10; -1 means all): id, unix time,",
       "    microseconds in all, arguments, client, its name, microseconds at the server,",
       "    server.", "LEN", "    How many there are.", "RESET", "    Forget them."}));
}

// ---- COMMAND ------------------------------------------------------------------------------------

void command(Client& client, const Command&, Arguments) {
  std::string out;
  append_commands(out, client.version());
  client.reply(out);
}

void command_count_(Client& client, const Command&, Arguments) {
  std::string out;
  append_command_count(out);
  client.reply(out);
}

void command_info(Client& client, const Command&, Arguments args) {
  std::string out;
  if (args.size() == 2) {
    append_commands(out, client.version());
  } else {
    append_command_info(out, args.subspan(2), client.version());
  }
  client.reply(out);
}

void command_list(Client& client, const Command&, Arguments args) {
  std::string out;
  append_command_list(out, args.subspan(2));
  client.reply(out);
}

void command_getkeys(Client& client, const Command&, Arguments args) {
  std::string out;
  append_command_keys(out, args.subspan(2));
  client.reply(out);
}

void command_getkeysandflags(Client& client, const Command&, Arguments args) {
  std::string out;
  append_command_keys_and_flags(out, args.subspan(2), client.version());
  client.reply(out);
}

void command_help(Client& client, const Command&, Arguments) {
  std::string out;
  append_command_help(out);
  client.reply(out);
}

constexpr LocalEntry kEntries[] = {
    {"time", time_command},
    {"info", info},
    {"config|get", config_get},
    {"config|set", config_set},
    {"config|resetstat", config_resetstat},
    {"config|help", config_help},
    {"slowlog|get", slowlog_get},
    {"slowlog|len", slowlog_len},
    {"slowlog|reset", slowlog_reset},
    {"slowlog|help", slowlog_help},
    {"command", command},
    {"command|count", command_count_},
    {"command|info", command_info},
    {"command|list", command_list},
    {"command|getkeys", command_getkeys},
    {"command|getkeysandflags", command_getkeysandflags},
    {"command|help", command_help},
};

}  // namespace

std::span<const LocalEntry> server_commands() {
  return kEntries;
}

}  // namespace pikaproxy
