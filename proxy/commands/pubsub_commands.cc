// UNSUBSCRIBE and alike, and PUBSUB. PUBSUB speaks of the clients of this proxy, as a node of a
// Redis Cluster speaks of its own: servers know our connections only.

#include "common/resp.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

template <ChannelKind kKind>
void unsubscribe(Client& client, const Command&, Arguments args) {
  client.reply_always(client.worker().subscriptions().unsubscribe(client, kKind, args));
}

const SubscriptionCounts& subscribers(Client& client) {
  return client.worker().manager().subscribers();
}

template <ChannelKind kKind>
void channels(Client& client, const Command&, Arguments args) {
  if (args.size() > 3) {
    client.reply_error("ERR unknown subcommand or wrong number of arguments for '" +
                       std::string(args[1].substr(0, 128)) + "'. Try PUBSUB HELP.");
    return;
  }
  auto names = subscribers(client).names(kKind, args.size() == 3 ? args[2] : std::string_view("*"));
  // "*" is no pattern for the channel "", which is a channel nevertheless.
  if (args.size() < 3 && subscribers(client).count(kKind, "") > 0) names.emplace_back();
  std::string out;
  resp::append_array(out, static_cast<int64_t>(names.size()));
  for (const std::string& name : names) resp::append_bulk(out, name);
  client.reply(out);
}

template <ChannelKind kKind>
void numsub(Client& client, const Command&, Arguments args) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(2 * (args.size() - 2)));
  for (const std::string_view name : args.subspan(2)) {
    resp::append_bulk(out, name);
    resp::append_integer(out, static_cast<int64_t>(subscribers(client).count(kKind, name)));
  }
  client.reply(out);
}

void numpat(Client& client, const Command&, Arguments) {
  client.reply(
      resp::integer(static_cast<int64_t>(subscribers(client).size(ChannelKind::kPattern))));
}

void help(Client& client, const Command&, Arguments) {
  client.reply(help_reply(
      "PUBSUB",
      {"CHANNELS [<pattern>]", "    Channels that clients of this proxy subscribe to.", "NUMPAT",
       "    How many different patterns they subscribe to.", "NUMSUB [<channel> ...]",
       "    How many of them subscribe to each channel.", "SHARDCHANNELS [<pattern>]",
       "    The same as CHANNELS for shard channels.", "SHARDNUMSUB [<shardchannel> ...]",
       "    The same as NUMSUB for shard channels."}));
}

constexpr LocalEntry kEntries[] = {
    {"unsubscribe", unsubscribe<ChannelKind::kChannel>},
    {"punsubscribe", unsubscribe<ChannelKind::kPattern>},
    {"sunsubscribe", unsubscribe<ChannelKind::kShard>},
    {"pubsub|channels", channels<ChannelKind::kChannel>},
    {"pubsub|shardchannels", channels<ChannelKind::kShard>},
    {"pubsub|numsub", numsub<ChannelKind::kChannel>},
    {"pubsub|shardnumsub", numsub<ChannelKind::kShard>},
    {"pubsub|numpat", numpat},
    {"pubsub|help", help},
};

}  // namespace

std::span<const LocalEntry> pubsub_commands() {
  return kEntries;
}

}  // namespace pikaproxy
