#include "common/config_file.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "common/file.h"
#include "common/option_table.h"
#include "common/slot.h"
#include "common/slot_ranges.h"
#include "common/text.h"
#include "common/user_rules.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kUser = "user";
constexpr std::string_view kGroup = "group";
constexpr std::string_view kListener = "listener";
constexpr std::string_view kZone = "zone";
constexpr std::array<std::string_view, 13> kUserKeys = {
    "name",      "password",  "password_file",  "passwords", "password_files",
    "admin",     "enabled",   "commands",       "keys",      "channels",
    "read_only", "read_from", "replica_max_lag"};
constexpr std::array<std::string_view, 3> kListenerKeys = {"address", "read_from",
                                                           "replica_max_lag"};
constexpr std::array<std::string_view, 2> kZoneKeys = {"name", "servers"};
constexpr std::array<std::string_view, 9> kGroupKeys = {"name",  "server",      "replicas",
                                                        "user",  "password",    "password_file",
                                                        "slots", "ketama_name", "weight"};
constexpr int64_t kWeightMax = 2'147'483'647;  // What twemproxy takes.

// What a TOML value is, in words.
std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

// What `option` wants to be in TOML, in words.
std::string_view wanted_kind(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "true or false, without quotes";
    case OptionType::kInteger:
      return "a whole number, without quotes";
    case OptionType::kSize:
      return "a size such as \"64mb\"";
    case OptionType::kDuration:
      return "a duration such as \"30s\"";
    case OptionType::kMode:
      return "an octal number such as \"0700\"";
    case OptionType::kAddressList:
      return "an array of addresses such as [\"127.0.0.1:19000\"]";
    case OptionType::kHostList:
      return "an array of names such as [\"proxy1.example\"]";
    default:
      return "a string in quotes";
  }
}

// A value of the file as the text that set_option() reads; nothing if it is of the wrong kind.
std::optional<std::string> text_of(const toml::node& node, OptionType type) {
  if (const auto* text = node.as_string()) {
    if (type == OptionType::kBool || type == OptionType::kInteger) return std::nullopt;
    return text->get();
  }
  if (const auto* number = node.as_integer()) {
    if (type == OptionType::kMode) {
      // 700 without quotes would silently mean 0o1274.
      if (number->flags() != toml::value_flags::format_as_octal || number->get() < 0) {
        return std::nullopt;
      }
      char digits[32];
      std::snprintf(digits, sizeof digits, "%llo", static_cast<unsigned long long>(number->get()));
      return digits;
    }
    if (type == OptionType::kInteger || type == OptionType::kSize ||
        type == OptionType::kDuration) {
      return std::to_string(number->get());
    }
    return std::nullopt;
  }
  if (const auto* flag = node.as_boolean()) {
    if (type != OptionType::kBool) return std::nullopt;
    return flag->get() ? "true" : "false";
  }
  if (const auto* array = node.as_array();
      array && (type == OptionType::kAddressList || type == OptionType::kHostList)) {
    std::string list;
    for (const toml::node& element : *array) {
      const auto* text = element.as_string();
      if (!text) return std::nullopt;
      if (!list.empty()) list += ',';
      list += text->get();
    }
    return list;
  }
  return std::nullopt;
}

class Reader {
 public:
  Reader(const std::string& name, Config& config, Origins& origins, Problems& problems)
      : name_(name), config_(config), origins_(origins), problems_(problems) {}

  void read(const toml::table& root) {
    for (auto&& [key, node] : root) {
      if (is_list(key.str())) {
        read_entries(key, node);
      } else if (is_section(key.str())) {
        read_section(key, node);
      } else {
        unknown_top_level(key, node);
      }
    }
  }

  std::string where(const toml::source_region& source) const {
    return name_ + ":" + std::to_string(source.begin.line) + ":" +
           std::to_string(source.begin.column);
  }

 private:
  // Of tables: [[user]].
  static bool is_list(std::string_view name) {
    return name == kUser || name == kGroup || name == kListener || name == kZone;
  }

  static bool is_section(std::string_view name) {
    const auto all = options();
    return std::any_of(all.begin(), all.end(),
                       [&](const Option& option) { return option.section() == name; });
  }

  void problem(const toml::source_region& source, std::string message) {
    add_problem(problems_, where(source), std::move(message));
  }

  void unknown_top_level(const toml::key& key, const toml::node& node) {
    if (!node.is_table() && !node.is_array_of_tables()) {
      // A key above the first [section].
      problem(key.source(),
              "option " + quote(key.str()) + " stands outside of any section." +
                  elsewhere(key.str(), "Write it below its section, such as [proxy]"));
      return;
    }
    std::vector<std::string_view> names = {kUser, kGroup, kListener, kZone};
    for (const Option& option : options()) {
      if (std::find(names.begin(), names.end(), option.section()) == names.end()) {
        names.push_back(option.section());
      }
    }
    std::string suggestion = did_you_mean(key.str(), names);
    if (suggestion.empty()) suggestion = " There are: " + join(names);
    problem(key.source(), "unknown section " + quote(key.str()) + "." + suggestion);
  }

  // Suggests the option that has this key in another section, else says `otherwise`.
  static std::string elsewhere(std::string_view key, std::string_view otherwise) {
    std::vector<std::string> found;
    for (const Option& option : options()) {
      if (option.key() == key) found.push_back(quote(option.name));
    }
    if (found.empty()) return " " + std::string(otherwise);
    const std::vector<std::string_view> views(found.begin(), found.end());
    return " Did you mean " + join(views, " or ") + "?";
  }

  void read_section(const toml::key& section, const toml::node& node) {
    const toml::table* table = node.as_table();
    if (!table) {
      problem(section.source(), quote(section.str()) + " is a section: write [" +
                                    std::string(section.str()) + "] on a line of its own");
      return;
    }
    for (auto&& [key, value] : *table) {
      const std::string name = std::string(section.str()) + "." + std::string(key.str());
      const Option* option = find_option(name);
      if (!option) {
        unknown_option(section.str(), key);
        continue;
      }
      Origin& origin = origins_[name];
      origin = {Source::kFile, where(value.source()), true};
      const std::optional<std::string> text = text_of(value, option->type);
      std::optional<Error> error;
      if (text) {
        error = set_option(config_, *option, *text);
      } else {
        error = Error{name + " must be " + std::string(wanted_kind(option->type)) + ", not " +
                      std::string(kind_of(value))};
      }
      if (error) {
        origin.valid = false;
        problem(value.source(), error->message);
      }
    }
  }

  void unknown_option(std::string_view section, const toml::key& key) {
    std::vector<std::string_view> keys;
    for (const Option& option : options()) {
      if (option.section() == section) keys.push_back(option.key());
    }
    std::string suggestion = did_you_mean(key.str(), keys);
    if (suggestion.empty()) {
      suggestion = elsewhere(key.str(), "pikaproxy --help lists all options");
    }
    problem(key.source(), "unknown option " + quote(key.str()) + " in [" + std::string(section) +
                              "]." + suggestion);
  }

  void read_entries(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    const toml::array* entries = node.as_array();
    bool tables = entries != nullptr;
    if (entries) {
      for (const toml::node& entry : *entries) tables = tables && entry.is_table();
    }
    if (!tables) {
      problem(key.source(), "there can be many of " + quote(name) + ": write [[" + name +
                                "]] with two brackets on each side");
      return;
    }
    for (const toml::node& entry : *entries) {
      if (name == kUser) {
        read_user(*entry.as_table());
      } else if (name == kListener) {
        read_listener(*entry.as_table());
      } else if (name == kZone) {
        read_zone(*entry.as_table());
      } else {
        read_group(*entry.as_table());
      }
    }
  }

  void read_user(const toml::table& table) {
    const std::string id = "user[" + std::to_string(config_.users.size()) + "]";
    origins_[id] = {Source::kFile, where(table.source()), true};
    check_keys(table, "[[user]]", kUserKeys);
    UserConfig user;
    if (const auto name = string(table, "[[user]]", "name")) user.name = *name;
    const std::string title = "[[user]] " + quote(user.name);
    read_passwords(table, title, id, user.passwords);
    read_flag(table, title, "admin", user.admin);
    read_flag(table, title, "enabled", user.enabled);
    read_flag(table, title, "read_only", user.read_only);
    if (const auto commands = string(table, title, "commands")) user.commands = *commands;
    if (const auto keys = strings(table, title, "keys")) user.keys = *keys;
    if (const auto channels = strings(table, title, "channels")) user.channels = *channels;
    user.reads = read_policy(table, title);
    config_.users.push_back(std::move(user));
  }

  void read_listener(const toml::table& table) {
    const std::string id = "listener[" + std::to_string(config_.listeners.size()) + "]";
    origins_[id] = {Source::kFile, where(table.source()), true};
    check_keys(table, "[[listener]]", kListenerKeys);
    ListenerConfig listener;
    const auto address = string(table, "[[listener]]", "address");
    if (!address) {
      if (!table.contains("address")) {
        problem(table.source(), "a [[listener]] has no address: add address = \"host:port\"");
      }
      return;
    }
    const std::string title = "[[listener]] " + quote(*address);
    const Result<Address> parsed = parse_address(*address);
    if (!parsed) {
      problem(table.get("address")->source(), title + ": address " + parsed.error());
      return;
    }
    listener.address = *parsed;
    listener.reads = read_policy(table, title);
    config_.listeners.push_back(std::move(listener));
  }

  void read_zone(const toml::table& table) {
    const std::string id = "zone[" + std::to_string(config_.zones.size()) + "]";
    origins_[id] = {Source::kFile, where(table.source()), true};
    check_keys(table, "[[zone]]", kZoneKeys);
    ZoneConfig zone;
    if (const auto name = string(table, "[[zone]]", "name")) zone.name = *name;
    const std::string title = "[[zone]] " + quote(zone.name);
    if (const auto servers = strings(table, title, "servers")) zone.servers = *servers;
    config_.zones.push_back(std::move(zone));
  }

  ReadPolicy read_policy(const toml::table& table, std::string_view title) {
    ReadPolicy policy;
    if (const auto word = string(table, title, "read_from")) {
      const auto names = read_from_names();
      const auto found = std::find(names.begin(), names.end(), *word);
      if (found == names.end()) {
        problem(table.get("read_from")->source(), std::string(title) + ": read_from must be " +
                                                      join(names, " or ") + ", not " +
                                                      quote(*word));
      } else {
        policy.read_from = static_cast<ReadFrom>(found - names.begin());
      }
    }
    if (const auto text = string(table, title, "replica_max_lag")) {
      // The rule of proxy.replica_max_lag.
      Config scratch;
      const Option& option = *find_option("proxy.replica_max_lag");
      if (const auto error = set_option(scratch, option, *text)) {
        problem(table.get("replica_max_lag")->source(),
                std::string(title) + ": " + error->message.substr(option.section().size() + 1));
      } else {
        policy.replica_max_lag = scratch.proxy.replica_max_lag;
      }
    }
    return policy;
  }

  void read_flag(const toml::table& table, std::string_view title, std::string_view key,
                 bool& value) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return;
    if (const auto* flag = node->as_boolean()) {
      value = flag->get();
    } else {
      wrong_kind(*node, title, key, "true or false, without quotes");
    }
  }

  // Nothing if the key is absent or, after saying so, no list of strings.
  std::optional<std::vector<std::string>> strings(const toml::table& table, std::string_view title,
                                                  std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return std::nullopt;
    const toml::array* array = node->as_array();
    std::vector<std::string> texts;
    bool is_right = array != nullptr;
    if (is_right) {
      for (const toml::node& element : *array) {
        const auto* text = element.as_string();
        is_right = is_right && text != nullptr;
        if (is_right) texts.push_back(text->get());
      }
    }
    if (is_right) return texts;
    wrong_kind(*node, title, key, "a list of strings in quotes, such as [\"a\", \"b\"]");
    return std::nullopt;
  }

  // As read_password(), but the password may also be one of several, and only hashes are kept.
  void read_passwords(const toml::table& table, std::string_view title, const std::string& id,
                      std::vector<std::string>& hashes) {
    std::string single;
    read_password(table, title, id, single);
    if (!single.empty()) hashes.push_back(hash_password(single));
    Origin& origin = origins_[id + ".password"];
    const auto texts = strings(table, title, "passwords");
    const auto files = strings(table, title, "password_files");
    if (texts.has_value() != table.contains("passwords") ||
        files.has_value() != table.contains("password_files")) {
      origin.valid = false;
      return;
    }
    int ways = 0;
    for (const std::string_view key :
         {"password", "password_file", "passwords", "password_files"}) {
      ways += table.contains(key) ? 1 : 0;
    }
    const bool has_list = texts || files;
    if (ways > 1 && has_list) {
      problem(table.source(), std::string(title) +
                                  ": give one of password, password_file, passwords and "
                                  "password_files");
      origin.valid = false;
      return;
    }
    for (const std::string& text : texts.value_or(std::vector<std::string>())) {
      if (text.empty()) {
        problem(table.get("passwords")->source(), std::string(title) + ": a password is empty");
        origin.valid = false;
      } else {
        hashes.push_back(hash_password(text));
      }
    }
    for (const std::string& file : files.value_or(std::vector<std::string>())) {
      const Result<std::string> secret = read_secret_file(file);
      if (secret) {
        hashes.push_back(hash_password(*secret));
      } else {
        problem(table.get("password_files")->source(),
                std::string(title) + ": password_files " + secret.error());
        origin.valid = false;
      }
    }
  }

  void read_group(const toml::table& table) {
    const std::string id = "group[" + std::to_string(config_.groups.size()) + "]";
    origins_[id] = {Source::kFile, where(table.source()), true};
    check_keys(table, "[[group]]", kGroupKeys);
    GroupConfig group;
    if (const auto name = string(table, "[[group]]", "name")) group.name = *name;
    const std::string title = "[[group]] " + quote(group.name);
    if (const auto server = string(table, title, "server")) {
      const Result<Address> address = parse_address(*server);
      if (!address) {
        problem(table.get("server")->source(), title + ": server " + address.error());
      } else if (!address->is_unix() && address->port == 0) {
        problem(table.get("server")->source(),
                title + ": server " + quote(*server) + " has port 0, which cannot be connected to");
      } else {
        group.server = *address;
      }
    } else if (!table.contains("server")) {
      problem(table.source(), title + " has no server: add server = \"host:port\"");
    }
    if (const toml::node* replicas = table.get("replicas")) {
      group.replicas = read_replicas(*replicas, title);
    }
    if (const auto user = string(table, title, "user")) group.user = *user;
    read_password(table, title, id, group.password);
    if (const auto name = string(table, title, "ketama_name")) group.ketama_name = *name;
    if (const toml::node* slots = table.get("slots")) {
      origins_[id + ".slots"] = {Source::kFile, where(slots->source()), true};
      group.slots = read_slots(*slots, title);
    }
    if (const toml::node* weight = table.get("weight")) {
      const auto* number = weight->as_integer();
      if (!number || number->get() < 1 || number->get() > kWeightMax) {
        problem(weight->source(),
                title + ": weight must be a whole number from 1 to " + std::to_string(kWeightMax));
      } else {
        group.weight = static_cast<uint32_t>(number->get());
        origins_[id + ".weight"] = {Source::kFile, where(weight->source()), true};
      }
    }
    config_.groups.push_back(std::move(group));
  }

  void check_keys(const toml::table& table, std::string_view title,
                  std::span<const std::string_view> keys) {
    for (auto&& [key, value] : table) {
      if (std::find(keys.begin(), keys.end(), key.str()) != keys.end()) continue;
      std::string suggestion = did_you_mean(key.str(), keys);
      if (suggestion.empty()) suggestion = " There are: " + join(keys);
      problem(key.source(), "unknown option " + quote(key.str()) + " in " + std::string(title) +
                                "." + suggestion);
    }
  }

  void wrong_kind(const toml::node& node, std::string_view title, std::string_view key,
                  std::string_view wanted) {
    problem(node.source(), std::string(title) + ": " + std::string(key) + " must be " +
                               std::string(wanted) + ", not " + std::string(kind_of(node)));
  }

  // Nothing if the key is absent or, after saying so, no string.
  std::optional<std::string> string(const toml::table& table, std::string_view title,
                                    std::string_view key) {
    const toml::node* node = table.get(key);
    if (!node) return std::nullopt;
    if (const auto* text = node->as_string()) return text->get();
    wrong_kind(*node, title, key, "a string in quotes");
    return std::nullopt;
  }

  // Marks "user[0].password" as invalid if there is one that cannot be used.
  void read_password(const toml::table& table, std::string_view title, const std::string& id,
                     std::string& password) {
    const std::optional<std::string> text = string(table, title, "password");
    const std::optional<std::string> file = string(table, title, "password_file");
    const bool readable = text.has_value() == table.contains("password") &&
                          file.has_value() == table.contains("password_file");
    origins_[id + ".password"] = {Source::kFile, where(table.source()), readable};
    if (text) password = *text;
    if (!file || file->empty()) return;
    const toml::source_region& source = table.get("password_file")->source();
    if (!password.empty()) {
      problem(source, std::string(title) + " has a password and a password_file: remove one");
      return;
    }
    Result<std::string> secret = read_secret_file(*file);
    if (secret) {
      password = std::move(*secret);
      return;
    }
    problem(source, std::string(title) + ": password_file " + secret.error());
    origins_[id + ".password"].valid = false;
  }

  std::vector<Address> read_replicas(const toml::node& node, std::string_view title) {
    std::vector<Address> replicas;
    const toml::array* array = node.as_array();
    if (array == nullptr || !array->is_homogeneous(toml::node_type::string)) {
      if (array == nullptr || !array->empty()) {
        wrong_kind(node, title, "replicas", "[\"host:port\", \"host:port\"]");
      }
      return replicas;
    }
    for (const toml::node& element : *array) {
      const std::string& text = element.as_string()->get();
      const Result<Address> address = parse_address(text);
      if (!address) {
        problem(element.source(), std::string(title) + ": replicas " + address.error());
      } else if (!address->is_unix() && address->port == 0) {
        problem(element.source(), std::string(title) + ": replicas " + quote(text) +
                                      " has port 0, which cannot be connected to");
      } else if (std::find(replicas.begin(), replicas.end(), *address) != replicas.end()) {
        problem(element.source(),
                std::string(title) + " lists the replica " + quote(text) + " twice");
      } else {
        replicas.push_back(*address);
      }
    }
    return replicas;
  }

  std::vector<SlotRange> read_slots(const toml::node& node, std::string_view title) {
    std::vector<SlotRange> ranges;
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& element : *array) add_slots(element, title, ranges);
    } else {
      add_slots(node, title, ranges);
    }
    size_t listed = 0;
    for (const SlotRange& range : ranges) listed += range.last - range.first + 1u;
    ranges = merge_slot_ranges(std::move(ranges));
    size_t distinct = 0;
    for (const SlotRange& range : ranges) distinct += range.last - range.first + 1u;
    if (distinct < listed) {
      problem(node.source(), std::string(title) + " lists " + std::to_string(listed - distinct) +
                                 " of its slots more than once: make its ranges disjoint");
    }
    return ranges;
  }

  void add_slots(const toml::node& node, std::string_view title, std::vector<SlotRange>& ranges) {
    std::string text;
    if (const auto* number = node.as_integer()) {
      text = std::to_string(number->get());
    } else if (const auto* range = node.as_string()) {
      text = range->get();
    } else {
      wrong_kind(node, title, "slots", "\"0-341\" or [\"0-99\", 200]");
      return;
    }
    const Result<std::vector<SlotRange>> parsed = parse_slot_ranges(text);
    if (!parsed) {
      problem(node.source(), std::string(title) + ": slots " + parsed.error());
      return;
    }
    ranges.insert(ranges.end(), parsed->begin(), parsed->end());
  }

  const std::string& name_;
  Config& config_;
  Origins& origins_;
  Problems& problems_;
};

}  // namespace

bool read_config_file(std::string_view text, const std::string& name, Config& config,
                      Origins& origins, Problems& problems) {
  Reader reader(name, config, origins, problems);
  try {
    const toml::table root = toml::parse(text, std::string_view(name));
    reader.read(root);
    return true;
  } catch (const toml::parse_error& error) {
    const std::string_view reason = error.description();
    std::string message = "this is not TOML: " + printable(reason);
    // How the parser speaks of a value without its quotes.
    for (const char* kind : {"integer:", "floating-point:", "time:", "date:", "value:"}) {
      if (reason.find(kind) == std::string_view::npos) continue;
      message += " (text, sizes, durations and addresses need quotes: \"64mb\", \"30s\")";
      break;
    }
    add_problem(problems, reader.where(error.source()), std::move(message));
    return false;
  }
}

std::string toml_library_version() {
  return "toml++ " + std::to_string(TOML_LIB_MAJOR) + "." + std::to_string(TOML_LIB_MINOR) + "." +
         std::to_string(TOML_LIB_PATCH);
}

}  // namespace pikaproxy
