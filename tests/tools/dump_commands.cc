// Shows the command table to tests/integration/command_table_test.py.
//
//   dump_commands table     one JSON object per row
//   dump_commands keys      per request on standard input: "keys 1 3" or "error <text>", and
//   "block"
//                           or "-" behind a tab
//   dump_commands replies   per COMMAND request on standard input: its RESP2 and RESP3 replies in
//   hex dump_commands time      nanoseconds per find_command(), for people
//
// A request is a line of hexadecimal words, one per argument; "-" is an empty argument.

#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common/command_replies.h"
#include "common/command_table.h"

using namespace pikaproxy;

namespace {

// No string of the table needs escapes but quotes.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char byte : text) {
    if (byte == '"' || byte == '\\') out += '\\';
    out += byte;
  }
  return out + '"';
}

std::string json_of(const KeySpec& spec) {
  std::ostringstream out;
  out << "{\"flags\":" << spec.flags << ",\"begin\":" << static_cast<int>(spec.begin)
      << ",\"index\":" << spec.index << ",\"keyword\":" << quoted(spec.keyword)
      << ",\"find\":" << static_cast<int>(spec.find) << ",\"last_key\":" << spec.last_key
      << ",\"key_step\":" << spec.key_step << ",\"limit\":" << spec.limit
      << ",\"keynum_index\":" << spec.keynum_index << ",\"first_key\":" << spec.first_key << "}";
  return out.str();
}

void dump_table() {
  for (size_t index = 0; index < command_count(); ++index) {
    const Command& command = command_at(index);
    std::cout << "{\"name\":" << quoted(command.name) << ",\"arity\":" << command.arity
              << ",\"action\":" << static_cast<int>(command.action)
              << ",\"refuse\":" << (command.action == CommandAction::kRefuse ? "true" : "false")
              << ",\"class\":" << quoted(name_of(command.command_class))
              << ",\"flags\":" << command.flags
              << ",\"proxy_admin\":" << (command.proxy_admin ? "true" : "false")
              << ",\"first_key\":" << command.first_key << ",\"last_key\":" << command.last_key
              << ",\"key_step\":" << command.key_step
              << ",\"single_key\":" << static_cast<int>(command.single_key)
              << ",\"acl\":" << quoted(command.acl_categories)
              << ",\"since\":" << quoted(command.since)
              << ",\"refusal\":" << quoted(command.refusal)
              << ",\"subcommands\":" << command.subcommands.size() << ",\"tips\":[";
    for (size_t k = 0; k < command.tips.size(); ++k) {
      std::cout << (k > 0 ? "," : "") << quoted(command.tips[k]);
    }
    std::cout << "],\"key_specs\":[";
    for (size_t k = 0; k < command.key_specs.size(); ++k) {
      std::cout << (k > 0 ? "," : "") << json_of(command.key_specs[k]);
    }
    std::cout << "]}\n";
  }
}

struct Request {
  std::vector<std::string> bytes;
  std::vector<std::string_view> args;  // Views into `bytes`.
};

bool read_request(Request& request) {
  std::string line;
  if (!std::getline(std::cin, line)) return false;
  request.bytes.clear();
  request.args.clear();
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    std::string& arg = request.bytes.emplace_back();
    if (word == "-") continue;
    for (size_t at = 0; at + 1 < word.size(); at += 2) {
      arg += static_cast<char>(std::stoi(word.substr(at, 2), nullptr, 16));
    }
  }
  request.args.assign(request.bytes.begin(), request.bytes.end());
  return true;
}

const Command* command_of(Arguments args) {
  const Command* command = args.empty() ? nullptr : find_command(args[0]);
  if (command == nullptr || command->subcommands.empty() || args.size() < 2) return command;
  return find_subcommand(*command, args[1]);
}

void answer_keys() {
  std::vector<uint32_t> positions;
  std::string_view error;
  for (Request request; read_request(request);) {
    const Command* command = command_of(request.args);
    if (command == nullptr) {
      std::cout << "error unknown command\t-\n";
      continue;
    }
    if (find_keys(*command, request.args, positions, error)) {
      std::cout << "keys";
      for (const uint32_t position : positions) std::cout << ' ' << position;
    } else {
      std::cout << "error " << error;
    }
    std::cout << '\t' << (has_block_option(*command, request.args) ? "block" : "-") << '\n';
  }
}

std::string hex_of(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    char text[3];
    std::snprintf(text, sizeof text, "%02x", static_cast<unsigned char>(byte));
    out += text;
  }
  return out;
}

// `args` after COMMAND.
std::string reply_to(Arguments args, RespVersion version) {
  std::string out;
  if (args.empty()) {
    append_commands(out, version);
    return out;
  }
  const Arguments rest = args.subspan(1);
  if (args[0] == "COUNT") append_command_count(out);
  if (args[0] == "INFO") append_command_info(out, rest, version);
  if (args[0] == "LIST") append_command_list(out, rest);
  if (args[0] == "GETKEYS") append_command_keys(out, rest);
  if (args[0] == "GETKEYSANDFLAGS") append_command_keys_and_flags(out, rest, version);
  if (args[0] == "HELP") append_command_help(out);
  return out;
}

void answer_replies() {
  for (Request request; read_request(request);) {
    const Arguments args(request.args);
    std::cout << hex_of(reply_to(args.subspan(1), RespVersion::k2)) << ' '
              << hex_of(reply_to(args.subspan(1), RespVersion::k3)) << '\n';
  }
}

// Names as clients write them, most of them usual; the last one is unknown.
void measure() {
  const std::string_view names[] = {"GET",    "set",     "HGETALL",      "mget",
                                    "EXPIRE", "zadd",    "LPUSH",        "ZRANGEBYSCORE",
                                    "incr",   "EVALSHA", "HINCRBYFLOAT", "NOSUCHCOMMAND"};
  constexpr int kRounds = 2'000'000;
  size_t found = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < kRounds; ++round) {
    for (const std::string_view name : names) found += find_command(name) != nullptr;
  }
  const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
  std::printf("find_command: %.1f ns (%zu found)\n", time.count() / kRounds / std::size(names),
              found);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc == 2 ? argv[1] : "";
  if (mode == "table") {
    dump_table();
  } else if (mode == "keys") {
    answer_keys();
  } else if (mode == "replies") {
    answer_replies();
  } else if (mode == "time") {
    measure();
  } else {
    std::cerr << "usage: dump_commands table|keys|replies|time\n";
    return 2;
  }
  return 0;
}
