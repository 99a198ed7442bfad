// ACL: what the users of the Redis port may do, shown. They are changed in the configuration and by
// the API.

#include <algorithm>

#include <openssl/rand.h>

#include "common/ascii.h"
#include "common/resp.h"
#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/client/users.h"
#include "proxy/commands/local_commands.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr int64_t kPasswordBitsMax = 4096;

// "~app:* %R~shared:*"
std::string describe_keys(const UserConfig& user) {
  std::string text;
  for (const std::string& rule : user.keys) {
    const auto pattern = parse_key_pattern(rule);
    if (!pattern) continue;
    if (!text.empty()) text += ' ';
    if (!pattern->may_write) text += "%R";
    if (!pattern->may_read) text += "%W";
    text += "~" + pattern->glob;
  }
  return text;
}

std::string describe_channels(const UserConfig& user) {
  std::string text;
  for (const std::string& rule : user.channels) {
    const auto pattern = parse_channel_pattern(rule);
    if (!pattern) continue;
    if (!text.empty()) text += ' ';
    text += "&" + *pattern;
  }
  return text;
}

std::vector<std::string_view> flags_of(const RedisUser& user) {
  std::vector<std::string_view> flags = {user.config.enabled ? "on" : "off"};
  if (user.is_open) flags.push_back("nopass");
  return flags;
}

// Another number of arguments than Redis' subcommand takes.
std::string wrong_subcommand(std::string_view name) {
  return "ERR unknown subcommand or wrong number of arguments for '" + std::string(name) +
         "'. Try ACL HELP.";
}

// As ACL LIST has it, but without anything about passwords.
std::string describe(const RedisUser& user) {
  std::string line = "user " + user.name();
  for (const std::string_view flag : flags_of(user)) line += " " + std::string(flag);
  for (const std::string& part :
       {describe_keys(user.config), describe_channels(user.config), describe_commands(user)}) {
    if (!part.empty()) line += " " + part;
  }
  return line;
}

void whoami(Client& client, const Command&, Arguments) {
  client.reply(resp::bulk(client.user().name()));
}

void users(Client& client, const Command&, Arguments) {
  const auto& all = client.worker().users().all();
  std::string out;
  resp::append_array(out, static_cast<int64_t>(all.size()));
  for (const auto& [name, user] : all) resp::append_bulk(out, name);
  client.reply(out);
}

void list(Client& client, const Command&, Arguments) {
  const auto& all = client.worker().users().all();
  std::string out;
  resp::append_array(out, static_cast<int64_t>(all.size()));
  for (const auto& [name, user] : all) resp::append_bulk(out, describe(*user));
  client.reply(out);
}

void getuser(Client& client, const Command&, Arguments args) {
  const RespVersion version = client.version();
  const RedisUserPtr user = client.worker().users().find(args[2]);
  if (user == nullptr) {
    client.reply(resp::null_array(version));
    return;
  }
  std::string out;
  resp::append_map(out, version, 6);
  resp::append_bulk(out, "flags");
  const auto flags = flags_of(*user);
  resp::append_set(out, version, static_cast<int64_t>(flags.size()));
  for (const std::string_view flag : flags) resp::append_bulk(out, flag);
  // Redis shows their hashes, of which weak passwords can be found.
  resp::append_bulk(out, "passwords");
  resp::append_array(out, 0);
  resp::append_bulk(out, "commands");
  resp::append_bulk(out, describe_commands(*user));
  resp::append_bulk(out, "keys");
  resp::append_bulk(out, describe_keys(user->config));
  resp::append_bulk(out, "channels");
  resp::append_bulk(out, describe_channels(user->config));
  resp::append_bulk(out, "selectors");
  resp::append_array(out, 0);
  client.reply(out);
}

void cat(Client& client, const Command&, Arguments args) {
  if (args.size() > 3) {
    client.reply_error(wrong_subcommand(args[1]));
    return;
  }
  std::vector<std::string_view> names;
  if (args.size() == 2) {
    names.assign(command_categories().begin(), command_categories().end());
  } else {
    const std::string category = to_lower(args[2]);
    const auto categories = command_categories();
    if (std::find(categories.begin(), categories.end(), category) == categories.end()) {
      client.reply_error("ERR Unknown category '" + std::string(args[2]) + "'");
      return;
    }
    for (size_t index = 0; index < command_count(); ++index) {
      const Command& each = command_at(index);
      if (is_in_category(each, category)) names.push_back(each.name);
    }
  }
  std::string out;
  resp::append_array(out, static_cast<int64_t>(names.size()));
  for (const std::string_view name : names) resp::append_bulk(out, name);
  client.reply(out);
}

void genpass(Client& client, const Command&, Arguments args) {
  int64_t bits = 256;
  if (args.size() > 3) {
    client.reply_error(wrong_subcommand(args[1]));
    return;
  }
  if (args.size() == 3 && !parse_integer(args[2], bits)) {
    client.reply_error("ERR value is not an integer or out of range");
    return;
  }
  if (bits <= 0 || bits > kPasswordBitsMax) {
    client.reply_error(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive "
        "number up to " +
        std::to_string(kPasswordBitsMax));
    return;
  }
  const auto digits = static_cast<size_t>((bits + 3) / 4);
  std::vector<unsigned char> random((digits + 1) / 2);
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    client.reply_error("ERR there are no random numbers to be had from the system");
    return;
  }
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < digits; ++i) {
    text += kDigits[i % 2 == 0 ? random[i / 2] >> 4 : random[i / 2] & 15];
  }
  client.reply(resp::bulk(text));
}

// ACL DRYRUN user command [arg ...]
void dryrun(Client& client, const Command&, Arguments args) {
  const RedisUserPtr user = client.worker().users().find(args[2]);
  if (user == nullptr) {
    client.reply_error("ERR User '" + std::string(args[2]) + "' not found");
    return;
  }
  const Arguments request = args.subspan(3);
  const Command* command = find_command(request[0]);
  if (command != nullptr && !command->subcommands.empty() && request.size() >= 2) {
    command = find_subcommand(*command, request[1]);
  }
  if (command == nullptr) {
    client.reply_error("ERR Command '" + std::string(request[0]) + "' not found");
    return;
  }
  if (!arity_fits(*command, request.size())) {
    client.reply_error(wrong_arity(*command));
    return;
  }
  Rights::Verdict verdict;
  std::vector<KeyUse> keys;
  if (command->proxy_admin && !user->config.admin) {
    verdict.denied = Rights::Denied::kCommand;
  } else if (user->rights) {
    verdict = user->rights->check(*command, request, keys);
  }
  const std::string start = "This user has no permissions to ";
  switch (verdict.denied) {
    case Rights::Denied::kNothing:
      client.reply(resp::kOk);
      break;
    case Rights::Denied::kCommand:
      client.reply(resp::bulk(start + "run the '" + std::string(command->name) + "' command"));
      break;
    case Rights::Denied::kKey:
      client.reply(
          resp::bulk(start + "access the '" + std::string(request[verdict.position]) + "' key"));
      break;
    case Rights::Denied::kChannel:
      client.reply(resp::bulk(start + "access the '" + std::string(request[verdict.position]) +
                              "' channel"));
      break;
    default:
      client.reply(resp::bulk(verdict.error));
  }
}

void help(Client& client, const Command&, Arguments) {
  client.reply(help_reply(
      "ACL",
      {"CAT [<category>]", "    List all commands that belong to <category>, or all categories.",
       "DRYRUN <username> <command> [<arg> ...]",
       "    Returns whether the user can execute the given command without executing it.",
       "GENPASS [<bits>]", "    Generate a secure 256-bit user password.", "GETUSER <username>",
       "    Get the user's details, without the passwords.", "LIST",
       "    Show users' details in the form of ACL rules, without the passwords.", "USERS",
       "    List all the registered usernames.", "WHOAMI",
       "    Return the current connection username."}));
}

constexpr LocalEntry kEntries[] = {
    {"acl|cat", cat},   {"acl|dryrun", dryrun}, {"acl|genpass", genpass}, {"acl|getuser", getuser},
    {"acl|help", help}, {"acl|list", list},     {"acl|users", users},     {"acl|whoami", whoami},
};

}  // namespace

std::span<const LocalEntry> acl_commands() {
  return kEntries;
}

}  // namespace pikaproxy
