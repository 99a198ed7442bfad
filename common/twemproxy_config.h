#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/address.h"
#include "common/result.h"

namespace pikaproxy {

// One entry of a pool's "servers".
struct TwemproxyServer {
  Address address;
  uint32_t weight = 1;  // 1 to 2^31 - 1.
  std::string name;     // What twemproxy hashes: the name given, or what it makes of the address.
  bool is_named = false;
};

// One pool of nutcracker.yml. An absent option is not what its default is: the importer has
// something to say about the one and nothing about the other.
struct TwemproxyPool {
  std::string name;
  Address listen;
  std::optional<uint32_t> unix_mode;  // Of a unix socket listened on.
  std::string hash = "fnv1a_64";
  std::string distribution = "ketama";
  std::string hash_tag;                   // Two bytes or empty.
  std::optional<std::string> redis_auth;  // Not empty.
  std::optional<uint32_t> redis_db;
  std::optional<uint32_t> timeout_ms;
  std::optional<uint32_t> backlog;
  std::optional<uint32_t> client_connections;
  std::optional<uint32_t> server_connections;
  std::optional<uint32_t> server_retry_timeout_ms;
  std::optional<uint32_t> server_failure_limit;
  std::optional<bool> tcpkeepalive;
  std::optional<bool> reuseport;
  std::optional<bool> preconnect;
  std::optional<bool> auto_eject_hosts;
  std::vector<TwemproxyServer> servers;  // In the order of the file; names differ.
};

// Reads a pool of twemproxy's configuration as twemproxy 0.5 does.
//   pool:   its name; may be empty if the file has only one.
//   Errors: text that is not YAML, no such pool, anything in it that twemproxy refuses, and pools
//   for
//           memcached. They name the line, and never repeat a password.
//   Source: twemproxy 0.5.0, src/nc_conf.c.
Result<TwemproxyPool> parse_twemproxy_pool(const std::string& yaml_text, const std::string& pool);

}  // namespace pikaproxy
