// Which replies have another form in RESP3.

#include <algorithm>
#include <iterator>
#include <vector>

#include "common/ascii.h"
#include "proxy/backend/reply_lift.h"

namespace pikaproxy {
namespace {

using Kind = ReplyShape::Kind;
using Field = ReplyShape::Field;

constexpr ReplyShape kDouble{.kind = Kind::kDouble};
constexpr ReplyShape kDoubles{.kind = Kind::kArray, .inner = &kDouble};
constexpr ReplyShape kSet{.kind = Kind::kSet};
constexpr ReplyShape kMap{.kind = Kind::kMap};
constexpr ReplyShape kMaps{.kind = Kind::kArray, .inner = &kMap};
constexpr ReplyShape kPairs{.kind = Kind::kPairs};
constexpr ReplyShape kScorePairs{.kind = Kind::kPairs, .inner = &kDouble};
// ZPOPMIN without a count: one member and its score, or nothing.
constexpr ReplyShape kMemberScore{.kind = Kind::kAlternating, .inner = &kDouble};
constexpr ReplyShape kStreams{.kind = Kind::kMapOfPairs};

constexpr const ReplyShape* kSecondDouble[] = {nullptr, &kDouble};
constexpr ReplyShape kPairWithScore{.kind = Kind::kTuple, .tuple = kSecondDouble};
constexpr ReplyShape kPairsWithScore{.kind = Kind::kArray, .inner = &kPairWithScore};
constexpr const ReplyShape* kSecondPairs[] = {nullptr, &kPairsWithScore};
constexpr ReplyShape kZmpop{.kind = Kind::kTuple, .tuple = kSecondPairs};
constexpr const ReplyShape* kThirdDouble[] = {nullptr, nullptr, &kDouble};
constexpr ReplyShape kBzpop{.kind = Kind::kTuple, .tuple = kThirdDouble};

// Positions: an array of (longitude, latitude). GEOSEARCH has them within each element, if at all.
constexpr ReplyShape kPositions{.kind = Kind::kArray, .inner = &kDoubles};
constexpr ReplyShape kPlaces{.kind = Kind::kArray, .inner = &kPositions};

constexpr ReplyShape kStreamConsumers{.kind = Kind::kArray, .inner = &kMap};
constexpr Field kStreamGroupFields[] = {{"consumers", &kStreamConsumers}};
constexpr ReplyShape kStreamGroup{.kind = Kind::kMap, .fields = kStreamGroupFields};
constexpr ReplyShape kStreamGroups{.kind = Kind::kArray, .inner = &kStreamGroup};
// Without FULL "groups" is a number.
constexpr Field kStreamFields[] = {{"groups", &kStreamGroups}};
constexpr ReplyShape kStreamInfo{.kind = Kind::kMap, .fields = kStreamFields};

constexpr Field kFunctionFields[] = {{"flags", &kSet}};
constexpr ReplyShape kFunction{.kind = Kind::kMap, .fields = kFunctionFields};
constexpr ReplyShape kFunctions{.kind = Kind::kArray, .inner = &kFunction};
constexpr Field kLibraryFields[] = {{"functions", &kFunctions}};
constexpr ReplyShape kLibrary{.kind = Kind::kMap, .fields = kLibraryFields};
constexpr ReplyShape kLibraries{.kind = Kind::kArray, .inner = &kLibrary};
constexpr ReplyShape kEngines{.kind = Kind::kMap, .inner = &kMap};
constexpr Field kFunctionStatsFields[] = {{"engines", &kEngines}, {"running_script", &kMap}};
constexpr ReplyShape kFunctionStats{.kind = Kind::kMap, .fields = kFunctionStatsFields};

extern const ReplyShape kCommandArguments;
constexpr Field kCommandArgumentFields[] = {{"flags", &kSet}, {"arguments", &kCommandArguments}};
constexpr ReplyShape kCommandArgument{.kind = Kind::kMap, .fields = kCommandArgumentFields};
constexpr ReplyShape kCommandArguments{.kind = Kind::kArray, .inner = &kCommandArgument};
extern const ReplyShape kCommandDocs;
constexpr Field kCommandDocFields[] = {{"doc_flags", &kSet},
                                       {"history", &kSet},
                                       {"arguments", &kCommandArguments},
                                       {"subcommands", &kCommandDocs}};
constexpr ReplyShape kCommandDoc{.kind = Kind::kMap, .fields = kCommandDocFields};
constexpr ReplyShape kCommandDocs{.kind = Kind::kMap, .inner = &kCommandDoc};

using Condition = bool (*)(Arguments args);

bool always(Arguments) {
  return true;
}
// The count of SPOP key count and its like.
bool has_count(Arguments args) {
  return args.size() > 2;
}
bool ends_with(Arguments args, std::string_view word) {
  return args.size() > 3 && equals_ignoring_case(args.back(), word);
}
bool with_scores_last(Arguments args) {
  return ends_with(args, "WITHSCORES");
}
// ZUNION and its like: behind the keys.
bool with_scores_behind_keys(Arguments args) {
  int64_t keys = 0;
  if (!parse_integer(args[1], keys) || keys < 1) return false;
  for (size_t i = 2 + static_cast<size_t>(keys); i < args.size(); ++i) {
    if (equals_ignoring_case(args[i], "WITHSCORES")) return true;
  }
  return false;
}
bool with_score_last(Arguments args) {
  return ends_with(args, "WITHSCORE");
}
bool with_values_last(Arguments args) {
  return ends_with(args, "WITHVALUES");
}
// ZRANGE and its like: behind the key and both ends.
bool with_scores(Arguments args) {
  return args.size() > 4 && std::any_of(args.begin() + 4, args.end(), [](std::string_view arg) {
           return equals_ignoring_case(arg, "WITHSCORES");
         });
}
// LCS: behind both keys.
bool with_idx(Arguments args) {
  return args.size() > 3 && std::any_of(args.begin() + 3, args.end(), [](std::string_view arg) {
           return equals_ignoring_case(arg, "IDX");
         });
}
// ZADD: the options stand between the key and the first score.
bool with_incr(Arguments args) {
  constexpr std::string_view kOthers[] = {"NX", "XX", "GT", "LT", "CH"};
  for (size_t i = 2; i < args.size(); ++i) {
    if (equals_ignoring_case(args[i], "INCR")) return true;
    if (std::none_of(std::begin(kOthers), std::end(kOthers), [&](std::string_view option) {
          return equals_ignoring_case(args[i], option);
        })) {
      return false;
    }
  }
  return false;
}

struct Row {
  std::string_view command;
  const ReplyShape* shape;
  Condition applies = always;
};

// The first that applies counts.
constexpr Row kRows[] = {
    {"bzmpop", &kZmpop},
    {"bzpopmax", &kBzpop},
    {"bzpopmin", &kBzpop},
    {"command|docs", &kCommandDocs},
    {"function|list", &kLibraries},
    {"function|stats", &kFunctionStats},
    {"geopos", &kPositions},
    {"georadius", &kPlaces},
    {"georadius_ro", &kPlaces},
    {"georadiusbymember", &kPlaces},
    {"georadiusbymember_ro", &kPlaces},
    {"geosearch", &kPlaces},
    {"hgetall", &kMap},
    {"hrandfield", &kPairs, with_values_last},
    {"lcs", &kMap, with_idx},
    {"sdiff", &kSet},
    {"sinter", &kSet},
    {"smembers", &kSet},
    {"spop", &kSet, has_count},
    {"sunion", &kSet},
    {"xinfo|consumers", &kMaps},
    {"xinfo|groups", &kMaps},
    {"xinfo|stream", &kStreamInfo},
    {"xread", &kStreams},
    {"xreadgroup", &kStreams},
    {"zadd", &kDouble, with_incr},
    {"zdiff", &kScorePairs, with_scores_behind_keys},
    {"zincrby", &kDouble},
    {"zinter", &kScorePairs, with_scores_behind_keys},
    {"zmpop", &kZmpop},
    {"zmscore", &kDoubles},
    {"zpopmax", &kScorePairs, has_count},
    {"zpopmax", &kMemberScore},
    {"zpopmin", &kScorePairs, has_count},
    {"zpopmin", &kMemberScore},
    {"zrandmember", &kScorePairs, with_scores_last},
    {"zrange", &kScorePairs, with_scores},
    {"zrangebyscore", &kScorePairs, with_scores},
    {"zrank", &kPairWithScore, with_score_last},
    {"zrevrange", &kScorePairs, with_scores},
    {"zrevrangebyscore", &kScorePairs, with_scores},
    {"zrevrank", &kPairWithScore, with_score_last},
    {"zscore", &kDouble},
    {"zunion", &kScorePairs, with_scores_behind_keys},
};

// By Command::index.
std::vector<std::vector<const Row*>> make_index() {
  std::vector<std::vector<const Row*>> index(command_count());
  for (size_t i = 0; i < index.size(); ++i) {
    for (const Row& row : kRows) {
      if (row.command == command_at(i).name) index[i].push_back(&row);
    }
  }
  return index;
}

}  // namespace

const ReplyShape* reply_shape(const Command& command, Arguments args) {
  static const std::vector<std::vector<const Row*>> kIndex = make_index();
  for (const Row* row : kIndex[command.index]) {
    if (row->applies(args)) return row->shape;
  }
  return nullptr;
}

}  // namespace pikaproxy
