#include "proxy/request_texts.h"

#include "common/ascii.h"

namespace pikaproxy {
namespace {

// Redis cuts what it repeats of an unknown command at these.
constexpr size_t kEchoedNameMax = 128;
constexpr size_t kEchoedArgsMax = 128;

}  // namespace

std::string unknown_command(Arguments args) {
  std::string text = "ERR unknown command '" + std::string(args[0].substr(0, kEchoedNameMax)) +
                     "', with args beginning with: ";
  size_t echoed = 0;
  for (size_t i = 1; i < args.size() && echoed < kEchoedArgsMax; ++i) {
    const std::string_view part = args[i].substr(0, kEchoedArgsMax - echoed);
    text += '\'';
    text += part;
    text += "' ";
    echoed += part.size() + 3;
  }
  return text;
}

std::string unknown_subcommand(const Command& container, std::string_view name) {
  return "ERR unknown subcommand '" + std::string(name.substr(0, kEchoedNameMax)) + "'. Try " +
         to_upper(container.name) + " HELP.";
}

std::string wrong_arity(const Command& command) {
  return "ERR wrong number of arguments for '" + std::string(command.name) + "' command";
}

std::string not_permitted(const Command& command, std::string_view user) {
  return "NOPERM User " + std::string(user) + " has no permissions to run the '" +
         std::string(command.name) + "' command";
}

std::string slot_not_assigned(uint32_t slot) {
  return "CLUSTERDOWN slot " + std::to_string(slot) + " is not assigned";
}

}  // namespace pikaproxy
