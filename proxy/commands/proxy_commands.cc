// PROXY: what only a proxy can answer. No other server knows this command.

#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/dispatch/explain.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

void append_text_or_null(std::string& out, RespVersion version, std::string_view text) {
  if (text.empty()) {
    out += resp::null(version);
  } else {
    resp::append_bulk(out, text);
  }
}

// One group's part of the request.
void append_part(std::string& out, Client& client, const Explanation::Part& part, Arguments args) {
  Worker& worker = client.worker();
  const GroupConfig& group = worker.topology().groups[part.group];
  resp::append_map(out, client.version(), 5);
  resp::append_bulk(out, "group");
  resp::append_bulk(out, group.name);
  resp::append_bulk(out, "server");
  resp::append_bulk(out, group.server.to_string());
  resp::append_bulk(out, "reachable");
  resp::append_integer(out, worker.backends().main(part.group).is_reachable());
  resp::append_bulk(out, "slots");
  resp::append_array(out, static_cast<int64_t>(part.slots.size()));
  for (const uint32_t slot : part.slots) resp::append_integer(out, slot);
  resp::append_bulk(out, "keys");
  resp::append_array(out, static_cast<int64_t>(part.positions.size()));
  for (const uint32_t position : part.positions) resp::append_bulk(out, args[position]);
}

void proxy_explain(Client& client, const Command&, Arguments args) {
  Worker& worker = client.worker();
  const RespVersion version = client.version();
  const Arguments request = args.subspan(2);
  const ExplainContext context{
      worker.topology(), worker.gate(),        worker.config().proxy.router == RouterKind::kSlot,
      client.session.db, client.session.admin, client.session.rights};
  const Explanation explanation = explain(context, request);
  // Where there is one of each, it stands in front too, so that nobody has to look into the parts.
  const Explanation::Part* only =
      explanation.parts.size() == 1 ? &explanation.parts.front() : nullptr;
  const GroupConfig* group = only != nullptr ? &worker.topology().groups[only->group] : nullptr;
  std::string out;
  resp::append_map(out, version, 8);
  resp::append_bulk(out, "command");
  append_text_or_null(out, version,
                      explanation.command != nullptr ? explanation.command->name : "");
  resp::append_bulk(out, "class");
  resp::append_bulk(out, explanation.kind);
  resp::append_bulk(out, "slot");
  if (only != nullptr && only->slots.size() == 1) {
    resp::append_integer(out, only->slots.front());
  } else {
    out += resp::null(version);
  }
  resp::append_bulk(out, "group");
  append_text_or_null(out, version, group != nullptr ? group->name : "");
  resp::append_bulk(out, "server");
  append_text_or_null(out, version, group != nullptr ? group->server.to_string() : "");
  resp::append_bulk(out, "parts");
  resp::append_array(out, static_cast<int64_t>(explanation.parts.size()));
  for (const Explanation::Part& part : explanation.parts) append_part(out, client, part, request);
  resp::append_bulk(out, "waits");
  append_text_or_null(out, version, explanation.waits);
  resp::append_bulk(out, "error");
  append_text_or_null(out, version, explanation.error);
  client.reply(out);
}

void proxy_help(Client& client, const Command&, Arguments) {
  client.reply(help_reply(
      "PROXY",
      {"EXPLAIN <command> [<arg> ...]",
       "    What would become of that request now: to which groups it would go, or why not.",
       "    Nothing is sent to any server."}));
}

constexpr LocalEntry kEntries[] = {
    {"proxy|explain", proxy_explain},
    {"proxy|help", proxy_help},
};

}  // namespace

std::span<const LocalEntry> proxy_commands() {
  return kEntries;
}

}  // namespace pikaproxy
