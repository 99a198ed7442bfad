#include "common/config_check.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "common/slot.h"
#include "common/slot_ranges.h"
#include "common/text.h"
#include "common/units.h"
#include "common/user_rules.h"

namespace pikaproxy {
namespace {

// More groups than slots cannot all be of use.
constexpr size_t kGroupsMax = kSlotCount;
constexpr size_t kUsersMax = 10'000;
// The numbers of listeners fit into a byte.
constexpr size_t kListenersMax = 250;
constexpr size_t kNameMax = 64;

bool is_loopback(const Address& address) {
  return address.is_unix() || address.host == "localhost" || address.host == "::1" ||
         address.host.starts_with("127.");
}

bool is_group_name(std::string_view name) {
  if (name.empty() || name.size() > kNameMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

class Check {
 public:
  Check(const Config& config, const Origins& origins, Problems& problems,
        std::vector<std::string>& warnings)
      : config_(config), origins_(origins), problems_(problems), warnings_(warnings) {}

  void run() {
    listeners();
    dashboard();
    limits();
    ketama_options();
    users();
    zones();
    groups();
    announce();
  }

 private:
  std::string where(std::string_view name) const {
    const auto origin = origins_.find(name);
    return origin == origins_.end() ? std::string() : origin->second.where;
  }

  bool valid(std::string_view name) const {
    const auto origin = origins_.find(name);
    return origin == origins_.end() || origin->second.valid;
  }

  void problem(std::string_view name, std::string message) {
    add_problem(problems_, where(name), std::move(message));
  }

  void listeners() {
    std::vector<Address> listen = config_.proxy.listen;
    if (listen.empty()) {
      problem("proxy.listen",
              "proxy.listen is empty: write at least one address, such as \"127.0.0.1:19000\"");
    }
    std::set<Address> seen;
    // Port 0 is a new free port each time.
    const auto is_new = [&seen](const Address& address) {
      const bool any_port = !address.is_unix() && address.port == 0;
      return any_port || seen.insert(address).second;
    };
    for (const Address& address : listen) {
      if (!is_new(address)) {
        problem("proxy.listen", "proxy.listen has " + quote(address.to_string()) + " twice");
      }
    }
    if (config_.listeners.size() > kListenersMax) {
      problem("listener[0]", "there are more than " + std::to_string(kListenersMax) + " listeners");
    }
    for (size_t i = 0; i < config_.listeners.size(); ++i) {
      const Address& address = config_.listeners[i].address;
      if (!is_new(address)) {
        problem("listener[" + std::to_string(i) + "]",
                "[[listener]] " + quote(address.to_string()) +
                    " is listened on already: each address once, in proxy.listen or here");
      }
      listen.push_back(address);
      check_nearest(config_.listeners[i].reads, "[[listener]] " + quote(address.to_string()));
    }
    if (config_.admin.enabled && valid("admin.listen") && seen.contains(config_.admin.listen)) {
      const bool admin_given = origins_.contains("admin.listen");
      problem(admin_given ? "admin.listen" : "proxy.listen",
              "admin.listen and proxy.listen are both " + quote(config_.admin.listen.to_string()) +
                  ": give one of them another port");
    }
    if (config_.dashboard.enabled && config_.admin.enabled && valid("admin.listen") &&
        !config_.dashboard.allow_plain_http && config_.admin.tls_cert.empty() &&
        !is_loopback(config_.admin.listen)) {
      problem("admin.listen",
              "admin.listen is reachable from other machines, and the dashboard's passwords would "
              "cross the network as they are: set admin.tls_cert and admin.tls_key, or listen on "
              "127.0.0.1 and put a proxy with TLS in front, or set dashboard.enabled = false for "
              "metrics alone, or accept it with "
              "dashboard.allow_plain_http = true");
    }
    if (config_.admin.tls_cert.empty() != config_.admin.tls_key.empty()) {
      const bool has_cert = !config_.admin.tls_cert.empty();
      problem(has_cert ? "admin.tls_cert" : "admin.tls_key",
              std::string(has_cert ? "admin.tls_cert" : "admin.tls_key") + " is given without " +
                  (has_cert ? "admin.tls_key" : "admin.tls_cert") +
                  ": HTTPS needs the certificate and its key");
    }
    const bool open = std::any_of(listen.begin(), listen.end(),
                                  [](const Address& address) { return !is_loopback(address); });
    if (open && config_.auth.password.empty() && config_.users.empty()) {
      warnings_.push_back(
          "proxy.listen is reachable from other machines and no password is set: anybody there can "
          "read and delete everything; set auth.password or listen on 127.0.0.1");
    }
  }

  void dashboard() {
    if (config_.dashboard.enabled && config_.dashboard.data_dir.empty()) {
      problem("dashboard.data_dir",
              "dashboard.data_dir is empty: name a directory, such as \"pikaproxy-data\"");
    }
    ordered<Microseconds>("dashboard.session_timeout", config_.dashboard.session_timeout,
                          "dashboard.session_max", config_.dashboard.session_max, format_duration);
  }

  // `smaller` <= `larger`, or a problem at whichever of the two was given.
  template <typename T>
  void ordered(std::string_view smaller, T small, std::string_view larger, T large,
               std::string (*format)(T)) {
    if (small <= large || !valid(smaller) || !valid(larger)) return;
    problem(origins_.contains(larger) ? larger : smaller,
            std::string(smaller) + " (" + format(small) + ") must not be more than " +
                std::string(larger) + " (" + format(large) + ")");
  }

  void limits() {
    const ProxyConfig& proxy = config_.proxy;
    ordered("proxy.bulk_max", proxy.bulk_max, "proxy.request_max", proxy.request_max, format_size);
    ordered("proxy.request_max", proxy.request_max, "proxy.memory_max", proxy.memory_max,
            format_size);
    ordered<Microseconds>("backend.reconnect_min", config_.backend.reconnect_min,
                          "backend.reconnect_max", config_.backend.reconnect_max, format_duration);
  }

  void ketama_options() {
    const std::string& tag = config_.ketama.hash_tag;
    if (!tag.empty() && tag.size() != 2) {
      problem("ketama.hash_tag",
              "ketama.hash_tag must be two characters, such as \"{}\", or empty, "
              "not " +
                  quote(tag));
    }
  }

  void users() {
    if (config_.users.size() > kUsersMax) {
      problem("user[0]", "there are more than " + std::to_string(kUsersMax) + " users");
      return;
    }
    std::set<std::string_view> names;
    for (size_t i = 0; i < config_.users.size(); ++i) {
      const UserConfig& user = config_.users[i];
      const std::string id = "user[" + std::to_string(i) + "]";
      const std::string title = "[[user]] " + quote(user.name);
      if (user.name.empty()) {
        problem(id, "a [[user]] has no name: add name = \"...\"");
      } else if (!is_redis_user_name(user.name)) {
        problem(id, title + ": a name is 1 to 64 bytes without spaces or control characters");
      } else if (!names.insert(user.name).second) {
        problem(id, title + " is there twice: names must differ");
      }
      const bool is_default = user.name == "default";
      if (user.passwords.empty() && user.enabled && !is_default && valid(id + ".password")) {
        problem(id, title + " has no password: add password or password_file");
      }
      if (is_default && !user.passwords.empty() && !config_.auth.password.empty()) {
        problem(id, title + " has a password here and in auth.password: remove one of them");
      }
      if (user.passwords.size() > kUserPasswordsMax) {
        problem(id, title + " has more than " + std::to_string(kUserPasswordsMax) + " passwords");
      }
      for (const std::string& wrong : check_user_rules(user)) problem(id, title + ": " + wrong);
      check_nearest(user.reads, title);
    }
  }

  void check_nearest(const ReadPolicy& policy, const std::string& title) {
    if (policy.read_from == ReadFrom::kNearest && config_.proxy.zone.empty()) {
      warnings_.push_back(title +
                          ": read_from = \"nearest\" reads from masters, since proxy.zone does not "
                          "say where this proxy is");
    }
  }

  void zones() {
    if (config_.proxy.read_from == ReadFrom::kNearest)
      check_nearest({ReadFrom::kNearest, {}}, "[proxy]");
    std::set<std::string_view> names;
    for (size_t i = 0; i < config_.zones.size(); ++i) {
      const ZoneConfig& zone = config_.zones[i];
      const std::string id = "zone[" + std::to_string(i) + "]";
      if (zone.name.empty()) {
        problem(id, "a [[zone]] has no name: add name = \"...\"");
      } else if (!names.insert(zone.name).second) {
        problem(id, "[[zone]] " + quote(zone.name) + " is there twice: names must differ");
      }
      if (zone.servers.empty()) {
        problem(id, "[[zone]] " + quote(zone.name) + " has no servers: add servers = [\"10.1.*\"]");
      }
    }
    if (!config_.proxy.zone.empty() && !names.contains(config_.proxy.zone)) {
      problem("proxy.zone", "proxy.zone is " + quote(config_.proxy.zone) +
                                ", but there is no [[zone]] of that name");
    }
  }

  void announce() {
    const std::string& text = config_.proxy.announce;
    if (text.empty()) return;
    const Result<Address> address = parse_address(text);
    if (!address || address->is_unix() || address->port == 0) {
      problem("proxy.announce", "proxy.announce must be host:port, not " + quote(text));
    } else if (!config_.proxy.cluster_mode) {
      warnings_.push_back("proxy.announce does nothing without proxy.cluster_mode = true");
    }
  }

  void groups() {
    const std::vector<GroupConfig>& groups = config_.groups;
    if (groups.size() > kGroupsMax) {
      problem("group[0]", "there are " + std::to_string(groups.size()) + " groups, more than the " +
                              std::to_string(kGroupsMax) + " there can be");
      return;
    }
    std::set<std::string_view> names;
    std::map<Address, std::string_view> servers;
    for (size_t i = 0; i < groups.size(); ++i) {
      const GroupConfig& group = groups[i];
      const std::string id = "group[" + std::to_string(i) + "]";
      if (group.name.empty()) {
        problem(id, "a [[group]] has no name: add name = \"...\"");
      } else if (!is_group_name(group.name)) {
        problem(id, "[[group]] " + quote(group.name) +
                        ": a name is 1 to 64 letters, digits, \"_\", \".\" and \"-\"");
      } else if (!names.insert(group.name).second) {
        problem(id, "[[group]] " + quote(group.name) + " is there twice: names must differ");
      }
      if (!group.user.empty() && group.password.empty() && valid(id + ".password")) {
        problem(id, "[[group]] " + quote(group.name) +
                        " has a user and no password: add password or password_file");
      }
      if (std::find(group.replicas.begin(), group.replicas.end(), group.server) !=
          group.replicas.end()) {
        problem(id, "[[group]] " + quote(group.name) + " has its server " +
                        quote(group.server.to_string()) + " among its replicas, too");
      }
      const auto [other, is_new] = servers.emplace(group.server, group.name);
      if (!is_new && group.server != Address()) {
        warnings_.push_back("groups " + quote(other->second) + " and " + quote(group.name) +
                            " have the same server, " + quote(group.server.to_string()));
      }
    }
    if (!valid("proxy.router")) return;
    if (config_.proxy.router == RouterKind::kSlot) {
      slots();
    } else {
      ring();
    }
  }

  // Every slot in one group at most.
  void slots() {
    const std::vector<GroupConfig>& groups = config_.groups;
    constexpr size_t kNobody = kGroupsMax;
    std::array<size_t, kSlotCount> owner;
    owner.fill(kNobody);
    std::map<std::pair<size_t, size_t>, std::vector<SlotRange>> shared;
    std::vector<SlotRange> assigned;
    for (size_t i = 0; i < groups.size(); ++i) {
      const GroupConfig& group = groups[i];
      for (const SlotRange& range : group.slots) {
        assigned.push_back(range);
        for (unsigned slot = range.first; slot <= range.last; ++slot) {
          const auto id = static_cast<uint16_t>(slot);
          if (owner[slot] == kNobody) {
            owner[slot] = i;
          } else if (owner[slot] != i) {
            shared[{owner[slot], i}].push_back({id, id});
          }
        }
      }
      if (group.slots.empty()) {
        warnings_.push_back("[[group]] " + quote(group.name) +
                            " has no slots and gets no requests");
      }
      if (group.weight != 1 || !group.ketama_name.empty()) {
        warnings_.push_back("[[group]] " + quote(group.name) +
                            ": weight and ketama_name do nothing with proxy.router = \"slot\"");
      }
    }
    for (const auto& [pair, ranges] : shared) {
      const std::string id = "group[" + std::to_string(pair.second) + "].slots";
      problem(id, "groups " + quote(groups[pair.first].name) + " and " +
                      quote(groups[pair.second].name) + " both have slots " +
                      format_slot_ranges(merge_slot_ranges(ranges)) +
                      ": a slot belongs to one group");
    }
    if (groups.empty()) {
      if (config_.dashboard.enabled && config_.admin.enabled) return;  // It has the groups.
      warnings_.push_back(
          "there is no [[group]]: every request for a key is answered with -CLUSTERDOWN");
      return;
    }
    const std::vector<SlotRange> missing = missing_slots(merge_slot_ranges(std::move(assigned)));
    if (!missing.empty()) {
      warnings_.push_back("slots " + format_slot_ranges(missing) +
                          " belong to no group: requests for their keys are answered with "
                          "-CLUSTERDOWN");
    }
  }

  // Names decide places on the ring: two equal ones would share all of them.
  void ring() {
    const std::vector<GroupConfig>& groups = config_.groups;
    if (groups.empty()) {
      problem("proxy.router", "proxy.router = \"ketama\" needs at least one [[group]]");
    }
    std::map<std::string, std::string_view> names;
    for (size_t i = 0; i < groups.size(); ++i) {
      const GroupConfig& group = groups[i];
      const std::string id = "group[" + std::to_string(i) + "]";
      const std::string title = "[[group]] " + quote(group.name);
      if (!group.slots.empty() || origins_.contains(id + ".slots")) {
        problem(id + ".slots", title +
                                   " has slots, which proxy.router = \"ketama\" does not use: "
                                   "remove them, or set proxy.router = \"slot\"");
      }
      if (group.weight < 1) problem(id, title + ": weight must be at least 1");
      if (group.ketama_name.empty() && group.server == Address()) continue;
      const std::string name =
          group.ketama_name.empty() ? group.server.to_string() : group.ketama_name;
      const auto [other, is_new] = names.emplace(name, group.name);
      if (!is_new) {
        problem(id, "groups " + quote(other->second) + " and " + quote(group.name) + " are both " +
                        quote(name) + " on the ring: give each its own ketama_name");
      }
    }
  }

  const Config& config_;
  const Origins& origins_;
  Problems& problems_;
  std::vector<std::string>& warnings_;
};

}  // namespace

void check_config(const Config& config, const Origins& origins, Problems& problems,
                  std::vector<std::string>& warnings) {
  Check(config, origins, problems, warnings).run();
}

}  // namespace pikaproxy
