#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/address.h"
#include "common/result.h"

namespace pikaproxy {

using Milliseconds = std::chrono::milliseconds;
using Microseconds = std::chrono::microseconds;

// The settings of the process: one struct per section of the file, defaults here and nowhere else.
// Field names are the option names (`proxy.max_clients`). Sizes are bytes. A duration of 0 means
// "off" where the option's text says so. conf/pikaproxy.toml describes each option.

enum class RouterKind : uint8_t { kSlot, kKetama };
// Where commands that only read go: to the group's master, to a replica where one is fresh enough,
// to replicas only, or to a replica of our own zone where one is fresh enough.
enum class ReadFrom : uint8_t { kMaster, kPreferReplica, kReplica, kNearest };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

// [proxy]: clients and what they may use. R = can change while running.
struct ProxyConfig {
  std::vector<Address> listen = {Address{"127.0.0.1", 19000, ""}};
  uint32_t unix_mode = 0700;    // Permissions of unix sockets we listen on (octal in the file).
  uint32_t tcp_backlog = 1024;  // Connections the kernel may hold for us.
  uint32_t workers = 0;         // Threads; 0 = one per core up to 4.
  RouterKind router = RouterKind::kSlot;
  uint32_t databases = 16;              // SELECT 0 .. databases-1.
  uint32_t max_clients = 10000;         // R. Over all workers.
  Milliseconds client_idle_timeout{0};  // R. 0 = never.
  Milliseconds tcp_keepalive{300'000};  // Both sides; 0 = off.
  uint32_t client_pipeline_max =
      4096;  // R. Requests of one client in flight; then it is not read from.
  uint32_t client_subscriptions_max = 100'000;  // R. Channels and patterns of one client.
  uint64_t client_output_max = 64ull << 20;  // R. Replies queued for one client; then it is closed.
  Milliseconds client_output_timeout{
      30'000};                        // R. Replies queued and none accepted for so long: closed.
  uint64_t bulk_max = 512ull << 20;   // R. One argument of a request.
  uint64_t request_max = 1ull << 30;  // R. All bytes of one request.
  uint64_t memory_max = 4ull << 30;   // R. All queued bytes of the process.
  Milliseconds hold_timeout{
      1'000};  // R. A request whose slot is locked or being moved waits so long.
  uint64_t hold_max = 64ull << 20;  // R. Bytes of all such requests, per worker.
  // R. For connections made from then on; READONLY and READWRITE change it for one.
  ReadFrom read_from = ReadFrom::kMaster;
  Milliseconds replica_max_lag{3'000};  // R. A replica is read from if it is behind by less.
  std::string zone;                     // R. Where this proxy is; one of [[zone]].
  bool cluster_mode = false;            // Clients see a Redis Cluster of one node.
  std::string announce;         // Where that is, host:port; empty = where the client connected to.
  bool read_own_writes = true;  // R. A replica must have what the client has written.
  Milliseconds shutdown_timeout{10'000};  // R. How long SIGTERM waits for requests in flight.

  bool operator==(const ProxyConfig&) const = default;
};

// [backend]: our connections to servers.
struct BackendConfig {
  Milliseconds connect_timeout{1'000};  // R. Includes AUTH and SELECT.
  Milliseconds request_timeout{5'000};  // R. A server silent for so long loses the connection.
  Milliseconds reconnect_min{20};       // R. First pause after a failed connect, doubled up to
  Milliseconds reconnect_max{500};      // R. this.
  uint32_t pending_max = 1'000'000;     // R. Requests waiting for one server, per worker.
  uint32_t dedicated_max = 1024;  // R. Connections for single clients (WATCH, BLPOP), per worker.
  uint64_t queue_max = 256ull << 20;  // R. Bytes waiting to be sent to one server, per worker.

  bool operator==(const BackendConfig&) const = default;
};

// [log]
struct LogConfig {
  LogLevel level = LogLevel::kInfo;  // R.
  LogFormat format = LogFormat::kText;
  std::string file;  // Empty = standard error. SIGUSR1 opens it again.

  bool operator==(const LogConfig&) const = default;
};

// [slowlog]
struct SlowlogConfig {
  Microseconds slower_than{10'000};  // R. Time from parsed to answered. Negative = off, 0 = all.
  uint32_t max_len = 128;            // R. Entries kept, over all workers.

  bool operator==(const SlowlogConfig&) const = default;
};

// [admin]: the HTTP port for /metrics, /healthz and /readyz.
struct AdminConfig {
  bool enabled = true;
  Address listen{"127.0.0.1", 19001, ""};  // TCP only.
  // Names that Host headers may carry; addresses, localhost and the name in `listen` always may.
  std::vector<std::string> allowed_hosts;
  std::string tls_cert;  // PEM files, both or none; their content is read again on reload.
  std::string tls_key;

  bool operator==(const AdminConfig&) const = default;
};

// [dashboard]: groups, slots and migrations, by the REST API on the admin port.
struct DashboardConfig {
  bool enabled = true;
  std::string data_dir = "pikaproxy-data";       // The store; one running process per directory.
  std::string admin_password_file;               // For the first start; empty = a random password.
  Milliseconds session_timeout{8 * 3'600'000};   // A login that is not used for so long ends,
  Milliseconds session_max{7 * 24 * 3'600'000};  // and any login after so long.
  bool allow_plain_http = false;  // Passwords and tokens may cross a network unencrypted.
  std::string web_root;           // Directory with the page; empty = the one in the binary.

  bool operator==(const DashboardConfig&) const = default;
};

// [auth]: what clients must say. Nobody configured: everybody may do everything.
struct AuthConfig {
  std::string password;       // R. Of the user "default"; empty = none needed.
  std::string password_file;  // Where password was read from; read again on reload.

  bool operator==(const AuthConfig&) const = default;
};

// Where reads go; what is absent is as the next one in the list says: the user, the listener that
// the client came by, [proxy].
struct ReadPolicy {
  std::optional<ReadFrom> read_from = {};
  std::optional<Milliseconds> replica_max_lag = {};

  bool operator==(const ReadPolicy&) const = default;
};

// [[user]]: users of the Redis port, for AUTH name password. R. Rules: common/user_rules.h.
struct UserConfig {
  std::string name;                       // "default": who has not said AUTH.
  std::vector<std::string> passwords;     // As hash_password() has them; two while one is replaced.
  bool admin = false;                     // May use CONFIG SET, CLIENT KILL, FLUSHALL and the like.
  bool enabled = true;                    // False: nobody can log in as this user.
  std::string commands = "+@all";         // As in ACL SETUSER: "+@read +@write -keys".
  std::vector<std::string> keys = {"*"};  // Patterns: "app:*", "%R~shared:*".
  std::vector<std::string> channels = {"*"};
  bool read_only = false;  // Nothing that writes, whatever `commands` says.
  ReadPolicy reads = {};

  bool operator==(const UserConfig&) const = default;
};

// [[listener]]: an address to listen on beside proxy.listen.
struct ListenerConfig {
  Address address;
  ReadPolicy reads;  // R. For connections made from then on.

  bool operator==(const ListenerConfig&) const = default;
};

// [[zone]]: servers that are near to each other. R.
struct ZoneConfig {
  std::string name;
  std::vector<std::string> servers;  // Patterns of addresses: "10.1.*".

  bool operator==(const ZoneConfig&) const = default;
};

// [ketama]: how router = "ketama" places keys; names as in twemproxy.
struct KetamaConfig {
  std::string hash = "fnv1a_64";
  std::string distribution = "ketama";
  std::string hash_tag;  // Two characters such as "{}", or empty.

  bool operator==(const KetamaConfig&) const = default;
};

// Inclusive.
struct SlotRange {
  uint16_t first = 0;
  uint16_t last = 0;

  bool operator==(const SlotRange&) const = default;
};

// [[group]]: the static topology, for use without a dashboard. R (router = "slot" only).
struct GroupConfig {
  std::string name;               // Unique; in logs, errors and metrics.
  Address server;                 // The group's master.
  std::vector<Address> replicas;  // May be read from, see proxy.read_from.
  std::string user;               // Empty = AUTH with the password alone where a server wants that.
  std::string password;           // Empty = no AUTH.
  std::vector<SlotRange> slots;   // router = "slot": each of the 1024 slots in at most one group.
  std::string ketama_name;        // router = "ketama": the name twemproxy hashes; empty = server.
  uint32_t weight = 1;            // router = "ketama".

  bool operator==(const GroupConfig&) const = default;
};

struct Config {
  ProxyConfig proxy;
  BackendConfig backend;
  LogConfig log;
  SlowlogConfig slowlog;
  AdminConfig admin;
  DashboardConfig dashboard;
  AuthConfig auth;
  std::vector<UserConfig> users;
  std::vector<ListenerConfig> listeners;
  std::vector<ZoneConfig> zones;
  KetamaConfig ketama;
  std::vector<GroupConfig> groups;

  bool operator==(const Config&) const = default;
};

}  // namespace pikaproxy
