#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pikaproxy {

// Arguments of one request, the command's name first. Views into the request's bytes.
using Arguments = std::span<const std::string_view>;

// What the proxy does with a command. Everything outside the table is unknown and refused.
enum class CommandAction : uint8_t {
  kForward,          // All its keys share a slot: the request goes to that slot's group as it is.
  kForwardAnyGroup,  // No keys; one group answers for all (COMMAND DOCS, FUNCTION LIST/DUMP).
  kSplitMget,        // MGET: split per group, values merged in the order of the request.
  kSplitMset,        // MSET: split per group, OK when all are.
  kSplitSum,         // DEL UNLINK EXISTS TOUCH: split per group, integers added.
  kFanOutSum,        // DBSIZE: to every group, integers added.
  kFanOutConcat,     // KEYS: to every group, arrays joined.
  kFanOutAllOk,      // FLUSHDB FLUSHALL FUNCTION LOAD ...: to every group, the first error wins.
  kKill,             // SCRIPT KILL, FUNCTION KILL: to every group, past whatever keeps it busy.
  kFunctionStats,    // FUNCTION STATS: the same; of the group where something runs.
  kRandomKey,        // RANDOMKEY: a random group, the others if it is empty.
  kScan,             // SCAN: group after group, the group's number inside the cursor.
  kScriptLoad,       // SCRIPT LOAD: to every group, the body kept.
  kScriptExists,     // SCRIPT EXISTS: 1 where every group has it.
  kScriptFlush,      // SCRIPT FLUSH: to every group, kept bodies dropped.
  kEval,             // EVAL EVALSHA and _RO: as kForward, NOSCRIPT repaired.
  // From here on the dispatcher looks twice before a request goes:
  kTransaction,  // MULTI EXEC DISCARD WATCH UNWATCH: queued here, sent as one block.
  kTracking,     // CLIENT TRACKING: every server is asked whether it can.
  kBlock,        // BLPOP and alike: as kForward, over a connection of the client's own.
  kWait,         // WAIT: asks the groups that the client has written to, again and again.
  kSubscribe,    // SUBSCRIBE and alike: through subscriptions that all clients share.
  kPublish,      // PUBLISH SPUBLISH: to the group of the channel's slot.
  kLocal,        // Answered by the proxy. A container (CLIENT) is kLocal when it has a served
                 // subcommand: what happens is the subcommand's action.
  kRefuse,       // Known, not served: `refusal` says why.
};

// For latency histograms and counters.
enum class CommandClass : uint8_t { kRead, kWrite, kMulti, kScript, kAdmin };
inline constexpr size_t kCommandClassCount = 5;
std::string_view name_of(CommandClass command_class) noexcept;

// Redis' command flags, one bit each. COMMAND does not print kFlagMayReplicate.
enum CommandFlag : uint32_t {
  kFlagWrite = 1u << 0,
  kFlagReadonly = 1u << 1,
  kFlagDenyoom = 1u << 2,
  kFlagAdmin = 1u << 3,
  kFlagPubsub = 1u << 4,
  kFlagNoscript = 1u << 5,
  kFlagBlocking = 1u << 6,
  kFlagLoading = 1u << 7,
  kFlagStale = 1u << 8,
  kFlagSkipMonitor = 1u << 9,
  kFlagSkipSlowlog = 1u << 10,
  kFlagAsking = 1u << 11,
  kFlagFast = 1u << 12,
  kFlagNoAuth = 1u << 13,
  kFlagMayReplicate = 1u << 14,
  kFlagNoAsyncLoading = 1u << 15,
  kFlagNoMulti = 1u << 16,
  kFlagMovableKeys = 1u << 17,
  kFlagAllowBusy = 1u << 18,
  kFlagNoMandatoryKeys = 1u << 19,  // May be called without keys: EVAL "return 1" 0.
};

// What a command does to the keys of a key spec, one bit each; names in key_spec_flag_names().
enum KeySpecFlag : uint16_t {
  kKeyRo = 1u << 0,
  kKeyRw = 1u << 1,
  kKeyOw = 1u << 2,
  kKeyRm = 1u << 3,
  kKeyAccess = 1u << 4,
  kKeyUpdate = 1u << 5,
  kKeyInsert = 1u << 6,
  kKeyDelete = 1u << 7,
  kKeyNotKey = 1u << 8,          // Routed like a key, but is none: a shard channel.
  kKeyIncomplete = 1u << 9,      // There may be keys elsewhere too.
  kKeyVariableFlags = 1u << 10,  // The other flags depend on the arguments.
};
// By bit, in the order in which COMMAND prints them.
std::span<const std::string_view> key_spec_flag_names() noexcept;

// Where keys stand: Redis' key specs (begin search + find keys).
//   Source: https://redis.io/docs/latest/develop/reference/key-specs/
struct KeySpec {
  enum class Begin : uint8_t { kIndex, kKeyword, kUnknown };
  enum class Find : uint8_t { kRange, kKeynum, kUnknown };
  uint16_t flags = 0;  // KeySpecFlag bits.
  Begin begin = Begin::kIndex;
  // kIndex: argument number. kKeyword: where the search starts (negative: from the end).
  int16_t index = 1;
  std::string_view keyword = {};  // kKeyword.
  Find find = Find::kRange;
  int16_t last_key = 0;  // kRange: relative to the first; -1 = last argument, -2 = the one before.
  int16_t key_step = 1;
  int16_t limit = 0;  // kRange with last_key -1: 1/limit of the remaining arguments are keys.
  int16_t keynum_index = 0;  // kKeynum: relative to begin.
  int16_t first_key = 1;     // kKeynum: relative to begin.
};

// How find_keys() works for a command. Key specs are enough for most; the others need their options
// read in order, since a keyword's name may also be some option's value.
enum class KeyRule : uint8_t {
  kSpecs,
  kStreams,   // XREAD, XREADGROUP: the first half of what follows STREAMS.
  kSort,      // SORT: its first argument and what follows STORE.
  kGeoStore,  // GEORADIUS, GEORADIUSBYMEMBER: the first argument and what follows STORE, STOREDIST.
  kMigrate,   // MIGRATE: argument 3, or what follows KEYS.
};

// One row of the table: a command or a subcommand.
struct Command {
  std::string_view name;  // Lower case; subcommands as "client|id".
  int16_t arity =
      0;  // As Redis: negative = at least that many; subcommands count the container's name.
  uint16_t index = 0;  // Position in the table: for per-command arrays.
  CommandAction action = CommandAction::kRefuse;
  CommandClass command_class = CommandClass::kRead;
  uint32_t flags = 0;        // CommandFlag bits.
  bool proxy_admin = false;  // Through the proxy only for users with admin (FLUSHALL, CONFIG SET,
                             // CLIENT KILL ...).
  // For old-style COMMAND replies and the quick path.
  int16_t first_key = 0, last_key = 0, key_step = 0;
  // 1..127: this argument is the only key. 0: use find_keys().
  uint8_t single_key = 0;
  KeyRule key_rule = KeyRule::kSpecs;
  std::string_view acl_categories;  // "@read @string @fast", as COMMAND prints them.
  std::span<const std::string_view> tips;
  std::span<const KeySpec> key_specs;
  std::span<const Command> subcommands;  // Of a container, sorted by name.
  std::string_view since;                // "7.2.0"
  std::string_view refusal;  // kRefuse: the text behind "ERR ", says what to do instead.

  bool is_write() const noexcept { return (flags & kFlagWrite) != 0; }
};

// Number of rows, subcommands included: every Command::index is below it.
//   Source: Redis 7.0.15 as its COMMAND reports it; Redis 7.4 (SFLUSH: 8.0) for what 7.0 lacks.
//   Where 7.4 differs in a command of 7.0, 7.0's facts stand, but for arities that 7.4 made wider:
//   ZRANK and ZREVRANK (WITHSCORE), COMMAND GETKEYS and GETKEYSANDFLAGS.
size_t command_count() noexcept;
// By Command::index.
const Command& command_at(size_t index) noexcept;
// All top-level rows, sorted by name.
std::span<const Command* const> top_level_commands() noexcept;

// A top-level command by name in any case; null if there is none. The quick path of every request.
const Command* find_command(std::string_view name) noexcept;
// Its subcommand by name in any case, null if there is none.
const Command* find_subcommand(const Command& container, std::string_view name) noexcept;

// Whether `count` arguments (the name included) fit the command's arity.
bool arity_fits(const Command& command, size_t count) noexcept;

// Positions of the keys in `args`, ascending and without repeats, into `positions` (cleared first).
// False if the arguments do not say where (a numkeys that is no number or too large, no STREAMS
// ...): `positions` is then empty and `error` holds Redis' own text for it.
//   Precondition: arity_fits(). Too few arguments are still an error and no more than that.
//   For a command without keys, or EVAL with none: true, and no positions.
//   Where an option is repeated (SORT ... STORE a STORE b) each of its keys is found, though Redis
//   uses the last one only: then all servers that could be meant are the same one.
//   Source: Redis 7.0's commands as they are executed, which is stricter than COMMAND GETKEYS.
bool find_keys(const Command& command, Arguments args, std::vector<uint32_t>& positions,
               std::string_view& error);

// The same with what the command does to each key.
struct KeyUse {
  uint32_t position;
  uint16_t flags;  // KeySpecFlag bits.
};
bool find_keys_and_flags(const Command& command, Arguments args, std::vector<KeyUse>& keys,
                         std::string_view& error);

// Whether an XREAD or XREADGROUP has the BLOCK option, which may stall a shared connection; false
// for other commands. True also for a BLOCK after an option that Redis does not know.
bool has_block_option(const Command& command, Arguments args) noexcept;

}  // namespace pikaproxy
