// What users are not allowed. Only asked for those from whom something is kept.

#include "proxy/client/users.h"
#include "proxy/dispatch/dispatcher.h"
#include "proxy/dispatch/request_texts.h"
#include "proxy/worker.h"

namespace pikaproxy {

std::string denial(const Rights::Verdict& verdict, const Command& command) {
  switch (verdict.denied) {
    case Rights::Denied::kCommand:
      return not_permitted(command);
    case Rights::Denied::kKey:
      return std::string(kKeyNotPermitted);
    case Rights::Denied::kChannel:
      return std::string(kChannelNotPermitted);
    case Rights::Denied::kBadKeys:
    case Rights::Denied::kSort:
      return "ERR " + std::string(verdict.error);
    case Rights::Denied::kNothing:
      break;
  }
  return {};
}

bool Dispatcher::is_permitted(Client& client, const Command& command, Arguments args) {
  const Rights::Verdict verdict = client.session.rights->check(command, args, key_uses_);
  if (verdict.denied == Rights::Denied::kNothing) return true;
  WorkerStats& stats = worker_.stats();
  switch (verdict.denied) {
    case Rights::Denied::kCommand:
      stats.denied_commands.add();
      break;
    case Rights::Denied::kKey:
    case Rights::Denied::kSort:
      stats.denied_keys.add();
      break;
    case Rights::Denied::kChannel:
      stats.denied_channels.add();
      break;
    default:
      break;
  }
  reject(client, denial(verdict, command), &command);
  return false;
}

}  // namespace pikaproxy
