#include "common/command_table_data.h"

// The rows of the command table. A new command needs its row at its place in the alphabet and the
// counts of command_table_data.h; what can be worked out from a row is (see finished() below), and
// tests/integration/command_table_test.py compares everything with what redis-server reports.

namespace pikaproxy::command_data {
namespace {

constexpr KeySpec index_range(uint16_t flags, int16_t index, int16_t last_key, int16_t key_step) {
  return {.flags = flags, .index = index, .last_key = last_key, .key_step = key_step};
}

constexpr KeySpec index_keynum(uint16_t flags, int16_t index, int16_t keynum_index,
                               int16_t first_key) {
  return {.flags = flags,
          .index = index,
          .find = KeySpec::Find::kKeynum,
          .keynum_index = keynum_index,
          .first_key = first_key};
}

constexpr KeySpec keyword_range(uint16_t flags, std::string_view keyword, int16_t start_from,
                                int16_t last_key, int16_t limit) {
  return {.flags = flags,
          .begin = KeySpec::Begin::kKeyword,
          .index = start_from,
          .keyword = keyword,
          .last_key = last_key,
          .limit = limit};
}

constexpr KeySpec unknown(uint16_t flags) {
  return {.flags = flags, .begin = KeySpec::Begin::kUnknown, .find = KeySpec::Find::kUnknown};
}

// Key specs, named after what they say where that is short: kKeys1OnRoAccess = argument 1 and all
// after it, read. Otherwise after the first command that has them.

// clang-format off
constexpr KeySpec kBitopKeys[] = {
    index_range(kKeyOw | kKeyUpdate, 2, 0, 1),
    index_range(kKeyRo | kKeyAccess, 3, -1, 1),
};
constexpr KeySpec kBlmoveKeys[] = {
    index_range(kKeyRw | kKeyAccess | kKeyDelete, 1, 0, 1),
    index_range(kKeyRw | kKeyInsert, 2, 0, 1),
};
constexpr KeySpec kBlmpopKeys[] = {index_keynum(kKeyRw | kKeyAccess | kKeyDelete, 2, 0, 1)};
constexpr KeySpec kCopyKeys[] = {
    index_range(kKeyRo | kKeyAccess, 1, 0, 1),
    index_range(kKeyOw | kKeyUpdate, 2, 0, 1),
};
constexpr KeySpec kEvalKeys[] = {index_keynum(kKeyRw | kKeyAccess | kKeyUpdate, 2, 0, 1)};
constexpr KeySpec kEvalRoKeys[] = {index_keynum(kKeyRo | kKeyAccess, 2, 0, 1)};
constexpr KeySpec kGeoradiusKeys[] = {
    index_range(kKeyRo | kKeyAccess, 1, 0, 1),
    keyword_range(kKeyOw | kKeyUpdate, "STORE", 6, 0, 0),
    keyword_range(kKeyOw | kKeyUpdate, "STOREDIST", 6, 0, 0),
};
constexpr KeySpec kGeoradiusbymemberKeys[] = {
    index_range(kKeyRo | kKeyAccess, 1, 0, 1),
    keyword_range(kKeyOw | kKeyUpdate, "STORE", 5, 0, 0),
    keyword_range(kKeyOw | kKeyUpdate, "STOREDIST", 5, 0, 0),
};
constexpr KeySpec kGeosearchstoreKeys[] = {
    index_range(kKeyOw | kKeyUpdate, 1, 0, 1),
    index_range(kKeyRo | kKeyAccess, 2, 0, 1),
};
constexpr KeySpec kKey1NotKey[] = {index_range(kKeyNotKey, 1, 0, 1)};
constexpr KeySpec kKey1OwInsert[] = {index_range(kKeyOw | kKeyInsert, 1, 0, 1)};
constexpr KeySpec kKey1OwUpdate[] = {index_range(kKeyOw | kKeyUpdate, 1, 0, 1)};
constexpr KeySpec kKey1Ro[] = {index_range(kKeyRo, 1, 0, 1)};
constexpr KeySpec kKey1RoAccess[] = {index_range(kKeyRo | kKeyAccess, 1, 0, 1)};
constexpr KeySpec kKey1RwAccessDelete[] = {index_range(kKeyRw | kKeyAccess | kKeyDelete, 1, 0, 1)};
constexpr KeySpec kKey1RwAccessUpdate[] = {index_range(kKeyRw | kKeyAccess | kKeyUpdate, 1, 0, 1)};
constexpr KeySpec kKey1RwAccessUpdateVariableFlags[] = {
    index_range(kKeyRw | kKeyAccess | kKeyUpdate | kKeyVariableFlags, 1, 0, 1),
};
constexpr KeySpec kKey1RwDelete[] = {index_range(kKeyRw | kKeyDelete, 1, 0, 1)};
constexpr KeySpec kKey1RwInsert[] = {index_range(kKeyRw | kKeyInsert, 1, 0, 1)};
constexpr KeySpec kKey1RwUpdate[] = {index_range(kKeyRw | kKeyUpdate, 1, 0, 1)};
constexpr KeySpec kKey2Ro[] = {index_range(kKeyRo, 2, 0, 1)};
constexpr KeySpec kKey2RoAccess[] = {index_range(kKeyRo | kKeyAccess, 2, 0, 1)};
constexpr KeySpec kKey2RwAccess[] = {index_range(kKeyRw | kKeyAccess, 2, 0, 1)};
constexpr KeySpec kKey2RwDelete[] = {index_range(kKeyRw | kKeyDelete, 2, 0, 1)};
constexpr KeySpec kKey2RwInsert[] = {index_range(kKeyRw | kKeyInsert, 2, 0, 1)};
constexpr KeySpec kKey2RwUpdate[] = {index_range(kKeyRw | kKeyUpdate, 2, 0, 1)};
constexpr KeySpec kKeys1AndNextRoAccess[] = {index_range(kKeyRo | kKeyAccess, 1, 1, 1)};
constexpr KeySpec kKeys1OnButLastRwAccessDelete[] = {
    index_range(kKeyRw | kKeyAccess | kKeyDelete, 1, -2, 1),
};
constexpr KeySpec kKeys1OnByTwoOwInsert[] = {index_range(kKeyOw | kKeyInsert, 1, -1, 2)};
constexpr KeySpec kKeys1OnByTwoOwUpdate[] = {index_range(kKeyOw | kKeyUpdate, 1, -1, 2)};
constexpr KeySpec kKeys1OnNotKey[] = {index_range(kKeyNotKey, 1, -1, 1)};
constexpr KeySpec kKeys1OnRmDelete[] = {index_range(kKeyRm | kKeyDelete, 1, -1, 1)};
constexpr KeySpec kKeys1OnRo[] = {index_range(kKeyRo, 1, -1, 1)};
constexpr KeySpec kKeys1OnRoAccess[] = {index_range(kKeyRo | kKeyAccess, 1, -1, 1)};
constexpr KeySpec kKeys1OnRwAccess[] = {index_range(kKeyRw | kKeyAccess, 1, -1, 1)};
constexpr KeySpec kLmpopKeys[] = {index_keynum(kKeyRw | kKeyAccess | kKeyDelete, 1, 0, 1)};
constexpr KeySpec kMigrateKeys[] = {
    index_range(kKeyRw | kKeyAccess | kKeyDelete, 3, 0, 1),
    keyword_range(kKeyRw | kKeyAccess | kKeyDelete | kKeyIncomplete, "KEYS", -2, -1, 0),
};
constexpr KeySpec kPfmergeKeys[] = {
    index_range(kKeyRw | kKeyAccess | kKeyInsert, 1, 0, 1),
    index_range(kKeyRo | kKeyAccess, 2, -1, 1),
};
constexpr KeySpec kRenameKeys[] = {
    index_range(kKeyRw | kKeyAccess | kKeyDelete, 1, 0, 1),
    index_range(kKeyOw | kKeyUpdate, 2, 0, 1),
};
constexpr KeySpec kRenamenxKeys[] = {
    index_range(kKeyRw | kKeyAccess | kKeyDelete, 1, 0, 1),
    index_range(kKeyOw | kKeyInsert, 2, 0, 1),
};
constexpr KeySpec kSdiffstoreKeys[] = {
    index_range(kKeyOw | kKeyUpdate, 1, 0, 1),
    index_range(kKeyRo | kKeyAccess, 2, -1, 1),
};
constexpr KeySpec kSintercardKeys[] = {index_keynum(kKeyRo | kKeyAccess, 1, 0, 1)};
constexpr KeySpec kSinterstoreKeys[] = {
    index_range(kKeyRw | kKeyUpdate, 1, 0, 1),
    index_range(kKeyRo | kKeyAccess, 2, -1, 1),
};
constexpr KeySpec kSortKeys[] = {
    index_range(kKeyRo | kKeyAccess, 1, 0, 1),
    unknown(kKeyRo | kKeyAccess),
    unknown(kKeyOw | kKeyUpdate),
};
constexpr KeySpec kSortRoKeys[] = {
    index_range(kKeyRo | kKeyAccess, 1, 0, 1),
    unknown(kKeyRo | kKeyAccess),
};
constexpr KeySpec kXreadKeys[] = {keyword_range(kKeyRo | kKeyAccess, "STREAMS", 1, -1, 2)};
constexpr KeySpec kXreadgroupKeys[] = {keyword_range(kKeyRo | kKeyAccess, "STREAMS", 4, -1, 2)};
constexpr KeySpec kZdiffstoreKeys[] = {
    index_range(kKeyOw | kKeyUpdate, 1, 0, 1),
    index_keynum(kKeyRo | kKeyAccess, 2, 0, 1),
};

constexpr std::string_view kAllNodesAggSumNondeterministicOutput[] = {
    "request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"};
constexpr std::string_view kAllNodesAllSucceeded[] = {
    "request_policy:all_nodes", "response_policy:all_succeeded"};
constexpr std::string_view kAllNodesNondeterministicOutput[] = {
    "request_policy:all_nodes", "nondeterministic_output"};
constexpr std::string_view kAllShardsAggLogicalAnd[] = {
    "request_policy:all_shards", "response_policy:agg_logical_and"};
constexpr std::string_view kAllShardsAggMin[] = {
    "request_policy:all_shards", "response_policy:agg_min"};
constexpr std::string_view kAllShardsAggSum[] = {
    "request_policy:all_shards", "response_policy:agg_sum"};
constexpr std::string_view kAllShardsAllSucceeded[] = {
    "request_policy:all_shards", "response_policy:all_succeeded"};
constexpr std::string_view kAllShardsNondeterministicOutput[] = {
    "request_policy:all_shards", "nondeterministic_output"};
constexpr std::string_view kAllShardsNondeterministicOutputOrder[] = {
    "request_policy:all_shards", "nondeterministic_output_order"};
constexpr std::string_view kAllShardsOneSucceeded[] = {
    "request_policy:all_shards", "response_policy:one_succeeded"};
constexpr std::string_view kMultiShard[] = {"request_policy:multi_shard"};
constexpr std::string_view kMultiShardAggMin[] = {
    "request_policy:multi_shard", "response_policy:agg_min"};
constexpr std::string_view kMultiShardAggSum[] = {
    "request_policy:multi_shard", "response_policy:agg_sum"};
constexpr std::string_view kMultiShardAllSucceeded[] = {
    "request_policy:multi_shard", "response_policy:all_succeeded"};
constexpr std::string_view kNondeterministicOutput[] = {"nondeterministic_output"};
constexpr std::string_view kNondeterministicOutputAllNodesSpecial[] = {
    "nondeterministic_output", "request_policy:all_nodes", "response_policy:special"};
constexpr std::string_view kNondeterministicOutputAllShardsSpecial[] = {
    "nondeterministic_output", "request_policy:all_shards", "response_policy:special"};
constexpr std::string_view kNondeterministicOutputOrder[] = {"nondeterministic_output_order"};
constexpr std::string_view kNondeterministicOutputSpecial[] = {
    "nondeterministic_output", "request_policy:special"};

constexpr std::string_view kNoCluster =
    "This instance has cluster support disabled";
constexpr std::string_view kOneServer =
    "this command is about one server; run it on the server itself";
constexpr std::string_view kUsersElsewhere =
    "users are set in the proxy's configuration file, or by its API (/api/v1/acl/users)";
constexpr std::string_view kDenialsCounted =
    "what was denied is counted, not listed: see INFO stats and /metrics";
constexpr std::string_view kForServers =
    "this command is for servers among themselves; replicate from a server, not from this proxy";
constexpr std::string_view kForSentinel =
    "SENTINEL is for Redis Sentinel and this is a proxy; connect to a sentinel";

enum class Who : bool { kEverybody, kAdmins };
constexpr Who kForAdmins = Who::kAdmins;

struct Row {
  std::string_view name;
  int16_t arity;
  CommandAction action;
  uint32_t flags;
  std::string_view acl_categories;
  std::string_view since;
  std::span<const KeySpec> key_specs = {};
  std::span<const std::string_view> tips = {};
  std::string_view refusal = {};
  Who who = Who::kEverybody;
};

using enum CommandAction;

constexpr Row kRows[] = {
    {"acl", -2, kLocal, 0, "@slow", "6.0.0"},
    {"acl|cat", -2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow", "6.0.0"},
    {"acl|deluser", -3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, kUsersElsewhere},
    {"acl|dryrun", -4, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "7.0.0", {}, {}, {}, kForAdmins},
    {"acl|genpass", -2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow", "6.0.0"},
    {"acl|getuser", 3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, {}, kForAdmins},
    {"acl|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow", "6.0.0"},
    {"acl|list", 2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, {}, kForAdmins},
    {"acl|load", 2, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, kUsersElsewhere},
    {"acl|log", -2, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, kDenialsCounted},
    {"acl|save", 2, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, kUsersElsewhere},
    {"acl|setuser", -3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, kUsersElsewhere},
    {"acl|users", 2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "6.0.0", {}, {}, {}, kForAdmins},
    {"acl|whoami", 2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow", "6.0.0"},
    {"append", 3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "2.0.0",
     kKey1RwInsert},
    {"asking", 1, kLocal, kFlagFast, "@fast @connection", "3.0.0"},
    {"auth", -2, kLocal,
     kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagNoAuth | kFlagAllowBusy,
     "@fast @connection", "1.0.0"},
    {"bgrewriteaof", 1, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kOneServer},
    {"bgsave", -1, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kOneServer},
    {"bitcount", -2, kForward, kFlagReadonly, "@read @bitmap @slow", "2.6.0", kKey1RoAccess},
    {"bitfield", -2, kForward, kFlagWrite | kFlagDenyoom, "@write @bitmap @slow", "3.2.0",
     kKey1RwAccessUpdateVariableFlags},
    {"bitfield_ro", -2, kForward, kFlagReadonly | kFlagFast, "@read @bitmap @fast", "6.0.0",
     kKey1RoAccess},
    {"bitop", -4, kForward, kFlagWrite | kFlagDenyoom, "@write @bitmap @slow", "2.6.0", kBitopKeys},
    {"bitpos", -3, kForward, kFlagReadonly, "@read @bitmap @slow", "2.8.7", kKey1RoAccess},
    {"blmove", 6, kBlock, kFlagWrite | kFlagDenyoom | kFlagNoscript | kFlagBlocking,
     "@write @list @slow @blocking", "6.2.0", kBlmoveKeys},
    {"blmpop", -5, kBlock, kFlagWrite | kFlagBlocking | kFlagMovableKeys,
     "@write @list @slow @blocking", "7.0.0", kBlmpopKeys},
    {"blpop", -3, kBlock, kFlagWrite | kFlagNoscript | kFlagBlocking,
     "@write @list @slow @blocking", "2.0.0", kKeys1OnButLastRwAccessDelete},
    {"brpop", -3, kBlock, kFlagWrite | kFlagNoscript | kFlagBlocking,
     "@write @list @slow @blocking", "2.0.0", kKeys1OnButLastRwAccessDelete},
    {"brpoplpush", 4, kBlock, kFlagWrite | kFlagDenyoom | kFlagNoscript | kFlagBlocking,
     "@write @list @slow @blocking", "2.2.0", kBlmoveKeys},
    {"bzmpop", -5, kBlock, kFlagWrite | kFlagBlocking | kFlagMovableKeys,
     "@write @sortedset @slow @blocking", "7.0.0", kBlmpopKeys},
    {"bzpopmax", -3, kBlock, kFlagWrite | kFlagNoscript | kFlagBlocking | kFlagFast,
     "@write @sortedset @fast @blocking", "5.0.0", kKeys1OnButLastRwAccessDelete},
    {"bzpopmin", -3, kBlock, kFlagWrite | kFlagNoscript | kFlagBlocking | kFlagFast,
     "@write @sortedset @fast @blocking", "5.0.0", kKeys1OnButLastRwAccessDelete},
    {"client", -2, kLocal, 0, "@slow", "2.4.0"},
    {"client|caching", 3, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "6.0.0"},
    {"client|getname", 2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "2.6.9"},
    {"client|getredir", 2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "6.0.0"},
    {"client|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "5.0.0"},
    {"client|id", 2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "5.0.0"},
    {"client|info", 2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "6.2.0", {}, kNondeterministicOutput},
    {"client|kill", -3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous @connection", "2.4.0", {}, {}, {}, kForAdmins},
    {"client|list", -2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous @connection", "2.4.0", {}, kNondeterministicOutput, {}, kForAdmins},
    {"client|no-evict", 3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous @connection", "7.0.0", {}, {}, {}, kForAdmins},
    {"client|no-touch", 3, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "7.2.0"},
    {"client|pause", -3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous @connection", "2.9.50", {}, {}, {}, kForAdmins},
    {"client|reply", 3, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "3.2.0"},
    {"client|setinfo", 4, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "7.2.0", {}, kAllNodesAllSucceeded},
    {"client|setname", 3, kLocal, kFlagNoscript | kFlagLoading | kFlagStale, "@slow @connection",
     "2.6.9"},
    {"client|tracking", -3, kTracking, kFlagNoscript | kFlagLoading | kFlagStale,
     "@slow @connection", "6.0.0"},
    {"client|trackinginfo", 2, kLocal, kFlagNoscript | kFlagLoading | kFlagStale,
     "@slow @connection", "6.2.0"},
    {"client|unblock", -3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous @connection", "5.0.0", {}, {}, {}, kForAdmins},
    {"client|unpause", 2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous @connection", "6.2.0", {}, {}, {}, kForAdmins},
    {"cluster", -2, kLocal, 0, "@slow", "3.0.0"},
    {"cluster|addslots", -3, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|addslotsrange", -4, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "7.0.0", {}, {}, kNoCluster},
    {"cluster|bumpepoch", 2, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, kNondeterministicOutput, kNoCluster},
    {"cluster|count-failure-reports", 3, kRefuse, kFlagAdmin | kFlagStale,
     "@admin @slow @dangerous", "3.0.0", {}, kNondeterministicOutput, kNoCluster},
    {"cluster|countkeysinslot", 3, kRefuse, kFlagStale, "@slow", "3.0.0", {}, {}, kNoCluster},
    {"cluster|delslots", -3, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|delslotsrange", -4, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "7.0.0", {}, {}, kNoCluster},
    {"cluster|failover", -2, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|flushslots", 2, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|forget", 3, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|getkeysinslot", 4, kRefuse, kFlagStale, "@slow", "3.0.0", {}, kNondeterministicOutput,
     kNoCluster},
    {"cluster|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow", "5.0.0"},
    {"cluster|info", 2, kLocal, kFlagStale, "@slow", "3.0.0", {}, kNondeterministicOutput},
    {"cluster|keyslot", 3, kLocal, kFlagStale, "@slow", "3.0.0"},
    {"cluster|links", 2, kLocal, kFlagStale, "@slow", "7.0.0", {}, kNondeterministicOutput},
    {"cluster|meet", -4, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|myid", 2, kLocal, kFlagStale, "@slow", "3.0.0"},
    {"cluster|myshardid", 2, kLocal, kFlagStale, "@slow", "7.2.0", {}, kNondeterministicOutput},
    {"cluster|nodes", 2, kLocal, kFlagStale, "@slow", "3.0.0", {}, kNondeterministicOutput},
    {"cluster|replicas", 3, kLocal, kFlagAdmin | kFlagStale, "@admin @slow @dangerous", "5.0.0",
     {}, kNondeterministicOutput},
    {"cluster|replicate", 3, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|reset", -2, kRefuse, kFlagAdmin | kFlagNoscript | kFlagStale,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|saveconfig", 2, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|set-config-epoch", 3, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|setslot", -4, kRefuse, kFlagAdmin | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kNoCluster},
    {"cluster|shards", 2, kLocal, kFlagStale, "@slow", "7.0.0", {}, kNondeterministicOutput},
    {"cluster|slaves", 3, kLocal, kFlagAdmin | kFlagStale, "@admin @slow @dangerous", "3.0.0", {},
     kNondeterministicOutput},
    {"cluster|slots", 2, kLocal, kFlagStale, "@slow", "3.0.0", {}, kNondeterministicOutput},
    {"command", -1, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "2.8.13", {},
     kNondeterministicOutputOrder},
    {"command|count", 2, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "2.8.13"},
    {"command|docs", -2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@slow @connection", "7.0.0",
     {}, kNondeterministicOutputOrder},
    {"command|getkeys", -3, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "2.8.13"},
    {"command|getkeysandflags", -3, kLocal, kFlagLoading | kFlagStale, "@slow @connection",
     "7.0.0"},
    {"command|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "5.0.0"},
    {"command|info", -2, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "2.8.13", {},
     kNondeterministicOutputOrder},
    {"command|list", -2, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "7.0.0", {},
     kNondeterministicOutputOrder},
    {"config", -2, kLocal, 0, "@slow", "2.0.0"},
    {"config|get", -3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.0.0"},
    {"config|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow", "5.0.0"},
    {"config|resetstat", 2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.0.0", {}, {}, {}, kForAdmins},
    {"config|rewrite", 2, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.8.0", {}, {},
     "CONFIG REWRITE is not supported by this proxy; edit its configuration file"},
    {"config|set", -4, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.0.0", {}, kAllNodesAllSucceeded, {}, kForAdmins},
    {"copy", -3, kForward, kFlagWrite | kFlagDenyoom, "@keyspace @write @slow", "6.2.0", kCopyKeys},
    {"dbsize", 1, kFanOutSum, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "1.0.0", {},
     kAllShardsAggSum},
    {"debug", -2, kRefuse, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kOneServer},
    {"decr", 2, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "1.0.0",
     kKey1RwAccessUpdate},
    {"decrby", 3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "1.0.0",
     kKey1RwAccessUpdate},
    {"del", -2, kSplitSum, kFlagWrite, "@keyspace @write @slow", "1.0.0", kKeys1OnRmDelete,
     kMultiShardAggSum},
    {"discard", 1, kTransaction, kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagAllowBusy,
     "@fast @transaction", "2.0.0"},
    {"dump", 2, kForward, kFlagReadonly, "@keyspace @read @slow", "2.6.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"echo", 2, kLocal, kFlagLoading | kFlagStale | kFlagFast, "@fast @connection", "1.0.0"},
    {"eval", -3, kEval, kFlagNoscript | kFlagStale | kFlagSkipMonitor | kFlagMayReplicate |
     kFlagNoMandatoryKeys | kFlagMovableKeys, "@slow @scripting", "2.6.0", kEvalKeys},
    {"eval_ro", -3, kEval, kFlagReadonly | kFlagNoscript | kFlagStale | kFlagSkipMonitor |
     kFlagNoMandatoryKeys | kFlagMovableKeys, "@slow @scripting", "7.0.0", kEvalRoKeys},
    {"evalsha", -3, kEval, kFlagNoscript | kFlagStale | kFlagSkipMonitor | kFlagMayReplicate |
     kFlagNoMandatoryKeys | kFlagMovableKeys, "@slow @scripting", "2.6.0", kEvalKeys},
    {"evalsha_ro", -3, kEval, kFlagReadonly | kFlagNoscript | kFlagStale | kFlagSkipMonitor |
     kFlagNoMandatoryKeys | kFlagMovableKeys, "@slow @scripting", "7.0.0", kEvalRoKeys},
    {"exec", 1, kTransaction, kFlagNoscript | kFlagLoading | kFlagStale | kFlagSkipSlowlog,
     "@slow @transaction", "1.2.0"},
    {"exists", -2, kSplitSum, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "1.0.0",
     kKeys1OnRo, kMultiShardAggSum},
    {"expire", -3, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "1.0.0",
     kKey1RwUpdate},
    {"expireat", -3, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "1.2.0",
     kKey1RwUpdate},
    {"expiretime", 2, kForward, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "7.0.0",
     kKey1RoAccess},
    {"failover", -1, kRefuse, kFlagAdmin | kFlagNoscript | kFlagStale, "@admin @slow @dangerous",
     "6.2.0", {}, {}, kOneServer},
    {"fcall", -3, kForward, kFlagNoscript | kFlagStale | kFlagSkipMonitor | kFlagMayReplicate |
     kFlagNoMandatoryKeys | kFlagMovableKeys, "@slow @scripting", "7.0.0", kEvalKeys},
    {"fcall_ro", -3, kForward, kFlagReadonly | kFlagNoscript | kFlagStale | kFlagSkipMonitor |
     kFlagNoMandatoryKeys | kFlagMovableKeys, "@slow @scripting", "7.0.0", kEvalRoKeys},
    {"flushall", -1, kFanOutAllOk, kFlagWrite, "@keyspace @write @slow @dangerous", "1.0.0", {},
     kAllShardsAllSucceeded, {}, kForAdmins},
    {"flushdb", -1, kFanOutAllOk, kFlagWrite, "@keyspace @write @slow @dangerous", "1.0.0", {},
     kAllShardsAllSucceeded, {}, kForAdmins},
    {"function", -2, kLocal, 0, "@slow", "7.0.0"},
    {"function|delete", 3, kFanOutAllOk, kFlagWrite | kFlagNoscript, "@write @slow @scripting",
     "7.0.0", {}, kAllShardsAllSucceeded, {}, kForAdmins},
    {"function|dump", 2, kForwardAnyGroup, kFlagNoscript, "@slow @scripting", "7.0.0"},
    {"function|flush", -2, kFanOutAllOk, kFlagWrite | kFlagNoscript, "@write @slow @scripting",
     "7.0.0", {}, kAllShardsAllSucceeded, {}, kForAdmins},
    {"function|help", 2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@slow @scripting", "7.0.0"},
    {"function|kill", 2, kKill, kFlagNoscript | kFlagAllowBusy, "@slow @scripting", "7.0.0",
     {}, kAllShardsOneSucceeded, {}, kForAdmins},
    {"function|list", -2, kForwardAnyGroup, kFlagNoscript, "@slow @scripting", "7.0.0", {},
     kNondeterministicOutputOrder},
    {"function|load", -3, kFanOutAllOk, kFlagWrite | kFlagDenyoom | kFlagNoscript,
     "@write @slow @scripting", "7.0.0", {}, kAllShardsAllSucceeded, {}, kForAdmins},
    {"function|restore", -3, kFanOutAllOk, kFlagWrite | kFlagDenyoom | kFlagNoscript,
     "@write @slow @scripting", "7.0.0", {}, kAllShardsAllSucceeded, {}, kForAdmins},
    {"function|stats", 2, kFunctionStats, kFlagNoscript | kFlagAllowBusy, "@slow @scripting",
     "7.0.0", {}, kNondeterministicOutputAllShardsSpecial},
    {"geoadd", -5, kForward, kFlagWrite | kFlagDenyoom, "@write @geo @slow", "3.2.0",
     kKey1RwUpdate},
    {"geodist", -4, kForward, kFlagReadonly, "@read @geo @slow", "3.2.0", kKey1RoAccess},
    {"geohash", -2, kForward, kFlagReadonly, "@read @geo @slow", "3.2.0", kKey1RoAccess},
    {"geopos", -2, kForward, kFlagReadonly, "@read @geo @slow", "3.2.0", kKey1RoAccess},
    {"georadius", -6, kForward, kFlagWrite | kFlagDenyoom | kFlagMovableKeys, "@write @geo @slow",
     "3.2.0", kGeoradiusKeys},
    {"georadius_ro", -6, kForward, kFlagReadonly, "@read @geo @slow", "3.2.10", kKey1RoAccess},
    {"georadiusbymember", -5, kForward, kFlagWrite | kFlagDenyoom | kFlagMovableKeys,
     "@write @geo @slow", "3.2.0", kGeoradiusbymemberKeys},
    {"georadiusbymember_ro", -5, kForward, kFlagReadonly, "@read @geo @slow", "3.2.10",
     kKey1RoAccess},
    {"geosearch", -7, kForward, kFlagReadonly, "@read @geo @slow", "6.2.0", kKey1RoAccess},
    {"geosearchstore", -8, kForward, kFlagWrite | kFlagDenyoom, "@write @geo @slow", "6.2.0",
     kGeosearchstoreKeys},
    {"get", 2, kForward, kFlagReadonly | kFlagFast, "@read @string @fast", "1.0.0", kKey1RoAccess},
    {"getbit", 3, kForward, kFlagReadonly | kFlagFast, "@read @bitmap @fast", "2.2.0",
     kKey1RoAccess},
    {"getdel", 2, kForward, kFlagWrite | kFlagFast, "@write @string @fast", "6.2.0",
     kKey1RwAccessDelete},
    {"getex", -2, kForward, kFlagWrite | kFlagFast, "@write @string @fast", "6.2.0",
     kKey1RwAccessUpdate},
    {"getrange", 4, kForward, kFlagReadonly, "@read @string @slow", "2.4.0", kKey1RoAccess},
    {"getset", 3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "1.0.0",
     kKey1RwAccessUpdate},
    {"hdel", -3, kForward, kFlagWrite | kFlagFast, "@write @hash @fast", "2.0.0", kKey1RwDelete},
    {"hello", -1, kLocal,
     kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagNoAuth | kFlagAllowBusy,
     "@fast @connection", "6.0.0"},
    {"hexists", 3, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "2.0.0", kKey1Ro},
    {"hexpire", -6, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast", "7.4.0",
     kKey1RwUpdate},
    {"hexpireat", -6, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast",
     "7.4.0", kKey1RwUpdate},
    {"hexpiretime", -5, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "7.4.0",
     kKey1RoAccess},
    {"hget", 3, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "2.0.0", kKey1RoAccess},
    {"hgetall", 2, kForward, kFlagReadonly, "@read @hash @slow", "2.0.0", kKey1RoAccess,
     kNondeterministicOutputOrder},
    {"hincrby", 4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast", "2.0.0",
     kKey1RwAccessUpdate},
    {"hincrbyfloat", 4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast",
     "2.6.0", kKey1RwAccessUpdate},
    {"hkeys", 2, kForward, kFlagReadonly, "@read @hash @slow", "2.0.0", kKey1RoAccess,
     kNondeterministicOutputOrder},
    {"hlen", 2, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "2.0.0", kKey1Ro},
    {"hmget", -3, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "2.0.0", kKey1RoAccess},
    {"hmset", -4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast", "2.0.0",
     kKey1RwUpdate},
    {"hpersist", -5, kForward, kFlagWrite | kFlagFast, "@write @hash @fast", "7.4.0",
     kKey1RwUpdate},
    {"hpexpire", -6, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast", "7.4.0",
     kKey1RwUpdate},
    {"hpexpireat", -6, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast",
     "7.4.0", kKey1RwUpdate},
    {"hpexpiretime", -5, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "7.4.0",
     kKey1RoAccess},
    {"hpttl", -5, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "7.4.0", kKey1RoAccess},
    {"hrandfield", -2, kForward, kFlagReadonly, "@read @hash @slow", "6.2.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"hscan", -3, kForward, kFlagReadonly, "@read @hash @slow", "2.8.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"hset", -4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast", "2.0.0",
     kKey1RwUpdate},
    {"hsetnx", 4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hash @fast", "2.0.0",
     kKey1RwInsert},
    {"hstrlen", 3, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "3.2.0", kKey1Ro},
    {"httl", -5, kForward, kFlagReadonly | kFlagFast, "@read @hash @fast", "7.4.0", kKey1RoAccess},
    {"hvals", 2, kForward, kFlagReadonly, "@read @hash @slow", "2.0.0", kKey1RoAccess,
     kNondeterministicOutputOrder},
    {"incr", 2, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "1.0.0",
     kKey1RwAccessUpdate},
    {"incrby", 3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "1.0.0",
     kKey1RwAccessUpdate},
    {"incrbyfloat", 3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast",
     "2.6.0", kKey1RwAccessUpdate},
    {"info", -1, kLocal, kFlagLoading | kFlagStale, "@slow @dangerous", "1.0.0", {},
     kNondeterministicOutputAllShardsSpecial},
    {"keys", 2, kFanOutConcat, kFlagReadonly, "@keyspace @read @slow @dangerous", "1.0.0", {},
     kAllShardsNondeterministicOutputOrder},
    {"lastsave", 1, kRefuse, kFlagLoading | kFlagStale | kFlagFast, "@admin @fast @dangerous",
     "1.0.0", {}, kNondeterministicOutput, kOneServer},
    {"latency", -2, kLocal, 0, "@slow", "2.8.13"},
    {"latency|doctor", 2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.8.13", {}, kNondeterministicOutputAllNodesSpecial},
    {"latency|graph", 3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.8.13", {}, kNondeterministicOutputAllNodesSpecial},
    {"latency|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow", "2.8.13"},
    {"latency|histogram", -2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "7.0.0", {}, kNondeterministicOutputAllNodesSpecial},
    {"latency|history", 3, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.8.13", {}, kNondeterministicOutputAllNodesSpecial},
    {"latency|latest", 2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.8.13", {}, kNondeterministicOutputAllNodesSpecial},
    {"latency|reset", -2, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "2.8.13", {}, kAllNodesAllSucceeded},
    {"lcs", -3, kForward, kFlagReadonly, "@read @string @slow", "7.0.0", kKeys1AndNextRoAccess},
    {"lindex", 3, kForward, kFlagReadonly, "@read @list @slow", "1.0.0", kKey1RoAccess},
    {"linsert", 5, kForward, kFlagWrite | kFlagDenyoom, "@write @list @slow", "2.2.0",
     kKey1RwInsert},
    {"llen", 2, kForward, kFlagReadonly | kFlagFast, "@read @list @fast", "1.0.0", kKey1Ro},
    {"lmove", 5, kForward, kFlagWrite | kFlagDenyoom, "@write @list @slow", "6.2.0", kBlmoveKeys},
    {"lmpop", -4, kForward, kFlagWrite | kFlagMovableKeys, "@write @list @slow", "7.0.0",
     kLmpopKeys},
    {"lolwut", -1, kRefuse, kFlagReadonly | kFlagFast, "@read @fast", "5.0.0", {}, {}, kOneServer},
    {"lpop", -2, kForward, kFlagWrite | kFlagFast, "@write @list @fast", "1.0.0",
     kKey1RwAccessDelete},
    {"lpos", -3, kForward, kFlagReadonly, "@read @list @slow", "6.0.6", kKey1RoAccess},
    {"lpush", -3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @list @fast", "1.0.0",
     kKey1RwInsert},
    {"lpushx", -3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @list @fast", "2.2.0",
     kKey1RwInsert},
    {"lrange", 4, kForward, kFlagReadonly, "@read @list @slow", "1.0.0", kKey1RoAccess},
    {"lrem", 4, kForward, kFlagWrite, "@write @list @slow", "1.0.0", kKey1RwDelete},
    {"lset", 4, kForward, kFlagWrite | kFlagDenyoom, "@write @list @slow", "1.0.0", kKey1RwUpdate},
    {"ltrim", 4, kForward, kFlagWrite, "@write @list @slow", "1.0.0", kKey1RwDelete},
    {"memory", -2, kLocal, 0, "@slow", "4.0.0"},
    {"memory|doctor", 2, kLocal, 0, "@slow", "4.0.0", {}, kNondeterministicOutputAllShardsSpecial},
    {"memory|help", 2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@slow", "4.0.0"},
    {"memory|malloc-stats", 2, kLocal, 0, "@slow", "4.0.0", {},
     kNondeterministicOutputAllShardsSpecial},
    {"memory|purge", 2, kLocal, 0, "@slow", "4.0.0", {}, kAllShardsAllSucceeded},
    {"memory|stats", 2, kLocal, 0, "@slow", "4.0.0", {}, kNondeterministicOutputAllShardsSpecial},
    {"memory|usage", -3, kForward, kFlagReadonly, "@read @slow", "4.0.0", kKey2Ro},
    {"mget", -2, kSplitMget, kFlagReadonly | kFlagFast, "@read @string @fast", "1.0.0",
     kKeys1OnRoAccess, kMultiShard},
    {"migrate", -6, kRefuse, kFlagWrite | kFlagMovableKeys, "@keyspace @write @slow @dangerous",
     "2.6.0", kMigrateKeys, kNondeterministicOutput,
     "MIGRATE would take keys away from the group that serves their slot; use DUMP and RESTORE"},
    {"module", -2, kRefuse, 0, "@slow", "4.0.0", {}, {}, kOneServer},
    {"module|help", 2, kRefuse, kFlagLoading | kFlagStale, "@slow", "5.0.0", {}, {}, kOneServer},
    {"module|list", 2, kRefuse, kFlagAdmin | kFlagNoscript, "@admin @slow @dangerous", "4.0.0", {},
     kNondeterministicOutputOrder, kOneServer},
    {"module|load", -3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "4.0.0", {}, {}, kOneServer},
    {"module|loadex", -3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "7.0.0", {}, {}, kOneServer},
    {"module|unload", 3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "4.0.0", {}, {}, kOneServer},
    {"monitor", 1, kLocal, kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale,
     "@admin @slow @dangerous", "1.0.0", {}, {}, {}, kForAdmins},
    {"move", 3, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "1.0.0",
     kKey1RwAccessUpdate},
    {"mset", -3, kSplitMset, kFlagWrite | kFlagDenyoom, "@write @string @slow", "1.0.1",
     kKeys1OnByTwoOwUpdate, kMultiShardAllSucceeded},
    {"msetnx", -3, kForward, kFlagWrite | kFlagDenyoom, "@write @string @slow", "1.0.1",
     kKeys1OnByTwoOwInsert, kMultiShardAggMin},
    {"multi", 1, kTransaction, kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagAllowBusy,
     "@fast @transaction", "1.2.0"},
    {"object", -2, kLocal, 0, "@slow", "2.2.3"},
    {"object|encoding", 3, kForward, kFlagReadonly, "@keyspace @read @slow", "2.2.3", kKey2Ro,
     kNondeterministicOutput},
    {"object|freq", 3, kForward, kFlagReadonly, "@keyspace @read @slow", "4.0.0", kKey2Ro,
     kNondeterministicOutput},
    {"object|help", 2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@keyspace @slow", "6.2.0"},
    {"object|idletime", 3, kForward, kFlagReadonly, "@keyspace @read @slow", "2.2.3", kKey2Ro,
     kNondeterministicOutput},
    {"object|refcount", 3, kForward, kFlagReadonly, "@keyspace @read @slow", "2.2.3", kKey2Ro,
     kNondeterministicOutput},
    {"persist", 2, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "2.2.0",
     kKey1RwUpdate},
    {"pexpire", -3, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "2.6.0",
     kKey1RwUpdate},
    {"pexpireat", -3, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "2.6.0",
     kKey1RwUpdate},
    {"pexpiretime", 2, kForward, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "7.0.0",
     kKey1RoAccess},
    {"pfadd", -2, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @hyperloglog @fast",
     "2.8.9", kKey1RwInsert},
    {"pfcount", -2, kForward, kFlagReadonly | kFlagMayReplicate, "@read @hyperloglog @slow",
     "2.8.9", kKeys1OnRwAccess},
    {"pfdebug", 3, kRefuse, kFlagWrite | kFlagDenyoom | kFlagAdmin,
     "@write @hyperloglog @admin @slow @dangerous", "2.8.9", kKey2RwAccess, {}, kOneServer},
    {"pfmerge", -2, kForward, kFlagWrite | kFlagDenyoom, "@write @hyperloglog @slow", "2.8.9",
     kPfmergeKeys},
    {"pfselftest", 1, kRefuse, kFlagAdmin, "@hyperloglog @admin @slow @dangerous", "2.8.9", {}, {},
     kOneServer},
    {"ping", -1, kLocal, kFlagFast, "@fast @connection", "1.0.0", {}, kAllShardsAllSucceeded},
    {"proxy", -2, kLocal, 0, "@slow", "1.0.0"},
    {"proxy|explain", -3, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "1.0.0"},
    {"proxy|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "1.0.0"},
    {"psetex", 4, kForward, kFlagWrite | kFlagDenyoom, "@write @string @slow", "2.6.0",
     kKey1OwUpdate},
    {"psubscribe", -2, kSubscribe, kFlagPubsub | kFlagNoscript | kFlagLoading | kFlagStale,
     "@pubsub @slow", "2.0.0"},
    {"psync", -3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading | kFlagNoMulti,
     "@admin @slow @dangerous", "2.8.0", {}, {}, kForServers},
    {"pttl", 2, kForward, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "2.6.0",
     kKey1RoAccess, kNondeterministicOutput},
    {"publish", 3, kPublish, kFlagPubsub | kFlagLoading | kFlagStale | kFlagFast | kFlagMayReplicate,
     "@pubsub @fast", "2.0.0"},
    {"pubsub", -2, kLocal, 0, "@slow", "2.8.0"},
    {"pubsub|channels", -2, kLocal, kFlagPubsub | kFlagLoading | kFlagStale, "@pubsub @slow",
     "2.8.0"},
    {"pubsub|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow", "6.2.0"},
    {"pubsub|numpat", 2, kLocal, kFlagPubsub | kFlagLoading | kFlagStale, "@pubsub @slow", "2.8.0"},
    {"pubsub|numsub", -2, kLocal, kFlagPubsub | kFlagLoading | kFlagStale, "@pubsub @slow",
     "2.8.0"},
    {"pubsub|shardchannels", -2, kLocal, kFlagPubsub | kFlagLoading | kFlagStale, "@pubsub @slow",
     "7.0.0"},
    {"pubsub|shardnumsub", -2, kLocal, kFlagPubsub | kFlagLoading | kFlagStale, "@pubsub @slow",
     "7.0.0"},
    {"punsubscribe", -1, kLocal, kFlagPubsub | kFlagNoscript | kFlagLoading | kFlagStale,
     "@pubsub @slow", "2.0.0"},
    {"quit", -1, kLocal,
     kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagNoAuth | kFlagAllowBusy,
     "@fast @connection", "1.0.0"},
    {"randomkey", 1, kRandomKey, kFlagReadonly, "@keyspace @read @slow", "1.0.0", {},
     kAllShardsNondeterministicOutput},
    {"readonly", 1, kLocal, kFlagLoading | kFlagStale | kFlagFast, "@fast @connection", "3.0.0"},
    {"readwrite", 1, kLocal, kFlagLoading | kFlagStale | kFlagFast, "@fast @connection", "3.0.0"},
    {"rename", 3, kForward, kFlagWrite, "@keyspace @write @slow", "1.0.0", kRenameKeys},
    {"renamenx", 3, kForward, kFlagWrite | kFlagFast, "@keyspace @write @fast", "1.0.0",
     kRenamenxKeys},
    {"replconf", -1, kRefuse,
     kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale | kFlagAllowBusy,
     "@admin @slow @dangerous", "3.0.0", {}, {}, kForServers},
    {"replicaof", 3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "5.0.0", {}, {}, kOneServer},
    {"reset", 1, kLocal,
     kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagNoAuth | kFlagAllowBusy,
     "@fast @connection", "6.2.0"},
    {"restore", -4, kForward, kFlagWrite | kFlagDenyoom, "@keyspace @write @slow @dangerous",
     "2.6.0", kKey1OwUpdate},
    {"restore-asking", -4, kRefuse, kFlagWrite | kFlagDenyoom | kFlagAsking,
     "@keyspace @write @slow @dangerous", "3.0.0", kKey1OwUpdate, {}, kForServers},
    {"role", 1, kRefuse, kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast,
     "@admin @fast @dangerous", "2.8.12", {}, {}, kOneServer},
    {"rpop", -2, kForward, kFlagWrite | kFlagFast, "@write @list @fast", "1.0.0",
     kKey1RwAccessDelete},
    {"rpoplpush", 3, kForward, kFlagWrite | kFlagDenyoom, "@write @list @slow", "1.2.0",
     kBlmoveKeys},
    {"rpush", -3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @list @fast", "1.0.0",
     kKey1RwInsert},
    {"rpushx", -3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @list @fast", "2.2.0",
     kKey1RwInsert},
    {"sadd", -3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @set @fast", "1.0.0",
     kKey1RwInsert},
    {"save", 1, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading | kFlagNoMulti,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kOneServer},
    {"scan", -2, kScan, kFlagReadonly, "@keyspace @read @slow", "2.8.0", {},
     kNondeterministicOutputSpecial},
    {"scard", 2, kForward, kFlagReadonly | kFlagFast, "@read @set @fast", "1.0.0", kKey1Ro},
    {"script", -2, kLocal, 0, "@slow", "2.6.0"},
    {"script|debug", 3, kRefuse, kFlagNoscript, "@slow @scripting", "3.2.0", {}, {}, kOneServer},
    {"script|exists", -3, kScriptExists, kFlagNoscript, "@slow @scripting", "2.6.0", {},
     kAllShardsAggLogicalAnd},
    {"script|flush", -2, kScriptFlush, kFlagNoscript, "@slow @scripting", "2.6.0", {},
     kAllNodesAllSucceeded, {}, kForAdmins},
    {"script|help", 2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@slow @scripting", "5.0.0"},
    {"script|kill", 2, kKill, kFlagNoscript | kFlagAllowBusy, "@slow @scripting", "2.6.0",
     {}, kAllShardsOneSucceeded, {}, kForAdmins},
    {"script|load", 3, kScriptLoad, kFlagNoscript | kFlagStale, "@slow @scripting", "2.6.0", {},
     kAllNodesAllSucceeded},
    {"sdiff", -2, kForward, kFlagReadonly, "@read @set @slow", "1.0.0", kKeys1OnRoAccess,
     kNondeterministicOutputOrder},
    {"sdiffstore", -3, kForward, kFlagWrite | kFlagDenyoom, "@write @set @slow", "1.0.0",
     kSdiffstoreKeys},
    {"select", 2, kLocal, kFlagLoading | kFlagStale | kFlagFast, "@fast @connection", "1.0.0"},
    {"sentinel", -2, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {}, kForSentinel},
    {"sentinel|ckquorum", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|config", -4, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "6.2.0", {}, {},
     kForSentinel},
    {"sentinel|debug", -2, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "7.0.0", {}, {},
     kForSentinel},
    {"sentinel|failover", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|flushconfig", 2, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|get-master-addr-by-name", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4",
     {}, {}, kForSentinel},
    {"sentinel|help", 2, kRefuse, kFlagLoading | kFlagStale, "@slow", "6.2.0", {}, {},
     kForSentinel},
    {"sentinel|info-cache", -3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "3.2.0", {}, {},
     kForSentinel},
    {"sentinel|is-master-down-by-addr", 6, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4",
     {}, {}, kForSentinel},
    {"sentinel|master", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|masters", 2, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|monitor", 6, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|myid", 2, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "6.2.0", {}, {},
     kForSentinel},
    {"sentinel|pending-scripts", 2, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|remove", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|replicas", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "5.0.0", {}, {},
     kForSentinel},
    {"sentinel|reset", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|sentinels", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|set", -5, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.4", {}, {},
     kForSentinel},
    {"sentinel|simulate-failure", -3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "3.2.0", {},
     {}, kForSentinel},
    {"sentinel|slaves", 3, kRefuse, kFlagAdmin, "@admin @slow @dangerous", "2.8.0", {}, {},
     kForSentinel},
    {"set", -3, kForward, kFlagWrite | kFlagDenyoom, "@write @string @slow", "1.0.0",
     kKey1RwAccessUpdateVariableFlags},
    {"setbit", 4, kForward, kFlagWrite | kFlagDenyoom, "@write @bitmap @slow", "2.2.0",
     kKey1RwAccessUpdate},
    {"setex", 4, kForward, kFlagWrite | kFlagDenyoom, "@write @string @slow", "2.0.0",
     kKey1OwUpdate},
    {"setnx", 3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @string @fast", "1.0.0",
     kKey1OwInsert},
    {"setrange", 4, kForward, kFlagWrite | kFlagDenyoom, "@write @string @slow", "2.2.0",
     kKey1RwUpdate},
    {"sflush", -3, kRefuse, kFlagWrite, "@keyspace @write @slow @dangerous", "8.0.0", {}, {},
     "SFLUSH counts slots as Redis Cluster does, this proxy has other slots; use UNLINK"},
    {"shutdown", -1, kRefuse,
     kFlagAdmin | kFlagNoscript | kFlagLoading | kFlagStale | kFlagNoMulti | kFlagAllowBusy,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kOneServer},
    {"sinter", -2, kForward, kFlagReadonly, "@read @set @slow", "1.0.0", kKeys1OnRoAccess,
     kNondeterministicOutputOrder},
    {"sintercard", -3, kForward, kFlagReadonly | kFlagMovableKeys, "@read @set @slow", "7.0.0",
     kSintercardKeys},
    {"sinterstore", -3, kForward, kFlagWrite | kFlagDenyoom, "@write @set @slow", "1.0.0",
     kSinterstoreKeys},
    {"sismember", 3, kForward, kFlagReadonly | kFlagFast, "@read @set @fast", "1.0.0", kKey1Ro},
    {"slaveof", 3, kRefuse, kFlagAdmin | kFlagNoscript | kFlagStale | kFlagNoAsyncLoading,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kOneServer},
    {"slotshashkey", -1, kLocal, kFlagFast, "@fast @connection", "3.2.0"},
    {"slotsinfo", 2, kLocal, kFlagReadonly, "@read @slow", "3.2.0"},
    {"slotsmapping", -1, kLocal, kFlagLoading | kFlagStale, "@slow @connection", "3.2.0"},
    {"slotsscan", -3, kLocal, kFlagReadonly, "@keyspace @read @slow", "3.2.0"},
    {"slowlog", -2, kLocal, 0, "@slow", "2.2.12"},
    {"slowlog|get", -2, kLocal, kFlagAdmin | kFlagLoading | kFlagStale, "@admin @slow @dangerous",
     "2.2.12", {}, kAllNodesNondeterministicOutput},
    {"slowlog|help", 2, kLocal, kFlagLoading | kFlagStale, "@slow", "6.2.0"},
    {"slowlog|len", 2, kLocal, kFlagAdmin | kFlagLoading | kFlagStale, "@admin @slow @dangerous",
     "2.2.12", {}, kAllNodesAggSumNondeterministicOutput},
    {"slowlog|reset", 2, kLocal, kFlagAdmin | kFlagLoading | kFlagStale, "@admin @slow @dangerous",
     "2.2.12", {}, kAllNodesAllSucceeded, {}, kForAdmins},
    {"smembers", 2, kForward, kFlagReadonly, "@read @set @slow", "1.0.0", kKey1RoAccess,
     kNondeterministicOutputOrder},
    {"smismember", -3, kForward, kFlagReadonly | kFlagFast, "@read @set @fast", "6.2.0",
     kKey1RoAccess},
    {"smove", 4, kForward, kFlagWrite | kFlagFast, "@write @set @fast", "1.0.0", kBlmoveKeys},
    {"sort", -2, kForward, kFlagWrite | kFlagDenyoom | kFlagMovableKeys,
     "@write @set @sortedset @list @slow @dangerous", "1.0.0", kSortKeys},
    {"sort_ro", -2, kForward, kFlagReadonly | kFlagMovableKeys,
     "@read @set @sortedset @list @slow @dangerous", "7.0.0", kSortRoKeys},
    {"spop", -2, kForward, kFlagWrite | kFlagFast, "@write @set @fast", "1.0.0",
     kKey1RwAccessDelete, kNondeterministicOutput},
    {"spublish", 3, kPublish,
     kFlagPubsub | kFlagLoading | kFlagStale | kFlagFast | kFlagMayReplicate, "@pubsub @fast",
     "7.0.0", kKey1NotKey},
    {"srandmember", -2, kForward, kFlagReadonly, "@read @set @slow", "1.0.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"srem", -3, kForward, kFlagWrite | kFlagFast, "@write @set @fast", "1.0.0", kKey1RwDelete},
    {"sscan", -3, kForward, kFlagReadonly, "@read @set @slow", "2.8.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"ssubscribe", -2, kSubscribe, kFlagPubsub | kFlagNoscript | kFlagLoading | kFlagStale,
     "@pubsub @slow", "7.0.0", kKeys1OnNotKey},
    {"strlen", 2, kForward, kFlagReadonly | kFlagFast, "@read @string @fast", "2.2.0", kKey1Ro},
    {"subscribe", -2, kSubscribe, kFlagPubsub | kFlagNoscript | kFlagLoading | kFlagStale,
     "@pubsub @slow", "2.0.0"},
    {"substr", 4, kForward, kFlagReadonly, "@read @string @slow", "1.0.0", kKey1RoAccess},
    {"sunion", -2, kForward, kFlagReadonly, "@read @set @slow", "1.0.0", kKeys1OnRoAccess,
     kNondeterministicOutputOrder},
    {"sunionstore", -3, kForward, kFlagWrite | kFlagDenyoom, "@write @set @slow", "1.0.0",
     kSdiffstoreKeys},
    {"sunsubscribe", -1, kLocal, kFlagPubsub | kFlagNoscript | kFlagLoading | kFlagStale,
     "@pubsub @slow", "7.0.0", kKeys1OnNotKey},
    {"swapdb", 3, kRefuse, kFlagWrite | kFlagFast, "@keyspace @write @fast @dangerous", "4.0.0", {},
     {}, "SWAPDB cannot happen in all groups at once, and requests on their way would meet either "
     "database; run it on each server itself"},
    {"sync", 1, kRefuse, kFlagAdmin | kFlagNoscript | kFlagNoAsyncLoading | kFlagNoMulti,
     "@admin @slow @dangerous", "1.0.0", {}, {}, kForServers},
    {"time", 1, kLocal, kFlagLoading | kFlagStale | kFlagFast, "@fast", "2.6.0", {},
     kNondeterministicOutput},
    {"touch", -2, kSplitSum, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "3.2.1",
     kKeys1OnRo, kMultiShardAggSum},
    {"ttl", 2, kForward, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "1.0.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"type", 2, kForward, kFlagReadonly | kFlagFast, "@keyspace @read @fast", "1.0.0", kKey1Ro},
    {"unlink", -2, kSplitSum, kFlagWrite | kFlagFast, "@keyspace @write @fast", "4.0.0",
     kKeys1OnRmDelete, kMultiShardAggSum},
    {"unsubscribe", -1, kLocal, kFlagPubsub | kFlagNoscript | kFlagLoading | kFlagStale,
     "@pubsub @slow", "2.0.0"},
    {"unwatch", 1, kTransaction, kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagAllowBusy,
     "@fast @transaction", "2.2.0"},
    {"wait", 3, kWait, kFlagNoscript, "@slow @connection", "3.0.0", {}, kAllShardsAggMin},
    {"waitaof", 4, kWait, kFlagBlocking, "@slow @blocking @connection", "7.2.0", {},
     kAllShardsAggMin},
    {"watch", -2, kTransaction, kFlagNoscript | kFlagLoading | kFlagStale | kFlagFast | kFlagAllowBusy,
     "@fast @transaction", "2.2.0", kKeys1OnRo},
    {"xack", -4, kForward, kFlagWrite | kFlagFast, "@write @stream @fast", "5.0.0", kKey1RwUpdate},
    {"xadd", -5, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @stream @fast", "5.0.0",
     kKey1RwUpdate, kNondeterministicOutput},
    {"xautoclaim", -6, kForward, kFlagWrite | kFlagFast, "@write @stream @fast", "6.2.0",
     kKey1RwDelete, kNondeterministicOutput},
    {"xclaim", -6, kForward, kFlagWrite | kFlagFast, "@write @stream @fast", "5.0.0", kKey1RwUpdate,
     kNondeterministicOutput},
    {"xdel", -3, kForward, kFlagWrite | kFlagFast, "@write @stream @fast", "5.0.0", kKey1RwDelete},
    {"xgroup", -2, kLocal, 0, "@slow", "5.0.0"},
    {"xgroup|create", -5, kForward, kFlagWrite | kFlagDenyoom, "@write @stream @slow", "5.0.0",
     kKey2RwInsert},
    {"xgroup|createconsumer", 5, kForward, kFlagWrite | kFlagDenyoom, "@write @stream @slow",
     "6.2.0", kKey2RwInsert},
    {"xgroup|delconsumer", 5, kForward, kFlagWrite, "@write @stream @slow", "5.0.0", kKey2RwDelete},
    {"xgroup|destroy", 4, kForward, kFlagWrite, "@write @stream @slow", "5.0.0", kKey2RwDelete},
    {"xgroup|help", 2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@stream @slow", "5.0.0"},
    {"xgroup|setid", -5, kForward, kFlagWrite, "@write @stream @slow", "5.0.0", kKey2RwUpdate},
    {"xinfo", -2, kLocal, 0, "@slow", "5.0.0"},
    {"xinfo|consumers", 4, kForward, kFlagReadonly, "@read @stream @slow", "5.0.0", kKey2RoAccess,
     kNondeterministicOutput},
    {"xinfo|groups", 3, kForward, kFlagReadonly, "@read @stream @slow", "5.0.0", kKey2RoAccess},
    {"xinfo|help", 2, kForwardAnyGroup, kFlagLoading | kFlagStale, "@stream @slow", "5.0.0"},
    {"xinfo|stream", -3, kForward, kFlagReadonly, "@read @stream @slow", "5.0.0", kKey2RoAccess},
    {"xlen", 2, kForward, kFlagReadonly | kFlagFast, "@read @stream @fast", "5.0.0", kKey1Ro},
    {"xpending", -3, kForward, kFlagReadonly, "@read @stream @slow", "5.0.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"xrange", -4, kForward, kFlagReadonly, "@read @stream @slow", "5.0.0", kKey1RoAccess},
    {"xread", -4, kForward, kFlagReadonly | kFlagBlocking | kFlagMovableKeys,
     "@read @stream @slow @blocking", "5.0.0", kXreadKeys},
    {"xreadgroup", -7, kForward, kFlagWrite | kFlagBlocking | kFlagMovableKeys,
     "@write @stream @slow @blocking", "5.0.0", kXreadgroupKeys},
    {"xrevrange", -4, kForward, kFlagReadonly, "@read @stream @slow", "5.0.0", kKey1RoAccess},
    {"xsetid", -3, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @stream @fast", "5.0.0",
     kKey1RwUpdate},
    {"xtrim", -4, kForward, kFlagWrite, "@write @stream @slow", "5.0.0", kKey1RwDelete,
     kNondeterministicOutput},
    {"zadd", -4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @sortedset @fast",
     "1.2.0", kKey1RwUpdate},
    {"zcard", 2, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "1.2.0", kKey1Ro},
    {"zcount", 4, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "2.0.0",
     kKey1RoAccess},
    {"zdiff", -3, kForward, kFlagReadonly | kFlagMovableKeys, "@read @sortedset @slow", "6.2.0",
     kSintercardKeys},
    {"zdiffstore", -4, kForward, kFlagWrite | kFlagDenyoom | kFlagMovableKeys,
     "@write @sortedset @slow", "6.2.0", kZdiffstoreKeys},
    {"zincrby", 4, kForward, kFlagWrite | kFlagDenyoom | kFlagFast, "@write @sortedset @fast",
     "1.2.0", kKey1RwAccessUpdate},
    {"zinter", -3, kForward, kFlagReadonly | kFlagMovableKeys, "@read @sortedset @slow", "6.2.0",
     kSintercardKeys},
    {"zintercard", -3, kForward, kFlagReadonly | kFlagMovableKeys, "@read @sortedset @slow",
     "7.0.0", kSintercardKeys},
    {"zinterstore", -4, kForward, kFlagWrite | kFlagDenyoom | kFlagMovableKeys,
     "@write @sortedset @slow", "2.0.0", kZdiffstoreKeys},
    {"zlexcount", 4, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "2.8.9",
     kKey1RoAccess},
    {"zmpop", -4, kForward, kFlagWrite | kFlagMovableKeys, "@write @sortedset @slow", "7.0.0",
     kLmpopKeys},
    {"zmscore", -3, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "6.2.0",
     kKey1RoAccess},
    {"zpopmax", -2, kForward, kFlagWrite | kFlagFast, "@write @sortedset @fast", "5.0.0",
     kKey1RwAccessDelete},
    {"zpopmin", -2, kForward, kFlagWrite | kFlagFast, "@write @sortedset @fast", "5.0.0",
     kKey1RwAccessDelete},
    {"zrandmember", -2, kForward, kFlagReadonly, "@read @sortedset @slow", "6.2.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"zrange", -4, kForward, kFlagReadonly, "@read @sortedset @slow", "1.2.0", kKey1RoAccess},
    {"zrangebylex", -4, kForward, kFlagReadonly, "@read @sortedset @slow", "2.8.9", kKey1RoAccess},
    {"zrangebyscore", -4, kForward, kFlagReadonly, "@read @sortedset @slow", "1.0.5",
     kKey1RoAccess},
    {"zrangestore", -5, kForward, kFlagWrite | kFlagDenyoom, "@write @sortedset @slow", "6.2.0",
     kGeosearchstoreKeys},
    {"zrank", -3, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "2.0.0",
     kKey1RoAccess},
    {"zrem", -3, kForward, kFlagWrite | kFlagFast, "@write @sortedset @fast", "1.2.0",
     kKey1RwDelete},
    {"zremrangebylex", 4, kForward, kFlagWrite, "@write @sortedset @slow", "2.8.9", kKey1RwDelete},
    {"zremrangebyrank", 4, kForward, kFlagWrite, "@write @sortedset @slow", "2.0.0", kKey1RwDelete},
    {"zremrangebyscore", 4, kForward, kFlagWrite, "@write @sortedset @slow", "1.2.0",
     kKey1RwDelete},
    {"zrevrange", -4, kForward, kFlagReadonly, "@read @sortedset @slow", "1.2.0", kKey1RoAccess},
    {"zrevrangebylex", -4, kForward, kFlagReadonly, "@read @sortedset @slow", "2.8.9",
     kKey1RoAccess},
    {"zrevrangebyscore", -4, kForward, kFlagReadonly, "@read @sortedset @slow", "2.2.0",
     kKey1RoAccess},
    {"zrevrank", -3, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "2.0.0",
     kKey1RoAccess},
    {"zscan", -3, kForward, kFlagReadonly, "@read @sortedset @slow", "2.8.0", kKey1RoAccess,
     kNondeterministicOutput},
    {"zscore", 3, kForward, kFlagReadonly | kFlagFast, "@read @sortedset @fast", "1.2.0",
     kKey1RoAccess},
    {"zunion", -3, kForward, kFlagReadonly | kFlagMovableKeys, "@read @sortedset @slow", "6.2.0",
     kSintercardKeys},
    {"zunionstore", -4, kForward, kFlagWrite | kFlagDenyoom | kFlagMovableKeys,
     "@write @sortedset @slow", "2.0.0", kZdiffstoreKeys},
};
// clang-format on

static_assert(std::size(kRows) == kCommandCount);

constexpr bool is_subcommand(std::string_view name) {
  return name.find('|') != std::string_view::npos;
}

constexpr bool is_in(std::string_view name, std::string_view container) {
  return name.size() > container.size() && name.starts_with(container) &&
         name[container.size()] == '|';
}

constexpr CommandClass class_of(const Row& row) {
  if (row.action == kEval || row.name.starts_with("fcall") || row.name.starts_with("script") ||
      row.name.starts_with("function")) {
    return CommandClass::kScript;
  }
  switch (row.action) {
    case kForward:
      return (row.flags & kFlagWrite) != 0 ? CommandClass::kWrite : CommandClass::kRead;
    case kPublish:
      return CommandClass::kWrite;
    case kForwardAnyGroup:
    case kSubscribe:
    case kLocal:
    case kRefuse:
      return CommandClass::kAdmin;
    default:
      return CommandClass::kMulti;
  }
}

constexpr KeyRule rule_of(std::string_view name) {
  if (name == "xread" || name == "xreadgroup") return KeyRule::kStreams;
  if (name == "sort") return KeyRule::kSort;
  if (name == "georadius" || name == "georadiusbymember") return KeyRule::kGeoStore;
  if (name == "migrate") return KeyRule::kMigrate;
  return KeyRule::kSpecs;
}

// The one range (first, last, step) that the COMMAND reply had before key specs: the ranges at
// fixed places, as long as each begins where the one before ends.
//   Source: https://redis.io/docs/latest/commands/command/ and what redis-server 7.0 prints.
constexpr void set_legacy_range(Command& command) {
  const auto specs = command.key_specs;
  const auto is_fixed = [](const KeySpec& spec) {
    return spec.begin == KeySpec::Begin::kIndex && spec.find == KeySpec::Find::kRange;
  };
  int16_t last_taken = 0;
  for (const KeySpec& spec : specs) {
    if (!is_fixed(spec)) continue;
    if (specs.size() > 1 &&
        (spec.key_step != 1 || (last_taken != 0 && last_taken != spec.index - 1))) {
      continue;
    }
    if (command.first_key == 0) command.first_key = spec.index;
    command.key_step = spec.key_step;
    last_taken =
        static_cast<int16_t>(spec.last_key >= 0 ? spec.index + spec.last_key : spec.last_key);
    command.last_key = last_taken;
  }
  const bool is_single = specs.size() == 1 && is_fixed(specs[0]) && specs[0].last_key == 0 &&
                         (specs[0].flags & kKeyNotKey) == 0;
  // The quick path looks at nothing but the key; SORT_RO's patterns have to be looked at too.
  if (is_single && command.name != "sort_ro")
    command.single_key = static_cast<uint8_t>(specs[0].index);
}

// `all` is where the table will stand: subcommands are spans of it.
constexpr Commands finished(const Command* all) {
  Commands commands{};
  for (size_t at = 0; at < kCommandCount; ++at) {
    const Row& row = kRows[at];
    Command& command = commands.rows[at];
    command.name = row.name;
    command.arity = row.arity;
    command.index = static_cast<uint16_t>(at);
    command.action = row.action;
    command.command_class = class_of(row);
    command.flags = row.flags;
    command.proxy_admin = row.who == Who::kAdmins;
    command.key_rule = rule_of(row.name);
    command.acl_categories = row.acl_categories;
    command.tips = row.tips;
    command.key_specs = row.key_specs;
    command.since = row.since;
    command.refusal = row.refusal;
    set_legacy_range(command);
    size_t end = at + 1;
    while (end < kCommandCount && is_in(kRows[end].name, row.name)) ++end;
    command.subcommands = {all + at + 1, end - at - 1};
  }
  return commands;
}

constexpr std::array<const Command*, kTopLevelCount> top_level(const Command* all) {
  std::array<const Command*, kTopLevelCount> commands{};
  size_t count = 0;
  for (size_t at = 0; at < kCommandCount; ++at) {
    if (!is_subcommand(kRows[at].name)) commands.at(count++) = all + at;
  }
  if (count != kTopLevelCount) throw "kTopLevelCount is wrong";  // Stops the compilation.
  return commands;
}

constexpr NameIndex<1024> top_level_names() {
  NameIndex<1024> index;
  for (size_t at = 0; at < kCommandCount; ++at) {
    if (at > 0 && !(kRows[at - 1].name < kRows[at].name)) throw "kRows are not sorted";
    if (is_subcommand(kRows[at].name)) continue;
    if (!index.insert(kRows[at].name, static_cast<uint16_t>(at))) throw "a name is too long";
  }
  return index;
}

constexpr const Command* kAll = kCommands.rows;

}  // namespace

constinit const Commands kCommands = finished(kAll);
constinit const std::array<const Command*, kTopLevelCount> kTopLevel = top_level(kAll);
constinit const NameIndex<1024> kTopLevelNames = top_level_names();

}  // namespace pikaproxy::command_data
