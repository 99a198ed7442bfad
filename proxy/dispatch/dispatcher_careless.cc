// What must not be sent to a server that is careless with its protocol (Backend::is_careless()), so
// that no client can forge what others are answered over the connection they share.
//
// Pika 4.0, as measured (and read in its source for what was not tried):
//   - an error about a key's type repeats the key as it is: "\r\n+OK\r\n" in a key is a reply;
//     nothing else that clients send is repeated so by the commands that the proxy forwards;
//   - an XREAD of several streams, one of which is an error, is answered with the error and what
//     was read of the others, without a line end between: the entries become replies;
//   - an XREAD or XDEL that fails leaves an empty line behind, which StrayLine takes out, but not
//     from the middle of a transaction's reply.

#include "proxy/dispatch/dispatcher.h"
#include "proxy/worker.h"

namespace pikaproxy {
namespace {

bool has_line_break(std::string_view key) {
  return key.find_first_of("\r\n") != std::string_view::npos;
}

bool is_fit(const Command& command, Arguments args, std::vector<uint32_t>& positions) {
  std::string_view error;
  find_keys(command, args, positions, error);
  for (const uint32_t position : positions) {
    if (has_line_break(args[position])) return false;
  }
  return command.name != "xread" || positions.size() <= 1;
}

}  // namespace

bool Dispatcher::is_careful(const Request& request) {
  std::vector<uint32_t> positions;
  return is_fit(request.command, request.args, positions);
}

bool Dispatcher::is_fit_for_careless(Backend& backend, Request& request) {
  if (is_fit(request.command, request.args, positions_)) return true;
  return is_need_met(backend, request);
}

bool Dispatcher::is_block_fit_for_careless(Backend& backend, Request& request) {
  RequestParser parser;
  std::string_view block = request.raw;
  while (!block.empty()) {
    RequestProgress progress;
    if (parser.parse(block, progress, {UINT64_MAX, UINT64_MAX, true}) !=
        RequestParser::Status::kRequest) {
      break;
    }
    const Command* command = find_command(parser.args()[0]);
    if (command == nullptr || command->name == "xread" || command->name == "xdel" ||
        !is_fit(*command, parser.args(), positions_)) {
      return is_need_met(backend, request);
    }
    block.remove_prefix(parser.size());
  }
  return true;
}

bool Dispatcher::is_need_met(Backend& backend, Request& request) {
  if (!backend.is_ready()) {
    backend.need(Backend::Need::kCare);
    return true;
  }
  refuse(request, "ERR " + backend.lacks(Backend::Need::kCare));
  return false;
}

}  // namespace pikaproxy
