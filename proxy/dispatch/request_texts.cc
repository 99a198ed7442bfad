#include "proxy/dispatch/request_texts.h"

#include <algorithm>

#include "common/ascii.h"

namespace pikaproxy {
namespace {

// Redis cuts what it repeats of an unknown command at these.
constexpr size_t kEchoedNameMax = 128;
constexpr size_t kEchoedArgsMax = 128;

// What Redis repeats of an argument: at most so much, and nothing from a NUL on.
std::string_view echoed(std::string_view arg, size_t bytes_max) {
  return arg.substr(0, std::min(bytes_max, arg.find('\0')));
}

}  // namespace

std::string unknown_command(Arguments args) {
  std::string text = "ERR unknown command '" + std::string(echoed(args[0], kEchoedNameMax)) +
                     "', with args beginning with: ";
  size_t bytes = 0;
  for (size_t i = 1; i < args.size() && bytes < kEchoedArgsMax; ++i) {
    const std::string_view part = echoed(args[i], kEchoedArgsMax - bytes);
    text += '\'';
    text += part;
    text += "' ";
    bytes += part.size() + 3;
  }
  return text;
}

std::string unknown_subcommand(const Command& container, std::string_view name) {
  return "ERR unknown subcommand '" + std::string(echoed(name, kEchoedNameMax)) + "'. Try " +
         to_upper(container.name) + " HELP.";
}

std::string wrong_arity(const Command& command) {
  return "ERR wrong number of arguments for '" + std::string(command.name) + "' command";
}

std::string not_permitted(const Command& command) {
  return "NOPERM this user has no permissions to run the '" + std::string(command.name) +
         "' command";
}

std::string slot_not_assigned(uint32_t slot) {
  return "CLUSTERDOWN slot " + std::to_string(slot) + " is not assigned";
}

}  // namespace pikaproxy
