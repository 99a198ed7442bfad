// CLUSTER, for clients that only speak to a Redis Cluster: with proxy.cluster_mode they see one of
// a single node, this proxy, that has all slots. Without it the proxy says what a Redis says that
// is no cluster.

#include <array>
#include <random>

#include "common/address.h"
#include "common/ascii.h"
#include "common/cluster_slot.h"
#include "common/resp.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/io/socket_options.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kDisabled = "ERR This instance has cluster support disabled";
// Redis' cluster nodes speak to each other at this distance from their port. Nobody listens there.
constexpr uint32_t kBusPortOffset = 10'000;

// 40 hexadecimal digits, drawn once for the life of the process.
const std::string& node_id() {
  static const std::string kId = [] {
    std::random_device random;
    std::string id;
    while (id.size() < 40) id += "0123456789abcdef"[random() % 16];
    return id;
  }();
  return kId;
}

// Where clients are told to connect: what is set, or else where this one did.
Address announced(Client& client) {
  const ProxyConfig& config = client.worker().config().proxy;
  const Result<Address> set = parse_address(config.announce);
  if (!config.announce.empty() && set) return *set;
  const Result<Address> local = parse_address(local_name(client.fd()));
  if (local && !local->is_unix()) return *local;
  for (const Address& address : config.listen) {
    if (!address.is_unix()) return address;
  }
  return Address{};
}

bool is_enabled(Client& client) {
  if (client.worker().config().proxy.cluster_mode) return true;
  client.reply_error(kDisabled);
  return false;
}

void keyslot(Client& client, const Command&, Arguments args) {
  if (is_enabled(client)) client.reply(resp::integer(cluster_slot_of(args[2])));
}

void my_id(Client& client, const Command&, Arguments) {
  if (is_enabled(client)) client.reply(resp::bulk(node_id()));
}

void info(Client& client, const Command&, Arguments) {
  if (!is_enabled(client)) return;
  client.reply(resp::verbatim(
      client.version(),
      "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"
      "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:1\r\n"
      "cluster_size:1\r\ncluster_current_epoch:1\r\ncluster_my_epoch:1\r\n"));
}

void nodes(Client& client, const Command&, Arguments) {
  if (!is_enabled(client)) return;
  const Address address = announced(client);
  client.reply(resp::verbatim(client.version(), node_id() + " " + address.host + ":" +
                                                    std::to_string(address.port) + "@" +
                                                    std::to_string(address.port + kBusPortOffset) +
                                                    " myself,master - 0 0 1 connected 0-16383\n"));
}

void slots(Client& client, const Command&, Arguments) {
  if (!is_enabled(client)) return;
  const Address address = announced(client);
  std::string out;
  resp::append_array(out, 1);
  resp::append_array(out, 3);
  resp::append_integer(out, 0);
  resp::append_integer(out, kClusterSlots - 1);
  resp::append_array(out, 4);
  resp::append_bulk(out, address.host);
  resp::append_integer(out, address.port);
  resp::append_bulk(out, node_id());
  resp::append_array(out, 0);
  client.reply(out);
}

void shards(Client& client, const Command&, Arguments) {
  if (!is_enabled(client)) return;
  const Address address = announced(client);
  std::string out;
  resp::append_array(out, 1);
  resp::append_map(out, client.version(), 2);
  resp::append_bulk(out, "slots");
  resp::append_array(out, 2);
  resp::append_integer(out, 0);
  resp::append_integer(out, kClusterSlots - 1);
  resp::append_bulk(out, "nodes");
  resp::append_array(out, 1);
  resp::append_map(out, client.version(), 7);
  resp::append_bulk(out, "id");
  resp::append_bulk(out, node_id());
  resp::append_bulk(out, "port");
  resp::append_integer(out, address.port);
  resp::append_bulk(out, "ip");
  resp::append_bulk(out, address.host);
  resp::append_bulk(out, "endpoint");
  resp::append_bulk(out, address.host);
  resp::append_bulk(out, "role");
  resp::append_bulk(out, "master");
  resp::append_bulk(out, "replication-offset");
  resp::append_integer(out, 0);
  resp::append_bulk(out, "health");
  resp::append_bulk(out, "online");
  client.reply(out);
}

void links(Client& client, const Command&, Arguments) {
  if (is_enabled(client)) client.reply(resp::kEmptyArray);
}

void replicas(Client& client, const Command&, Arguments args) {
  if (!is_enabled(client)) return;
  if (equals_ignoring_case(args[2], node_id())) {
    client.reply(resp::kEmptyArray);
  } else {
    client.reply_error("ERR Unknown node " + std::string(args[2].substr(0, 64)));
  }
}

void asking(Client& client, const Command&, Arguments) {
  // Nothing is ever moved from this node, so there is nothing to ask for.
  if (is_enabled(client)) client.reply(resp::kOk);
}

void help(Client& client, const Command&, Arguments) {
  if (!is_enabled(client)) return;
  client.reply(
      help_reply("CLUSTER", {"INFO, MYID, MYSHARDID, NODES, SHARDS, SLOTS, LINKS",
                             "    A cluster of one node, this proxy, that has all slots.",
                             "KEYSLOT <key>", "    The key's slot as Redis Cluster counts.",
                             "REPLICAS <node-id>", "    None: this proxy has no replicas."}));
}

constexpr LocalEntry kEntries[] = {
    {"asking", asking},           {"cluster|help", help},       {"cluster|info", info},
    {"cluster|keyslot", keyslot}, {"cluster|links", links},     {"cluster|myid", my_id},
    {"cluster|myshardid", my_id}, {"cluster|nodes", nodes},     {"cluster|replicas", replicas},
    {"cluster|shards", shards},   {"cluster|slaves", replicas}, {"cluster|slots", slots},
};

}  // namespace

std::span<const LocalEntry> cluster_commands() {
  return kEntries;
}

}  // namespace pikaproxy
