#include "dashboard/mover/server_survey.h"

#include <algorithm>
#include <atomic>
#include <bitset>
#include <charconv>
#include <mutex>
#include <random>

#include "common/slot.h"
#include "common/text.h"
#include "dashboard/mover/client_list.h"
#include "dashboard/mover/dump_format.h"
#include "dashboard/mover/key_scan.h"
#include "dashboard/mover/server_link.h"

namespace pikaproxy {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout(2000);
constexpr milliseconds kScanTimeout(10000);
constexpr std::string_view kProbeKey = "pikaproxy-probe";
constexpr std::string_view kSurveyName = "pikaproxy-survey";
// A delete that comes late would delete what was moved there meanwhile, so purges that were given
// up are ended before the next look at a server.
constexpr std::string_view kPurgeName = "pikaproxy-purge:";

std::string purge_name() {
  static const uint64_t instance = std::random_device{}();
  static std::atomic<uint64_t> number{0};
  return std::string(kPurgeName) + std::to_string(instance) + "-" + std::to_string(++number);
}

// Purges of this process that run just now.
class RunningPurges {
 public:
  void add(const std::string& name) {
    const std::lock_guard lock(mutex_);
    names_.push_back(name);
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    std::erase(names_, name);
  }
  bool has(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> names_;
};

RunningPurges& running_purges() {
  static RunningPurges purges;
  return purges;
}

Result<bool> end_lost_purges(ServerLink& link) {
  const Reply list = link.call({"CLIENT", "LIST"}, kScanTimeout);
  if (!list.is_bulk()) {
    return Error{link.is_broken()
                     ? link.error()
                     : "Server " + link.server().address.to_string() + " refuses CLIENT LIST (" +
                           printable(list.text) + "): allow it to its user."};
  }
  for (const ClientListEntry& entry : parse_client_list(list.text)) {
    if (!entry.name.starts_with(kPurgeName) || running_purges().has(entry.name)) continue;
    const Reply killed =
        entry.id != 0 ? link.call({"CLIENT", "KILL", "ID", std::to_string(entry.id)}, kScanTimeout)
                      : link.call({"CLIENT", "KILL", entry.addr}, kScanTimeout);
    if (link.is_broken()) return Error{link.error()};
    if (killed.is_error() && entry.id != 0) {
      return Error{"Server " + link.server().address.to_string() + " refuses CLIENT KILL (" +
                   printable(killed.text) + "): allow it to its user."};
    }
  }
  return true;
}

// Whether the server has a command and allows it to us. `args` are as many as it wants, since the
// permission is looked at after their number, but none that it could work with.
bool has_command(ServerLink& link, const Args& args, milliseconds timeout) {
  const Reply reply = link.call(args, timeout);
  return !link.is_broken() && !reply.is_unknown_command() && !reply.text.starts_with("NOPERM");
}

std::string host_port(std::string_view host, std::string_view port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  return (is_v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::string(port);
}

// A field of "ip=10.0.0.1,port=6379,state=online".
std::string_view field_of(std::string_view line, std::string_view name) {
  while (!line.empty()) {
    const size_t comma = line.find(',');
    const std::string_view field = line.substr(0, comma);
    line = comma == std::string_view::npos ? std::string_view() : line.substr(comma + 1);
    if (field.size() > name.size() && field.starts_with(name) && field[name.size()] == '=') {
      return field.substr(name.size() + 1);
    }
  }
  return {};
}

std::string_view first_word(std::string_view text) {
  return text.substr(0, text.find(' '));
}

// Calls `with` with keys of the slots, step by step. `slots` empty: all.
template <typename WithKeys>
Result<bool> each_key(ServerLink& link, WithKeys with) {
  const auto info = ServerInfo::ask(link, kScanTimeout);
  if (!info) return Error{info.error()};
  const auto databases = list_databases(link, info->is_pika(), kScanTimeout);
  if (!databases) return Error{databases.error()};
  std::vector<std::string> keys;
  std::string error;
  for (const DatabaseSize& database : *databases) {
    if (!link.select(database.db, kScanTimeout)) return Error{link.error()};
    std::string cursor = "0";
    do {
      if (!scan_step(link, cursor, keys, error, kScanTimeout)) return Error{error};
      std::erase_if(keys,
                    [&](const std::string& key) { return is_internal_key(key, info->is_pika()); });
      const Result<bool> went_on = with(keys);
      if (!went_on) return went_on;
    } while (cursor != "0");
  }
  return true;
}

std::bitset<kSlotCount> set_of(const std::vector<SlotId>& slots) {
  std::bitset<kSlotCount> set;
  for (const SlotId slot : slots) set.set(slot);
  return set;
}

void read_replication(const ServerInfo& info, ServerFacts& facts) {
  facts.is_master = info.get("role") != "slave";
  if (!facts.is_master) {
    facts.master_addr = host_port(info.get("master_host"), info.get("master_port"));
    facts.link_up = info.get("master_link_status") == "up";
    facts.replication_offset = info.number("slave_repl_offset");
    const uint64_t master_offset = info.number("master_repl_offset");
    // A replica's master_repl_offset is what it knows of its master.
    if (master_offset > facts.replication_offset) {
      facts.lag_bytes = master_offset - facts.replication_offset;
    }
  } else {
    facts.replication_offset = info.number("master_repl_offset");
    for (const auto& [name, value] : info.lines()) {
      if (!name.starts_with("slave") || name.size() < 6 || name[5] < '0' || name[5] > '9') continue;
      facts.replicas.push_back(host_port(field_of(value, "ip"), field_of(value, "port")));
    }
  }
  facts.replication_id = info.get("master_replid");
  // Pika: db0:binlog_offset=2 51300980,safety_purge=none
  const std::string_view binlog = field_of(info.get("db0"), "binlog_offset");
  const size_t space = binlog.find(' ');
  if (space == std::string_view::npos) return;
  uint64_t parts[2] = {};
  const std::string_view texts[2] = {binlog.substr(0, space), binlog.substr(space + 1)};
  for (int i = 0; i < 2; ++i) {
    std::from_chars(texts[i].data(), texts[i].data() + texts[i].size(), parts[i]);
  }
  // File number and offset in it, files of at most 100 MiB: orders as they do.
  facts.replication_offset = (parts[0] << 32) + parts[1];
}

}  // namespace

std::string_view mover_name(MoverKind kind) noexcept {
  switch (kind) {
    case MoverKind::kMigrate:
      return "migrate";
    case MoverKind::kSlots:
      return "slots";
    case MoverKind::kCopy:
      break;
  }
  return "copy";
}

Result<ServerFacts> ask_server_again(ServerLink& link, milliseconds timeout) {
  const auto info = ServerInfo::ask(link, timeout);
  if (!info) return Error{info.error()};
  ServerFacts facts;
  const bool is_pika = info->is_pika();
  if (is_pika) {
    facts.engine = "pika";
    facts.version = info->get("pika_version");
  } else if (info->get("server_name") == "valkey") {
    facts.engine = "valkey";
    facts.version = info->get("valkey_version");
  } else if (!info->get("redis_version").empty()) {
    facts.engine = "redis";
    facts.version = info->get("redis_version");
  } else {
    facts.engine = "unknown";
  }
  facts.run_id = info->get("run_id");
  read_replication(*info, facts);
  facts.memory_bytes = info->number("used_memory");
  facts.memory_max_bytes = info->number("maxmemory");
  facts.memory_policy = info->get("maxmemory_policy");
  facts.ops_per_second = info->number("instantaneous_ops_per_sec");
  facts.clients = info->number("connected_clients");
  facts.uptime_seconds = info->number("uptime_in_seconds");
  facts.loading = info->number("loading") != 0;
  if (is_pika) {
    // It counts keys only when told to, and then keeps the number: "db0 Strings_keys=3, ...".
    const Reply size = link.call({"DBSIZE"}, timeout);
    if (size.kind == Reply::Kind::kInteger) facts.keys = static_cast<uint64_t>(size.integer);
  } else {
    for (const auto& [name, value] : info->lines()) {
      if (!name.starts_with("db") || !value.starts_with("keys=")) continue;
      const std::string_view keys = field_of(value, "keys");
      uint64_t count = 0;
      std::from_chars(keys.data(), keys.data() + keys.size(), count);
      facts.keys += count;
    }
  }
  if (link.is_broken()) return Error{link.error()};
  return facts;
}

Result<ServerFacts> ask_server(const ServerAccess& server, milliseconds timeout) {
  auto link = ServerLink::connect(server, std::string(kSurveyName), timeout);
  if (!link) return Error{link.error()};
  auto asked = ask_server_again(**link, timeout);
  if (!asked) return asked;
  ServerFacts& facts = *asked;
  // Pika dies of some slot commands that lack their arguments; it does not get those.
  facts.has_migrate = has_command(**link, {"MIGRATE", "", "x", "", "x", "x"}, timeout);
  facts.has_dump_restore =
      has_command(**link, {"DUMP", std::string(kProbeKey)}, timeout) &&
      has_command(**link, {"RESTORE", std::string(kProbeKey), "0", ""}, timeout);
  // codis-server has the receiving side, too; Pika's own variant of these commands loses data.
  facts.has_slots_commands = has_command(**link, {"SLOTSRESTORE"}, timeout) &&
                             has_command(**link, {"SLOTSMGRTTAGONE"}, timeout);
  if (facts.has_slots_commands && facts.engine == "redis") facts.engine = "codis-server";
  facts.asks_password = !server.password.empty();
  if (facts.has_migrate) {
    // Options come first, so an older server stops there; a newer one at the numbers.
    const Reply reply =
        (*link)->call({"MIGRATE", "", "x", "", "x", "x", "AUTH", "x", "KEYS", "x"}, timeout);
    facts.has_migrate_auth = reply.text.find("syntax") == std::string::npos;
  }
  if (facts.has_dump_restore) facts.dump_versions = dump_versions(**link, timeout);
  if ((*link)->is_broken()) return Error{(*link)->error()};
  return asked;
}

namespace {

bool reads_dumps_of(const ServerFacts& target, const ServerFacts& source) {
  // What could not be told is tried, and the job says what was refused.
  if (source.dump_versions.empty() || target.dump_versions.empty()) return true;
  return std::binary_search(target.dump_versions.begin(), target.dump_versions.end(),
                            source.dump_versions.back());
}

bool can_migrate(const ServerFacts& source, const ServerFacts& target) {
  return source.has_migrate && target.has_dump_restore &&
         (source.has_migrate_auth || !target.asks_password) && reads_dumps_of(target, source);
}

// codis-server logs in at the target with its own password, which may be another.
bool can_move_slots(const ServerFacts& source, const ServerFacts& target) {
  return source.has_slots_commands && target.has_slots_commands && !source.asks_password &&
         !target.asks_password;
}

}  // namespace

Result<MoverKind> choose_mover(const ServerFacts& source, const ServerFacts& target) {
  if (!source.is_master) {
    return Error{"The source is a replica of " + source.master_addr +
                 ", and keys move only between masters: make it a master, or name its master."};
  }
  if (!target.is_master) {
    return Error{"The target is a replica of " + target.master_addr +
                 ", and keys move only between masters: make it a master, or name its master."};
  }
  if (can_migrate(source, target)) return MoverKind::kMigrate;
  if (can_move_slots(source, target)) return MoverKind::kSlots;
  return MoverKind::kCopy;
}

Result<std::map<SlotId, SlotCount>> count_keys(const ServerAccess& server,
                                               const std::vector<SlotId>& slots) {
  auto link = ServerLink::connect(server, std::string(kSurveyName), kConnectTimeout);
  if (!link) return Error{link.error()};
  const Result<bool> ended = end_lost_purges(**link);
  if (!ended) return Error{ended.error()};
  const auto wanted = set_of(slots);
  std::map<SlotId, SlotCount> counts;
  const Result<bool> done =
      each_key(**link, [&](const std::vector<std::string>& keys) -> Result<bool> {
        for (const std::string& key : keys) {
          const SlotId slot = slot_of(key);
          if (wanted.test(slot)) ++counts[slot].keys;
        }
        return true;
      });
  if (!done) return Error{done.error()};
  return counts;
}

Result<uint64_t> purge_keys(const ServerAccess& server, const std::vector<SlotId>& slots) {
  struct Registered {
    std::string name = purge_name();
    Registered() { running_purges().add(name); }
    ~Registered() { running_purges().remove(name); }
  };
  const Registered registered;
  auto link = ServerLink::connect(server, registered.name, kConnectTimeout);
  if (!link) return Error{link.error()};
  const Result<bool> ended = end_lost_purges(**link);
  if (!ended) return Error{ended.error()};
  const auto wanted = set_of(slots);
  uint64_t purged = 0;
  const auto info = ServerInfo::ask(**link, kScanTimeout);
  if (!info) return Error{info.error()};
  // Pika's UNLINK leaves values in its cache.
  std::string remover = info->is_pika() ? "DEL" : "UNLINK";
  std::vector<Reply> replies;
  const Result<bool> done =
      each_key(**link, [&](const std::vector<std::string>& keys) -> Result<bool> {
        std::vector<std::string> doomed;
        for (const std::string& key : keys) {
          if (wanted.test(slot_of(key))) doomed.push_back(key);
        }
        if (doomed.empty()) return true;
        for (int attempt = 0; attempt < 2; ++attempt) {
          (*link)->begin(1 + doomed.size());
          (*link)->arg(remover);
          for (const std::string& key : doomed) (*link)->arg(key);
          if (!(*link)->exchange(replies, kScanTimeout)) return Error{(*link)->error()};
          if (replies[0].kind == Reply::Kind::kInteger) {
            purged += static_cast<uint64_t>(replies[0].integer);
            return true;
          }
          if (!replies[0].is_unknown_command()) break;
          remover = "DEL";
        }
        return Error{"Server " + server.address.to_string() + " refuses to delete keys (" +
                     printable(replies[0].text) + "): it must be a master and allow our user " +
                     remover + "."};
      });
  if (!done) return Error{done.error()};
  return purged;
}

Result<bool> replicate(const ServerAccess& server, const Address* master, milliseconds timeout) {
  auto link = ServerLink::connect(server, std::string(kSurveyName), timeout);
  if (!link) return Error{link.error()};
  if (master && master->is_unix()) {
    return Error{"A server cannot replicate from " + master->to_string() +
                 ": give its master a TCP address."};
  }
  if (master && !server.password.empty()) {
    // Servers of a group have one password, and a replica needs its master's. One that refuses to
    // be configured has it in its file, or its link stays down, which health tells.
    (*link)->call({"CONFIG", "SET", "masterauth", server.password}, timeout);
    if (!server.user.empty()) {
      (*link)->call({"CONFIG", "SET", "masteruser", server.user}, timeout);
    }
  }
  Args args = {"REPLICAOF", "NO", "ONE"};
  if (master) args = {"REPLICAOF", master->host, std::to_string(master->port)};
  Reply reply = (*link)->call(args, timeout);
  if (reply.is_unknown_command()) {
    args[0] = "SLAVEOF";
    reply = (*link)->call(args, timeout);
  }
  if ((*link)->is_broken()) return Error{(*link)->error()};
  if (reply.kind == Reply::Kind::kStatus && first_word(reply.text) == "OK") return true;
  // Pika's: it says so for as long as it counts replicas of its own.
  const bool has_replicas = reply.text.find("already master of others") != std::string::npos;
  return Error{"Server " + server.address.to_string() + " refuses " + args[0] + " (" +
               printable(reply.text) + "): " +
               (has_replicas ? "its own replicas must have left it, which it notices some seconds "
                               "late; try again then."
                             : "allow it to its user.")};
}

}  // namespace pikaproxy
