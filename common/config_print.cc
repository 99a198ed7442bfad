#include "common/config_print.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config_file.h"
#include "common/option_table.h"
#include "common/slot_ranges.h"
#include "common/text.h"
#include "common/units.h"
#include "common/version.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kMask = "***";

std::string masked(const std::string& password) {
  return toml_string(password.empty() ? "" : kMask);
}

std::string source_text(const Origins& origins, std::string_view name) {
  const auto origin = origins.find(name);
  if (origin == origins.end()) return "default";
  switch (origin->second.source) {
    case Source::kDefault:
      break;
    case Source::kFile:
      return "file " + origin->second.where;
    case Source::kEnvironment:
      return "environment " + origin->second.where;
    case Source::kFlag:
      return "flag " + origin->second.where;
  }
  return "default";
}

// "key = value      # comment", the comments in one column where they can be.
void append_line(std::string& out, std::string_view key, std::string_view value,
                 std::string_view comment) {
  constexpr size_t kCommentColumn = 44;
  std::string line = std::string(key) + " = " + std::string(value);
  if (!comment.empty()) {
    line.resize(std::max(line.size() + 2, kCommentColumn), ' ');
    line += "# " + printable(comment);
  }
  out += line + "\n";
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + toml_string(text);
  return "[" + list + "]";
}

void append_policy(std::string& out, const ReadPolicy& policy) {
  if (policy.read_from) {
    append_line(out, "read_from",
                toml_string(read_from_names()[static_cast<size_t>(*policy.read_from)]), "");
  }
  if (policy.replica_max_lag) {
    append_line(out, "replica_max_lag", toml_string(format_duration(*policy.replica_max_lag)), "");
  }
}

void append_users(std::string& out, const Config& config, const Origins& origins) {
  for (size_t i = 0; i < config.users.size(); ++i) {
    const UserConfig& user = config.users[i];
    const std::string id = "user[" + std::to_string(i) + "]";
    out += "\n[[user]]";
    if (origins.contains(id)) out += "  # " + source_text(origins, id);
    out += "\n";
    append_line(out, "name", toml_string(user.name), "");
    std::vector<std::string> masks(user.passwords.size(), std::string(kMask));
    append_line(out, "passwords", toml_list(masks), "");
    append_line(out, "admin", user.admin ? "true" : "false", "");
    append_line(out, "enabled", user.enabled ? "true" : "false", "");
    append_line(out, "commands", toml_string(user.commands), "");
    append_line(out, "keys", toml_list(user.keys), "");
    append_line(out, "channels", toml_list(user.channels), "");
    append_line(out, "read_only", user.read_only ? "true" : "false", "");
    append_policy(out, user.reads);
  }
}

void append_listeners(std::string& out, const Config& config, const Origins& origins) {
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const ListenerConfig& listener = config.listeners[i];
    const std::string id = "listener[" + std::to_string(i) + "]";
    out += "\n[[listener]]";
    if (origins.contains(id)) out += "  # " + source_text(origins, id);
    out += "\n";
    append_line(out, "address", toml_string(listener.address.to_string()), "");
    append_policy(out, listener.reads);
  }
}

void append_zones(std::string& out, const Config& config, const Origins& origins) {
  for (size_t i = 0; i < config.zones.size(); ++i) {
    const ZoneConfig& zone = config.zones[i];
    const std::string id = "zone[" + std::to_string(i) + "]";
    out += "\n[[zone]]";
    if (origins.contains(id)) out += "  # " + source_text(origins, id);
    out += "\n";
    append_line(out, "name", toml_string(zone.name), "");
    append_line(out, "servers", toml_list(zone.servers), "");
  }
}

void append_groups(std::string& out, const Config& config, const Origins& origins) {
  for (size_t i = 0; i < config.groups.size(); ++i) {
    const GroupConfig& group = config.groups[i];
    const std::string id = "group[" + std::to_string(i) + "]";
    out += "\n[[group]]";
    if (origins.contains(id)) out += "  # " + source_text(origins, id);
    out += "\n";
    append_line(out, "name", toml_string(group.name), "");
    append_line(out, "server", toml_string(group.server.to_string()), "");
    if (!group.replicas.empty()) {
      std::vector<std::string> replicas;
      for (const Address& replica : group.replicas) replicas.push_back(replica.to_string());
      append_line(out, "replicas", toml_list(replicas), "");
    }
    if (!group.user.empty()) append_line(out, "user", toml_string(group.user), "");
    if (!group.password.empty()) {
      append_line(out, "password", masked(group.password), "");
    }
    if (!group.slots.empty()) {
      append_line(out, "slots", toml_string(format_slot_ranges(group.slots)), "");
    }
    if (!group.ketama_name.empty()) {
      append_line(out, "ketama_name", toml_string(group.ketama_name), "");
    }
    if (group.weight != GroupConfig().weight) {
      append_line(out, "weight", std::to_string(group.weight), "");
    }
  }
}

std::string_view value_name(const Option& option) {
  switch (option.type) {
    case OptionType::kBool:
      return "BOOL";
    case OptionType::kInteger:
      return "NUMBER";
    case OptionType::kSize:
      return "SIZE";
    case OptionType::kDuration:
      return "DURATION";
    case OptionType::kMode:
      return "MODE";
    case OptionType::kText:
    case OptionType::kPassword:
      return "TEXT";
    case OptionType::kSecretFile:
      return "FILE";
    case OptionType::kChoice:
      return "NAME";
    case OptionType::kAddress:
    case OptionType::kAddressList:
      return "ADDRESS";
    case OptionType::kHostList:
      return "NAMES";
  }
  return "VALUE";
}

std::string_view section_title(std::string_view section) {
  if (section == "proxy") return "Clients and what they may use";
  if (section == "backend") return "Connections to servers";
  if (section == "log") return "Log";
  if (section == "slowlog") return "Slow requests";
  if (section == "admin") return "Port for metrics and health";
  if (section == "dashboard") return "Groups, slots and migrations, by a REST API";
  if (section == "auth") return "What clients must say";
  return "Placement of keys with proxy.router = \"ketama\"";
}

std::string shown_default(const Option& option) {
  const std::string text = get_option(Config(), option);
  return text.empty() ? "empty" : text;
}

// In a cell of a table a bar ends the cell.
std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string_view while_running(const Option& option) {
  if (option.type == OptionType::kSecretFile) return "read again";
  return option.reloadable ? "yes" : "no";
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

}  // namespace

std::string print_config(const LoadedConfig& loaded) {
  const Config& config = loaded.config;
  std::string out = "# The configuration in effect. Passwords are shown as \"***\".\n";
  std::string_view section;
  for (const Option& option : options()) {
    if (option.section() != section) {
      section = option.section();
      out += "\n[" + std::string(section) + "]\n";
    }
    const std::string source = source_text(loaded.origins, option.name);
    if (!option.secret()) {
      append_line(out, option.key(), option_toml(config, option), source);
      continue;
    }
    // Together with password_file it would be refused.
    if (!config.auth.password_file.empty()) out += "# ";
    append_line(out, option.key(), masked(get_option(config, option)), source);
  }
  append_users(out, config, loaded.origins);
  append_listeners(out, config, loaded.origins);
  append_zones(out, config, loaded.origins);
  append_groups(out, config, loaded.origins);
  return out;
}

std::string help_text() {
  std::string out =
      "pikaproxy: a proxy that makes many Redis servers look like one\n"
      "\n"
      "Usage: pikaproxy [--config FILE] [--SECTION.OPTION VALUE ...]\n"
      "\n"
      "  -c, --config FILE         Read options and groups from this TOML file\n"
      "  -t, --check-config        Say all that is wrong with the configuration, and exit\n"
      "  -p, --print-config        Print the configuration in effect and where each value came\n"
      "                            from, and exit\n"
      "  import-twemproxy FILE [--pool NAME]\n"
      "                            Print the configuration that replaces a twemproxy with this\n"
      "                            file, and exit\n"
      "  -V, --version             Print versions, and exit\n"
      "  -h, --help                Print this, and exit\n"
      "      --help-markdown       Print the options as a Markdown table, and exit\n"
      "\n"
      "Every option can be set in the file, by an environment variable named\n"
      "PIKAPROXY_SECTION_OPTION, or by a flag as below. A flag outranks the environment, which\n"
      "outranks the file. [default] and * = can change while running.\n";
  std::string_view section;
  for (const Option& option : options()) {
    if (option.section() != section) {
      section = option.section();
      out += "\n" + std::string(section_title(section)) + "\n";
    }
    out += "  --" + std::string(option.name) + " " + std::string(value_name(option)) + "\n      " +
           std::string(option.help);
    if (!option.choices.empty()) out += ": " + describe_values(option);
    out += " [" + shown_default(option) + "]" + (option.reloadable ? " *\n" : "\n");
  }
  out +=
      "\nGroups of servers, users, further listeners and zones are written in the file: "
      "[[group]],\n"
      "[[user]], [[listener]], [[zone]].\n"
      "Exit codes: 0 done, 1 failed while running, 2 bad command line, 3 bad configuration,\n"
      "4 cannot listen on an address, 5 store unusable.\n";
  return out;
}

std::string options_markdown() {
  std::string out =
      "| Option | Default | Values | While running | Meaning |\n"
      "|---|---|---|---|---|\n";
  for (const Option& option : options()) {
    const std::string text = get_option(Config(), option);
    out += "| `" + std::string(option.name) + "` | " + (text.empty() ? "empty" : "`" + text + "`") +
           " | " + markdown_cell(describe_values(option)) + " | " +
           std::string(while_running(option)) + " | " + markdown_cell(option.help) + " |\n";
  }
  return out;
}

std::string version_text(std::span<const std::string> libraries) {
  std::string out = std::string("pikaproxy ") + kVersion + "\ncommit    " + kCommit +
                    "\ncompiler  " + compiler() + "\n";
  std::string all = toml_library_version();
  for (const std::string& library : libraries) all += ", " + library;
  return out + "libraries " + all + "\n";
}

}  // namespace pikaproxy
