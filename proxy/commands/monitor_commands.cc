#include "common/resp.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

void monitor(Client& client, const Command& command, Arguments) {
  if (client.session.monitor) {
    client.reply(resp::kOk);
    return;
  }
  client.session.monitor = true;
  client.worker().monitors().add(client);
  // What the others do before the OK goes out is shown behind it: replies keep their order.
  client.worker().manager().ask_workers(
      client, command,
      [](Worker& worker) {
        worker.monitors().change(1);
        return std::string();
      },
      [](const std::vector<std::string>&) { return std::string(resp::kOk); });
}

constexpr LocalEntry kEntries[] = {
    {"monitor", monitor},
};

}  // namespace

std::span<const LocalEntry> monitor_commands() {
  return kEntries;
}

}  // namespace pikaproxy
