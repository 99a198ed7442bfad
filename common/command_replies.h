#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/command_table.h"
#include "common/resp3.h"

namespace pikaproxy {

// Replies of COMMAND and its subcommands as Redis 7.0 writes them, appended to `out`. They tell
// what this proxy serves: commands with kRefuse are left out. Key specs come without Redis'
// "notes".

// COMMAND, and COMMAND INFO without names: every command with its subcommands.
void append_commands(std::string& out, RespVersion version);
// COMMAND COUNT. Subcommands do not count.
void append_command_count(std::string& out);
// COMMAND INFO name ...: names in any case, a subcommand's as "client|id"; null for what is
// unknown.
void append_command_info(std::string& out, std::span<const std::string_view> names,
                         RespVersion version);
// COMMAND LIST [FILTERBY MODULE|ACLCAT|PATTERN value]: `options` is what follows LIST.
void append_command_list(std::string& out, std::span<const std::string_view> options);
// COMMAND GETKEYS and GETKEYSANDFLAGS: `request` is what follows. Answered for all commands of the
// table, since where keys stand does not depend on who serves them.
void append_command_keys(std::string& out, Arguments request);
void append_command_keys_and_flags(std::string& out, Arguments request, RespVersion version);
// COMMAND HELP.
void append_command_help(std::string& out);

}  // namespace pikaproxy
