#include "common/import_twemproxy.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <string_view>
#include <vector>

#include "common/text.h"
#include "common/twemproxy_config.h"

namespace pikaproxy {
namespace {

constexpr size_t kCommentWidth = 98;
// Limits of our options (common/option_table.cc): a larger value of twemproxy's becomes this.
constexpr uint32_t kBacklogMax = 65'535;
constexpr uint32_t kConnectTimeoutMaxMs = 3'600'000;
constexpr uint32_t kRequestTimeoutMaxMs = 86'400'000;
constexpr uint32_t kDatabasesDefault = 16;
constexpr uint32_t kDatabasesMax = 10'000;
constexpr size_t kGroupNameMax = 64;

// One paragraph as comment lines; `bullet` begins the first of them.
std::string comment(std::string_view text, std::string_view bullet = "") {
  std::string out;
  std::string line = "# " + std::string(bullet);
  const std::string indent = "# " + std::string(bullet.size(), ' ');
  bool is_empty = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (!is_empty && line.size() + 1 + end > kCommentWidth) {
      out += line + "\n";
      line = indent;
      is_empty = true;
    }
    if (!is_empty) line += ' ';
    line += text.substr(0, end);
    is_empty = false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + line + "\n";
}

// What the reader of the file has to know, most important first.
std::vector<std::string> notes_on(const TwemproxyPool& pool) {
  std::vector<std::string> notes;
  if (pool.redis_db.value_or(0) > 0) {
    const std::string db = std::to_string(*pool.redis_db);
    notes.push_back("redis_db: " + db +
                    ". twemproxy selected this database for its clients; here " +
                    "they choose themselves and begin in 0. Let them send SELECT " + db +
                    " first (most clients have an option for it), or they will not find their "
                    "data.");
    if (*pool.redis_db >= kDatabasesMax) {
      notes.push_back("Database " + db + " is beyond what proxy.databases can reach.");
    }
  }
  if (pool.auto_eject_hosts.value_or(false)) {
    notes.push_back(
        "auto_eject_hosts: pikaproxy never takes a server off the ring, because its keys would "
        "then be looked for on other servers, which do not have them, and what is written there "
        "would be lost again when the server is back. Requests to a server that is down get an "
        "error; all others go on.");
  }
  if (pool.server_retry_timeout_ms || pool.server_failure_limit) {
    notes.push_back(
        "server_retry_timeout, server_failure_limit: only about ejecting. How often a server that "
        "is down is tried: backend.reconnect_min, backend.reconnect_max.");
  }
  if (pool.timeout_ms.value_or(0) == 0) {
    notes.push_back(
        "timeout: none, so twemproxy waited for ever. Here a server that owes a reply for "
        "backend.request_timeout (5 seconds if not set) loses its connection: raise it if scripts "
        "or large commands take longer.");
  } else if (*pool.timeout_ms > kConnectTimeoutMaxMs) {
    notes.push_back("timeout: cut to what is possible, one hour to connect and one day to answer.");
  }
  if (pool.server_connections.value_or(1) > 1) {
    notes.push_back(
        "server_connections: each worker thread has one connection to a server, which keeps the "
        "requests for a key in order. More threads: proxy.workers.");
  }
  if (pool.client_connections) {
    notes.push_back(
        "client_connections: twemproxy reads it and sets no limit. Here proxy.max_clients does "
        "(10000 if not set).");
  }
  if (pool.backlog && (*pool.backlog == 0 || *pool.backlog > kBacklogMax)) {
    notes.push_back("backlog: taken as the nearest that is possible, 1 to 65535.");
  }
  if (pool.tcpkeepalive.value_or(false)) {
    notes.push_back("tcpkeepalive: on here unless proxy.tcp_keepalive = \"0\".");
  }
  if (pool.preconnect) {
    notes.push_back("preconnect: has no counterpart.");
  }
  if (pool.reuseport) {
    notes.push_back("reuseport: has no counterpart; proxy.workers threads share the listener.");
  }
  if (pool.distribution == "random") {
    notes.push_back(
        "distribution: random asks any server for any key. Nothing that was written can be relied "
        "on to be found again, with twemproxy or with pikaproxy.");
  }
  return notes;
}

// A group's name has only letters, digits, "_", "." and "-". Taken from the server's, and unique.
std::string group_name(const TwemproxyServer& server, std::set<std::string>& taken) {
  std::string base = server.is_named ? server.name : server.address.to_string();
  for (char& c : base) {
    const bool is_allowed = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                            (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!is_allowed) c = '-';
  }
  base.resize(std::min(base.size(), kGroupNameMax));
  std::string name = base;
  for (int number = 2; !taken.insert(name).second; ++number) {
    const std::string suffix = "-" + std::to_string(number);
    name = base.substr(0, kGroupNameMax - suffix.size()) + suffix;
  }
  return name;
}

void append_proxy(const TwemproxyPool& pool, std::string& out) {
  out += "\n[proxy]\n";
  out += "listen = [" + toml_string(pool.listen.to_string()) + "]\n";
  if (pool.unix_mode) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", *pool.unix_mode);
    out += "unix_mode = \"" + std::string(mode) + "\"\n";
  }
  out += "router = \"ketama\"\n";
  if (pool.backlog) {
    out += "tcp_backlog = " + std::to_string(std::clamp(*pool.backlog, 1u, kBacklogMax)) + "\n";
  }
  if (pool.redis_db.value_or(0) >= kDatabasesDefault) {
    out += "databases = " + std::to_string(std::min(*pool.redis_db + 1, kDatabasesMax)) + "\n";
  }
  if (!pool.tcpkeepalive.value_or(true)) out += "tcp_keepalive = \"0\"\n";
}

void append_backend(const TwemproxyPool& pool, std::string& out) {
  if (pool.timeout_ms.value_or(0) == 0) return;
  const uint32_t timeout_ms = *pool.timeout_ms;
  out += "\n[backend]\n";
  out += comment("twemproxy's one timeout is for both.");
  out += "connect_timeout = \"" + std::to_string(std::min(timeout_ms, kConnectTimeoutMaxMs)) +
         "ms\"\n";
  out += "request_timeout = \"" + std::to_string(std::min(timeout_ms, kRequestTimeoutMaxMs)) +
         "ms\"\n";
}

void append_ketama(const TwemproxyPool& pool, std::string& out) {
  out += "\n[ketama]\n";
  out += "hash = " + toml_string(pool.hash) + "\n";
  out += "distribution = " + toml_string(pool.distribution) + "\n";
  if (!pool.hash_tag.empty()) out += "hash_tag = " + toml_string(pool.hash_tag) + "\n";
}

void append_auth(const TwemproxyPool& pool, std::string& out) {
  if (!pool.redis_auth) return;
  out += "\n[auth]\n";
  out += comment("As with twemproxy, clients say the same password as the servers want.");
  out += "password = " + toml_string(*pool.redis_auth) + "\n";
}

void append_groups(const TwemproxyPool& pool, std::string& out) {
  out += "\n";
  out += comment(
      "Keys are placed by ketama_name and weight: when a server moves to another address, change "
      "only \"server\".");
  std::set<std::string> taken;
  for (const TwemproxyServer& server : pool.servers) {
    out += "\n[[group]]\n";
    out += "name = " + toml_string(group_name(server, taken)) + "\n";
    out += "server = " + toml_string(server.address.to_string()) + "\n";
    out += "ketama_name = " + toml_string(server.name) + "\n";
    out += "weight = " + std::to_string(server.weight) + "\n";
    if (pool.redis_auth) out += "password = " + toml_string(*pool.redis_auth) + "\n";
  }
}

}  // namespace

Result<std::string> import_twemproxy(const std::string& yaml_text, const std::string& pool) {
  const auto parsed = parse_twemproxy_pool(yaml_text, pool);
  if (!parsed) return Error{parsed.error()};

  std::string out = comment("Imported from twemproxy's pool " + toml_string(parsed->name) +
                            ": keys stay on the servers that have them.");
  if (parsed->redis_auth) {
    out += comment(
        "This file holds a password: make it readable for pikaproxy's user only (chmod 600).");
  }
  const std::vector<std::string> notes = notes_on(*parsed);
  if (!notes.empty()) out += "#\n" + comment("What differs from twemproxy:");
  for (const std::string& note : notes) out += comment(note, "- ");

  append_proxy(*parsed, out);
  append_backend(*parsed, out);
  append_ketama(*parsed, out);
  append_auth(*parsed, out);
  append_groups(*parsed, out);
  return out;
}

}  // namespace pikaproxy
