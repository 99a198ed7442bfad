#include "dashboard/cluster/codis_import.h"

#include <algorithm>
#include <bitset>
#include <functional>
#include <optional>
#include <set>

#include "common/slot_ranges.h"
#include "common/text.h"

namespace pikaproxy {
namespace {

using nlohmann::json;

// More could not have a slot each.
constexpr size_t kGroupsMax = kSlotCount;
constexpr size_t kServersMax = 64;  // Of one group in a document; a topology has its own limit.
constexpr size_t kNamesShown = 10;  // In one sentence.

// Thrown and caught within this file: a document is read through many small functions, each of
// which can end the whole.
struct Refused {
  Refusal refusal;
};

[[noreturn]] void fail(const std::string& pointer, std::string message) {
  throw Refused{{Refusal::Kind::kImpossible, "invalid_value", std::move(message), pointer}};
}

[[noreturn]] void fail_conflict(const std::string& pointer, std::string code, std::string message) {
  throw Refused{{Refusal::Kind::kConflict, std::move(code), std::move(message), pointer}};
}

// A value of the document, with the way to it. Go writes null for a list without elements and for
// an object that is not there, so null is the same as absent.
struct Node {
  const json* value = nullptr;  // Null: absent.
  std::string pointer;

  Node at(const char* name) const {
    if (value == nullptr) return {nullptr, pointer + "/" + name};
    if (!value->is_object()) fail(pointer, "it must be an object");
    const auto found = value->find(name);
    const bool is_there = found != value->end() && !found->is_null();
    return {is_there ? &*found : nullptr, pointer + "/" + name};
  }

  std::string text() const {
    if (value == nullptr) return {};
    if (!value->is_string()) fail(pointer, "it must be a string");
    return value->get<std::string>();
  }

  int64_t integer(int64_t min, int64_t max) const {
    if (value == nullptr) fail(pointer, "it is missing");
    const bool fits = value->is_number_integer() &&
                      (!value->is_number_unsigned() || value->get<uint64_t>() <= uint64_t{1} << 62);
    if (!fits || value->get<int64_t>() < min || value->get<int64_t>() > max) {
      fail(pointer,
           "it must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
    }
    return value->get<int64_t>();
  }

  bool boolean() const {
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail(pointer, "it must be true or false");
    return value->get<bool>();
  }

  void each(size_t size_max, const std::function<void(const Node&)>& visit) const {
    if (value == nullptr) return;
    if (!value->is_array()) fail(pointer, "it must be a list");
    if (value->size() > size_max) {
      fail(pointer, "it has " + std::to_string(value->size()) + " elements, at most " +
                        std::to_string(size_max) + " are possible");
    }
    for (size_t i = 0; i < value->size(); ++i) {
      visit({&(*value)[i], pointer + "/" + std::to_string(i)});
    }
  }
};

// "a, b, c and 4 more".
std::string list(const std::vector<std::string>& names) {
  std::string out;
  const size_t shown = std::min(names.size(), kNamesShown);
  for (size_t i = 0; i < shown; ++i) out += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > shown) out += " and " + std::to_string(names.size() - shown) + " more";
  return out;
}

class DumpReader {
 public:
  DumpReader(const json& document, std::string username, std::string password)
      : root_{&document, ""}, username_(std::move(username)), password_(std::move(password)) {}

  CodisImport read() {
    if (!document().is_object() ||
        (!document().contains("slots") && !document().contains("group"))) {
      fail("",
           "this is no dump of a codis cluster, which has \"slots\" and \"group\": send what "
           "codis-admin --config-dump writes");
    }
    root_.at("group").each(kGroupsMax, [this](const Node& group) { read_group(group); });
    root_.at("slots").each(kSlotCount, [this](const Node& slot) { read_slot(slot); });
    check_running();
    assign();
    collect_warnings();
    import_.topology.version = 0;
    return std::move(import_);
  }

 private:
  const json& document() const { return *root_.value; }
  void warn(std::string text) { import_.warnings.push_back(std::move(text)); }

  void read_group(const Node& node) {
    const auto id = static_cast<uint32_t>(node.at("id").integer(1, ClusterGroup::kIdMax));
    const std::string title = "group " + std::to_string(id);
    if (!groups_.insert(id).second) fail(node.at("id").pointer, title + " is there twice");
    if (const Node state = node.at("promoting").at("state"); !state.text().empty()) {
      fail_conflict(state.pointer, "promotion_running",
                    "codis promotes a server of " + title +
                        ": wait until that has ended, then make a new dump");
    }
    if (node.at("out_of_sync").boolean()) out_of_sync_.push_back(title);

    GroupSpec spec;
    spec.id = id;
    spec.username = username_;
    spec.password = password_;
    bool has_master = false;
    node.at("servers").each(kServersMax, [&](const Node& server) {
      Address address = read_server(server, title, !has_master);
      if (has_master) {
        spec.replicas.push_back(std::move(address));
      } else {
        spec.master = std::move(address);
        has_master = true;
      }
    });
    if (!has_master) {
      empty_.insert(id);
      return;
    }
    TopologyOutcome created = create_group(import_.topology, spec);
    if (!created) {
      Refusal refusal = created.refusal();
      refusal.kind = Refusal::Kind::kImpossible;
      const bool is_credential = refusal.pointer == "/username" || refusal.pointer == "/password";
      if (!is_credential) refusal.pointer = node.pointer + "/servers";
      throw Refused{std::move(refusal)};
    }
    import_.topology = std::move(*created);
  }

  Address read_server(const Node& node, const std::string& title, bool is_first) {
    const Node name = node.at("server");
    const std::string text = name.text();
    auto address = parse_address(text);
    if (!address) fail(name.pointer, address.error());
    if (address->is_unix() || address->port == 0 || text.starts_with(':')) {
      fail(name.pointer, quote(text) + " is no server's address: it must be host:port");
    }
    if (!servers_.insert(*address).second) {
      fail(name.pointer, address->to_string() + " is there twice: a server is in one group only");
    }
    if (const std::string state = node.at("action").at("state").text();
        !state.empty() && state != "synced") {
      syncing_.push_back(address->to_string());
    }
    if (node.at("replica_group").boolean()) read_from_.push_back(address->to_string());
    // Written by Pika's fork, which may know better than the order of the list.
    if (const json* role = node.at("role").value; role != nullptr && role->is_string() &&
                                                  (*role == "master") != is_first &&
                                                  (*role == "master" || *role == "slave")) {
      warn("Server " + address->to_string() + " of " + title + " is " +
           (is_first ? "first in its group, so its master, but was a replica when codis last asked."
                     : "not first in its group, so no master, but was one when codis last asked.") +
           " Check that group before clients come.");
    }
    return std::move(*address);
  }

  void read_slot(const Node& node) {
    const auto slot = static_cast<SlotId>(node.at("id").integer(0, kSlotCount - 1));
    if (seen_.test(slot)) {
      fail(node.at("id").pointer, "slot " + std::to_string(slot) + " is there twice");
    }
    seen_.set(slot);
    const Node group = node.at("group_id");
    const auto id =
        static_cast<uint32_t>(group.value == nullptr ? 0 : group.integer(0, ClusterGroup::kIdMax));
    const Node state = node.at("action").at("state");
    if (!state.text().empty()) {
      if (running_.none()) running_at_ = state.pointer;
      running_.set(slot);
    }
    if (id == 0) return;
    if (!groups_.contains(id)) {
      fail(group.pointer, "slot " + std::to_string(slot) + " belongs to group " +
                              std::to_string(id) + ", which the dump does not have");
    }
    if (empty_.contains(id)) {
      fail(group.pointer, "slot " + std::to_string(slot) + " belongs to group " +
                              std::to_string(id) + ", which has no server");
    }
    assignments_.push_back({slot, id});
  }

  void check_running() const {
    if (running_.none()) return;
    fail_conflict(running_at_, "migration_running",
                  "codis migrates " + std::to_string(running_.count()) + " slots (" +
                      slots_text(running_) +
                      "), whose keys may be at either of two groups: wait until codis has "
                      "finished, or remove the actions that are still pending, then make a new "
                      "dump");
  }

  static std::string slots_text(const std::bitset<kSlotCount>& slots) {
    std::vector<SlotRange> ranges;
    for (size_t i = 0; i < kSlotCount; ++i) {
      if (slots.test(i)) ranges.push_back({static_cast<SlotId>(i), static_cast<SlotId>(i)});
    }
    return format_slot_ranges(merge_slot_ranges(std::move(ranges)));
  }

  void assign() {
    TopologyOutcome assigned = assign_slots(import_.topology, assignments_, false);
    if (!assigned) throw Refused{assigned.refusal()};
    import_.topology = std::move(*assigned);
  }

  void collect_warnings() {
    if (!empty_.empty()) {
      std::vector<std::string> names;
      for (const uint32_t id : empty_) names.push_back(std::to_string(id));
      warn("Groups without servers were left out: " + list(names) + ".");
    }
    if (const size_t free = kSlotCount - assignments_.size(); free > 0) {
      warn(std::to_string(free) +
           " slots belong to no group: their keys cannot be reached until they are assigned.");
    }
    if (!out_of_sync_.empty()) {
      warn("Marked as out of sync in codis: " + list(out_of_sync_) +
           ". Check the roles of their servers (GET /api/v1/cluster/health) before clients come.");
    }
    if (!syncing_.empty()) {
      warn("Codis had not finished to make replicas of: " + list(syncing_) +
           ". POST .../servers/{addr}/replicate does it again.");
    }
    if (!read_from_.empty()) {
      warn("Codis read from these replicas, here all requests go to the masters: " +
           list(read_from_) + ".");
    }
    const Node sentinels = root_.at("sentinel").at("servers");
    if (sentinels.value != nullptr && sentinels.value->is_array() && !sentinels.value->empty()) {
      warn(
          "Sentinels were not taken over: stop them before slots are moved here, since they would "
          "go on promoting servers without telling anybody here.");
    }
    if (const Node proxies = root_.at("proxy");
        proxies.value != nullptr && proxies.value->is_array() && !proxies.value->empty()) {
      warn("Proxies of codis were not taken over (" + std::to_string(proxies.value->size()) +
           "). They may serve beside this one only while nobody changes slots or masters on "
           "either side.");
    }
  }

  const Node root_;
  const std::string username_;
  const std::string password_;
  CodisImport import_;
  std::set<uint32_t> groups_;  // All that the document has.
  std::set<uint32_t> empty_;   // Those without servers.
  std::set<Address> servers_;
  std::bitset<kSlotCount> seen_;
  std::bitset<kSlotCount> running_;  // With an action.
  std::string running_at_;           // Pointer to the first of these.
  std::vector<SlotAssignment> assignments_;
  std::vector<std::string> out_of_sync_, syncing_, read_from_;
};

}  // namespace

Outcome<CodisImport> read_codis_dump(const json& document, const std::string& username,
                                     const std::string& password) {
  try {
    return DumpReader(document, username, password).read();
  } catch (const Refused& refused) {
    return refused.refusal;
  }
}

TopologyOutcome import_topology(const ClusterTopology& present, const ClusterTopology& imported) {
  ClusterTopology next = imported;
  next.version = present.version;
  if (next == present) return present;
  if (!present.groups.empty()) {
    return Refusal{Refusal::Kind::kConflict, "topology_not_empty",
                   "there are groups already (" + present.describe(present.groups.begin()->first) +
                       "), and an import only fills an empty topology: delete them first, or "
                       "import into a new store"};
  }
  ++next.version;
  return next;
}

}  // namespace pikaproxy
