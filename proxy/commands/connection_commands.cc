#include <charconv>

#include "common/ascii.h"
#include "common/config.h"
#include "common/reply_framer.h"
#include "common/resp3.h"
#include "common/version.h"
#include "proxy/client/client.h"
#include "proxy/client/client_name.h"
#include "proxy/client/users.h"
#include "proxy/commands/local_commands.h"
#include "proxy/pubsub/subscriptions.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

// AUTH, or the AUTH part of HELLO. The text of an error, or nothing.
std::string_view log_in(Client& client, std::string_view user, std::string_view password) {
  RedisUserPtr known = client.worker().users().log_in(user, password);
  if (known == nullptr) {
    client.worker().stats().denied_logins.add();
    return "WRONGPASS invalid username-password pair or user is disabled.";
  }
  client.set_user(std::move(known), true);
  return {};
}

void auth(Client& client, const Command&, Arguments args) {
  if (args.size() > 3) {
    client.reply_error("ERR syntax error");
    return;
  }
  if (args.size() == 2 && client.worker().users().default_user()->is_open) {
    client.reply_error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
    return;
  }
  const std::string_view user = args.size() == 3 ? args[1] : kDefaultUser;
  const std::string_view error = log_in(client, user, args.back());
  if (error.empty()) {
    client.reply(resp::kOk);
  } else {
    client.reply_error(error);
  }
}

// A HELLO that changes the version comes here when the client has nothing in flight.
void hello(Client& client, const Command&, Arguments args) {
  size_t next = 1;
  int64_t version = client.session.protocol;
  if (args.size() > 1) {
    if (!parse_integer(args[1], version)) {
      client.reply_error("ERR Protocol version is not an integer or out of range");
      return;
    }
    if (version != 2 && version != 3) {
      client.reply_error("NOPROTO unsupported protocol version");
      return;
    }
    next = 2;
  }
  std::string_view name;
  bool has_name = false;
  while (next < args.size()) {
    if (equals_ignoring_case(args[next], "AUTH") && next + 2 < args.size()) {
      const std::string_view error = log_in(client, args[next + 1], args[next + 2]);
      if (!error.empty()) {
        client.reply_error(error);
        return;
      }
      next += 3;
    } else if (equals_ignoring_case(args[next], "SETNAME") && next + 1 < args.size()) {
      name = args[next + 1];
      has_name = true;
      next += 2;
    } else {
      client.reply_error("ERR Syntax error in HELLO option '" + std::string(args[next]) + "'");
      return;
    }
  }
  if (!client.session.authenticated) {
    client.reply_error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
        "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
        "RESP protocol version at the same time");
    return;
  }
  if (has_name) {
    if (!is_client_name(name)) {
      client.reply_error(kBadClientName);
      return;
    }
    client.edit_names().name = name;
  }
  if (version != client.session.protocol && client.tracking != nullptr) {
    client.reply_error("ERR CLIENT TRACKING is on: turn it off before the protocol is changed");
    return;
  }
  if (version != client.session.protocol) {
    // What was answered with an error may still run at a server, over a connection that the client
    // is about to leave.
    if (client.has_sent_requests() && !client.worker().backends().is_settled()) {
      client.reply_error(
          "TRYAGAIN earlier requests of this connection may still be running at a server; repeat "
          "HELLO in a moment");
      return;
    }
    client.set_version(static_cast<RespVersion>(version));
  }
  std::string out;
  resp::append_map(out, client.version(), 7);
  resp::append_bulk(out, "server");
  resp::append_bulk(out, "redis");
  resp::append_bulk(out, "version");
  resp::append_bulk(out, kRedisVersion);
  resp::append_bulk(out, "proto");
  resp::append_integer(out, version);
  resp::append_bulk(out, "id");
  resp::append_integer(out, static_cast<int64_t>(client.id()));
  resp::append_bulk(out, "mode");
  resp::append_bulk(out, client.worker().config().proxy.cluster_mode ? "cluster" : "standalone");
  resp::append_bulk(out, "role");
  resp::append_bulk(out, "master");
  resp::append_bulk(out, "modules");
  resp::append_array(out, 0);
  client.reply(out);
}

void ping(Client& client, const Command& command, Arguments args) {
  if (args.size() > 2) {
    client.reply_error("ERR wrong number of arguments for '" + std::string(command.name) +
                       "' command");
  } else if (client.only_subscribes()) {
    // Where everything that comes is an array.
    std::string out;
    resp::append_array(out, 2);
    resp::append_bulk(out, "pong");
    resp::append_bulk(out, args.size() == 2 ? args[1] : "");
    client.reply(out);
  } else if (args.size() == 2) {
    client.reply(resp::bulk(args[1]));
  } else {
    client.reply("+PONG\r\n");
  }
}

void echo(Client& client, const Command&, Arguments args) {
  client.reply(resp::bulk(args[1]));
}

void quit(Client& client, const Command&, Arguments) {
  // Who has read the OK finds that nobody subscribes any more. What is still being subscribed to
  // ends with the connection.
  if (client.subscribes() && client.has_no_request()) client.worker().subscriptions().drop(client);
  client.reply(resp::kOk);
  client.close_after_replies();
}

void reset(Client& client, const Command&, Arguments) {
  client.reset_session();
  client.reply("+RESET\r\n");
}

void select(Client& client, const Command&, Arguments args) {
  int64_t db = 0;
  if (!parse_integer(args[1], db)) {
    client.reply_error("ERR value is not an integer or out of range");
  } else if (db < INT32_MIN || db > INT32_MAX) {
    client.reply_error("ERR value is out of range, value must between -2147483648 and 2147483647");
  } else if (db < 0 || db >= client.worker().config().proxy.databases) {
    client.reply_error("ERR DB index is out of range");
  } else {
    client.session.db = static_cast<uint32_t>(db);
    client.reply(resp::kOk);
  }
}

void readonly(Client& client, const Command&, Arguments) {
  client.choose_reads(true);
  client.reply(resp::kOk);
}

void readwrite(Client& client, const Command&, Arguments) {
  client.choose_reads(false);
  client.reply(resp::kOk);
}

constexpr LocalEntry kEntries[] = {
    {"readonly", readonly}, {"readwrite", readwrite}, {"auth", auth},
    {"hello", hello},       {"ping", ping},           {"echo", echo},
    {"quit", quit},         {"reset", reset},         {"select", select},
};

}  // namespace

std::span<const LocalEntry> connection_commands() {
  return kEntries;
}

}  // namespace pikaproxy
