#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "common/ascii.h"
#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/client/client_name.h"
#include "proxy/commands/local_commands.h"
#include "proxy/io/socket_options.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

constexpr int64_t kPauseMaxMs = INT64_MAX / 4000;

void client_id(Client& client, const Command&, Arguments) {
  client.reply(resp::integer(static_cast<int64_t>(client.id())));
}

void set_name(Client& client, const Command&, Arguments args) {
  if (!is_client_name(args[2])) {
    client.reply_error(kBadClientName);
    return;
  }
  client.edit_names().name = args[2];
  client.reply(resp::kOk);
}

void get_name(Client& client, const Command&, Arguments) {
  const std::string& name = client.names().name;
  client.reply(name.empty() ? std::string(resp::null(client.version())) : resp::bulk(name));
}

void set_info(Client& client, const Command&, Arguments args) {
  const bool is_name = equals_ignoring_case(args[2], "LIB-NAME");
  if (!is_name && !equals_ignoring_case(args[2], "LIB-VER")) {
    client.reply_error("ERR Unrecognized option '" + std::string(args[2]) + "'");
    return;
  }
  if (!is_client_name(args[3])) {
    client.reply_error("ERR " + to_lower(args[2]) +
                       " cannot contain spaces, newlines or special characters.");
    return;
  }
  (is_name ? client.edit_names().lib_name : client.edit_names().lib_version) = args[3];
  client.reply(resp::kOk);
}

void info(Client& client, const Command&, Arguments) {
  client.reply(resp::verbatim(client.version(), client.describe()));
}

// Which clients a CLIENT LIST or CLIENT KILL means.
struct Filter {
  std::set<uint64_t> ids;  // Empty = any.
  std::optional<std::string> address, local_address, user;
  std::optional<std::string> type;  // In lower case. Only "normal" and "pubsub" have clients here.
  std::optional<uint64_t> age_min_s;
  uint64_t skip = 0;  // This client is not meant; 0 = none.

  bool matches(const Client& client) const {
    if (client.id() == skip) return false;
    if (!ids.empty() && !ids.contains(client.id())) return false;
    if (type && *type != (client.subscribes() ? "pubsub" : "normal")) return false;
    if (address && *address != peer_name(client.fd())) return false;
    if (local_address && *local_address != local_name(client.fd())) return false;
    if (age_min_s && client.age_s() < *age_min_s) return false;
    return !user || *user == client.user().name();
  }
};

bool is_type(std::string_view type) {
  return type == "normal" || type == "master" || type == "replica" || type == "slave" ||
         type == "pubsub";
}

void list(Client& client, const Command& command, Arguments args) {
  Filter filter;
  if (args.size() > 2 && equals_ignoring_case(args[2], "TYPE")) {
    if (args.size() != 4) {
      client.reply_error("ERR syntax error");
      return;
    }
    filter.type = to_lower(args[3]);
    if (!is_type(*filter.type)) {
      client.reply_error("ERR Unknown client type '" + std::string(args[3]) + "'");
      return;
    }
  } else if (args.size() > 3 && equals_ignoring_case(args[2], "ID")) {
    for (const std::string_view text : args.subspan(3)) {
      int64_t id = 0;
      if (!parse_integer(text, id)) {
        client.reply_error("ERR Invalid client ID");
        return;
      }
      // Nobody has the number 0, so it stands for all that nobody can have.
      filter.ids.insert(static_cast<uint64_t>(std::max<int64_t>(id, 0)));
    }
  } else if (args.size() != 2) {
    client.reply_error("ERR syntax error");
    return;
  }
  client.worker().manager().ask_workers(
      client, command,
      [filter](Worker& worker) {
        std::string lines;
        worker.for_each_client([&](Client& other) {
          if (filter.matches(other)) lines += other.describe();
        });
        return lines;
      },
      [version = client.version()](const std::vector<std::string>& answers) {
        std::string all;
        for (const std::string& lines : answers) all += lines;
        return resp::verbatim(version, all);
      });
}

// The filters of the new form of CLIENT KILL; false if the client was told what is wrong.
bool parse_kill_filters(Client& client, Arguments args, Filter& filter) {
  filter.skip = client.id();
  for (size_t i = 2; i < args.size(); i += 2) {
    const std::string_view value = i + 1 < args.size() ? args[i + 1] : std::string_view();
    if (i + 1 >= args.size()) {
      client.reply_error("ERR syntax error");
      return false;
    }
    int64_t number = 0;
    if (equals_ignoring_case(args[i], "ID")) {
      if (!parse_integer(value, number) || number < 1) {
        client.reply_error("ERR client-id should be greater than 0");
        return false;
      }
      filter.ids = {static_cast<uint64_t>(number)};
    } else if (equals_ignoring_case(args[i], "MAXAGE")) {
      if (!parse_integer(value, number) || number < 1) {
        client.reply_error("ERR maxage should be greater than 0");
        return false;
      }
      filter.age_min_s = static_cast<uint64_t>(number);
    } else if (equals_ignoring_case(args[i], "TYPE")) {
      filter.type = to_lower(value);
      if (!is_type(*filter.type)) {
        client.reply_error("ERR Unknown client type '" + std::string(value) + "'");
        return false;
      }
    } else if (equals_ignoring_case(args[i], "ADDR")) {
      filter.address = value;
    } else if (equals_ignoring_case(args[i], "LADDR")) {
      filter.local_address = value;
    } else if (equals_ignoring_case(args[i], "USER")) {
      filter.user = value;
    } else if (equals_ignoring_case(args[i], "SKIPME")) {
      if (equals_ignoring_case(value, "yes")) {
        filter.skip = client.id();
      } else if (equals_ignoring_case(value, "no")) {
        filter.skip = 0;
      } else {
        client.reply_error("ERR syntax error");
        return false;
      }
    } else {
      client.reply_error("ERR syntax error");
      return false;
    }
  }
  return true;
}

void kill(Client& client, const Command& command, Arguments args) {
  Filter filter;
  const bool old_form = args.size() == 3;
  if (old_form) {
    filter.address = args[2];
  } else if (!parse_kill_filters(client, args, filter)) {
    return;
  }
  const uint64_t self = client.id();
  std::optional<std::string> unknown_user;
  if (filter.user && client.worker().users().find(*filter.user) == nullptr) {
    unknown_user = filter.user;
  }
  client.worker().manager().ask_workers(
      client, command,
      [filter, self](Worker& worker) {
        int64_t killed = 0;
        worker.for_each_client([&](Client& other) {
          if (!filter.matches(other)) return;
          ++killed;
          if (other.id() == self) {
            other.close_after_replies();  // It still gets this answer.
          } else {
            other.shut(Disconnect::kKilled);
          }
        });
        return std::to_string(killed);
      },
      [old_form, unknown_user](const std::vector<std::string>& answers) {
        int64_t killed = 0;
        for (const std::string& answer : answers) killed += std::stoll(answer);
        // One that the configuration does not have any more may still be connected.
        if (killed == 0 && unknown_user) {
          return resp::error("ERR No such user '" + *unknown_user + "'");
        }
        if (!old_form) return resp::integer(killed);
        return killed > 0 ? std::string(resp::kOk) : resp::error("ERR No such client");
      });
}

// Another number of arguments than Redis' subcommand takes.
std::string wrong_subcommand(std::string_view name) {
  return "ERR unknown subcommand or wrong number of arguments for '" + std::string(name) +
         "'. Try CLIENT HELP.";
}

void unblock(Client& client, const Command& command, Arguments args) {
  if (args.size() > 4) {
    client.reply_error(wrong_subcommand(args[1]));
    return;
  }
  const bool with_error = args.size() == 4 && equals_ignoring_case(args[3], "ERROR");
  if (args.size() == 4 && !with_error && !equals_ignoring_case(args[3], "TIMEOUT")) {
    client.reply_error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    return;
  }
  int64_t id = 0;
  if (!parse_integer(args[2], id)) {
    client.reply_error("ERR value is not an integer or out of range");
    return;
  }
  client.worker().manager().ask_workers_later(
      client, command,
      [id, with_error](Worker& worker, const WorkerManager::Answer& answer) {
        worker.for_each_client([&](Client& other) {
          if (other.id() != static_cast<uint64_t>(id)) return;
          worker.unblock(other, with_error, [answer](bool done) { answer(done ? "1" : ""); });
        });
      },
      [](const std::vector<std::string>& answers) {
        const bool done = std::any_of(answers.begin(), answers.end(),
                                      [](const std::string& answer) { return !answer.empty(); });
        return resp::integer(done);
      });
}

void pause(Client& client, const Command& command, Arguments args) {
  if (args.size() > 4) {
    client.reply_error(wrong_subcommand(args[1]));
    return;
  }
  const bool only_writes = args.size() == 4 && equals_ignoring_case(args[3], "WRITE");
  if (args.size() == 4 && !only_writes && !equals_ignoring_case(args[3], "ALL")) {
    client.reply_error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    return;
  }
  int64_t duration_ms = 0;
  if (!parse_integer(args[2], duration_ms) || duration_ms > kPauseMaxMs) {
    client.reply_error("ERR timeout is not an integer or out of range");
    return;
  }
  if (duration_ms < 0) {
    client.reply_error("ERR timeout is negative");
    return;
  }
  client.worker().manager().ask_workers(
      client, command,
      [duration_ms, only_writes](Worker& worker) {
        worker.pause(Milliseconds(duration_ms), only_writes);
        return std::string();
      },
      [](const std::vector<std::string>&) { return std::string(resp::kOk); });
}

void unpause(Client& client, const Command& command, Arguments) {
  client.worker().manager().ask_workers(
      client, command,
      [](Worker& worker) {
        worker.unpause();
        return std::string();
      },
      [](const std::vector<std::string>&) { return std::string(resp::kOk); });
}

void no_touch(Client& client, const Command&, Arguments args) {
  const bool on = equals_ignoring_case(args[2], "ON");
  if (!on && !equals_ignoring_case(args[2], "OFF")) {
    client.reply_error("ERR syntax error");
    return;
  }
  client.session.no_touch = on;
  client.reply(resp::kOk);
}

void no_evict(Client& client, const Command&, Arguments args) {
  const bool on = equals_ignoring_case(args[2], "ON");
  if (!on && !equals_ignoring_case(args[2], "OFF")) {
    client.reply_error("ERR syntax error");
    return;
  }
  client.session.no_evict = on;
  client.reply(resp::kOk);
}

void reply_mode(Client& client, const Command&, Arguments args) {
  using Replies = Client::Session::Replies;
  if (equals_ignoring_case(args[2], "ON")) {
    client.session.replies = Replies::kOn;
    client.reply(resp::kOk);
  } else if (equals_ignoring_case(args[2], "OFF")) {
    client.session.replies = Replies::kOff;
  } else if (equals_ignoring_case(args[2], "SKIP")) {
    if (client.session.replies != Replies::kOff) client.session.replies = Replies::kSkipNext;
  } else {
    client.reply_error("ERR syntax error");
  }
}

void help(Client& client, const Command&, Arguments) {
  client.reply(
      help_reply("CLIENT", {"CACHING YES|NO",
                            "    Whether the next request's keys are tracked (OPTIN, OPTOUT).",
                            "GETREDIR",
                            "    The client that is told of changed keys instead of this one.",
                            "GETNAME",
                            "    The name of this connection.",
                            "ID",
                            "    The number of this connection.",
                            "INFO",
                            "    What CLIENT LIST says of this connection.",
                            "KILL <addr:port>",
                            "    Close the connection from that address.",
                            "KILL [ID|ADDR|LADDR|USER|TYPE|MAXAGE <value>] [SKIPME yes|no] ...",
                            "    Close all connections that match.",
                            "LIST [TYPE <type>] [ID <id> ...]",
                            "    The proxy's connections.",
                            "NO-EVICT ON|OFF",
                            "    Accepted and shown in CLIENT LIST.",
                            "NO-TOUCH ON|OFF",
                            "    Accepted and shown in CLIENT LIST. Servers do not learn of it.",
                            "PAUSE <milliseconds> [WRITE|ALL]",
                            "    Requests of all clients, or those that write, wait so long.",
                            "REPLY ON|OFF|SKIP",
                            "    Whether this connection gets replies.",
                            "SETINFO LIB-NAME|LIB-VER <value>",
                            "    Tell which library is in use.",
                            "SETNAME <name>",
                            "    Name this connection.",
                            "TRACKING ON|OFF [REDIRECT <id>] [BCAST] [PREFIX <prefix> ...] [OPTIN]"
                            " [OPTOUT] [NOLOOP]",
                            "    Whether this connection is told of changes of keys it has read.",
                            "TRACKINGINFO",
                            "    What TRACKING is set to.",
                            "UNBLOCK <id> [TIMEOUT|ERROR]",
                            "    End the wait (BLPOP, WAIT ...) of that connection.",
                            "UNPAUSE",
                            "    End a CLIENT PAUSE."}));
}

constexpr LocalEntry kEntries[] = {
    {"client|id", client_id},     {"client|setname", set_name},  {"client|getname", get_name},
    {"client|setinfo", set_info}, {"client|info", info},         {"client|list", list},
    {"client|kill", kill},        {"client|no-evict", no_evict}, {"client|reply", reply_mode},
    {"client|help", help},        {"client|unblock", unblock},   {"client|pause", pause},
    {"client|unpause", unpause},  {"client|no-touch", no_touch},
};

}  // namespace

std::span<const LocalEntry> client_commands() {
  return kEntries;
}

}  // namespace pikaproxy
