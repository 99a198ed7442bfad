#include "proxy/commands/local_commands.h"

#include <vector>

#include "common/resp.h"
#include "proxy/client/client.h"

namespace pikaproxy {
namespace {

// By Command::index.
std::vector<LocalHandler> make_handlers() {
  std::vector<LocalHandler> handlers(command_count(), nullptr);
  for (const auto entries : local_entries()) {
    for (size_t index = 0; index < command_count(); ++index) {
      for (const LocalEntry& entry : entries) {
        if (command_at(index).name == entry.name) handlers[index] = entry.handler;
      }
    }
  }
  return handlers;
}

const std::vector<LocalHandler>& handlers() {
  static const std::vector<LocalHandler> kHandlers = make_handlers();
  return kHandlers;
}

}  // namespace

std::span<const std::span<const LocalEntry>> local_entries() {
  static const std::span<const LocalEntry> kAll[] = {
      acl_commands(),   connection_commands(), client_commands(),   cluster_commands(),
      codis_commands(), latency_commands(),    memory_commands(),   monitor_commands(),
      proxy_commands(), pubsub_commands(),     tracking_commands(), server_commands()};
  return kAll;
}

void run_local_command(Client& client, const Command& command, Arguments args) {
  // A test holds that every local command of the table has a handler.
  handlers()[command.index](client, command, args);
}

bool has_local_handler(const Command& command) {
  return handlers()[command.index] != nullptr;
}

std::string help_reply(std::string_view container, std::initializer_list<std::string_view> lines) {
  std::string out;
  resp::append_array(out, static_cast<int64_t>(lines.size() + 3));
  resp::append_status(out, std::string(container) + " <subcommand> [<arg> ...]. Subcommands are:");
  for (const std::string_view line : lines) resp::append_status(out, line);
  resp::append_status(out, "HELP");
  resp::append_status(out, "    Print this text.");
  return out;
}

}  // namespace pikaproxy
