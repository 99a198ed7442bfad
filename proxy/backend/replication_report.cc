#include "proxy/backend/replication_report.h"

#include <charconv>

#include "common/address.h"

namespace pikaproxy {
namespace {

uint64_t number_of(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The value of "name" in "ip=127.0.0.1,port=7001,state=online"; empty if it is not there.
std::string_view field_of(std::string_view fields, std::string_view name) {
  while (!fields.empty()) {
    const std::string_view field = fields.substr(0, fields.find(','));
    fields.remove_prefix(std::min(field.size() + 1, fields.size()));
    if (field.starts_with(name) && field.substr(name.size()).starts_with('=')) {
      return field.substr(name.size() + 1);
    }
  }
  return {};
}

// "slave0", "slave12", but not "slave_priority".
bool is_replica_line(std::string_view name) {
  return name.starts_with("slave") && name.size() > 5 && name[5] >= '0' && name[5] <= '9';
}

// Pika: "2 51300980".
uint64_t binlog_place(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return 0;
  return (number_of(text.substr(0, space)) << 32) + number_of(text.substr(space + 1));
}

ReplicationReport::Replica redis_replica(std::string_view fields) {
  return {field_of(fields, "state") == "online", number_of(field_of(fields, "offset"))};
}

// "ip=..,port=..,conn_fd=..,lag=(db0:3216)": so many bytes behind, over files. It is not said how
// many bytes the files before the present one have, so who is behind by more than that one is taken
// to have nothing.
ReplicationReport::Replica pika_replica(std::string_view fields, uint64_t master_offset) {
  constexpr std::string_view kBegin = "(db0:";
  const std::string_view lag = field_of(fields, "lag");
  if (!lag.starts_with(kBegin)) return {};
  const std::string_view digits = lag.substr(kBegin.size());
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return {};  // "(db0:not syncing)"
  const uint64_t behind = number_of(digits);
  const uint64_t in_file = master_offset & UINT32_MAX;
  return {true, behind <= in_file ? master_offset - behind : 0};
}

}  // namespace

std::optional<ReplicationReport> parse_replication(std::string_view reply) {
  if (!reply.starts_with('$')) return std::nullopt;
  ReplicationReport report;
  bool has_role = false;
  bool has_offset = false;
  bool is_pika = false;
  std::string host;
  std::vector<std::string_view> replicas;
  while (!reply.empty()) {
    std::string_view line = reply.substr(0, reply.find('\n'));
    reply.remove_prefix(std::min(line.size() + 1, reply.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 1);
    if (name == "role") {
      has_role = true;
      report.is_master = value == "master";
    } else if (name == "master_repl_offset" || (name == "slave_repl_offset" && !is_pika)) {
      // A replica's own place comes first; its "master_repl_offset" is that of its own stream, and
      // the same number.
      if (!has_offset) report.offset = number_of(value);
      has_offset = true;
    } else if (name == "db0" && value.starts_with("binlog_offset=")) {
      is_pika = has_offset = true;
      report.offset = binlog_place(field_of(value, "binlog_offset"));
    } else if (name == "master_link_status") {
      report.link_up = value == "up";
    } else if (name == "master_replid" || name == "ReplicationID") {
      report.replication_id = value;
    } else if (name == "master_host") {
      host = value;
    } else if (name == "master_port") {
      report.master = Address{host, static_cast<uint16_t>(number_of(value)), ""}.to_string();
    } else if (is_replica_line(name)) {
      replicas.push_back(value);
    }
  }
  if (!has_role || !has_offset) return std::nullopt;
  report.applies_later = is_pika;
  // After the loop: Pika tells its own place after those of its replicas.
  for (const std::string_view fields : replicas) {
    report.replicas.push_back(is_pika ? pika_replica(fields, report.offset)
                                      : redis_replica(fields));
  }
  return report;
}

}  // namespace pikaproxy
