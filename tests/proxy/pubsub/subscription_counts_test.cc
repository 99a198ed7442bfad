#include "proxy/pubsub/subscription_counts.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("proxy/subscription_counts") {
  TEST_CASE("a name is known for as long as somebody subscribes to it") {
    SubscriptionCounts counts;
    counts.add(ChannelKind::kChannel, "news");
    counts.add(ChannelKind::kChannel, "news");
    CHECK(counts.count(ChannelKind::kChannel, "news") == 2);
    CHECK(counts.size(ChannelKind::kChannel) == 1);
    counts.remove(ChannelKind::kChannel, "news");
    CHECK(counts.count(ChannelKind::kChannel, "news") == 1);
    counts.remove(ChannelKind::kChannel, "news");
    CHECK(counts.size(ChannelKind::kChannel) == 0);
    counts.remove(ChannelKind::kChannel, "news");
    CHECK(counts.count(ChannelKind::kChannel, "news") == 0);
  }

  TEST_CASE("kinds have names of their own") {
    SubscriptionCounts counts;
    counts.add(ChannelKind::kShard, "news");
    CHECK(counts.count(ChannelKind::kChannel, "news") == 0);
    CHECK(counts.matches(ChannelKind::kChannel, "news").empty());
    REQUIRE(counts.matches(ChannelKind::kShard, "news").size() == 1);
    CHECK(counts.matches(ChannelKind::kShard, "news").front().count == 1);
  }

  TEST_CASE("a message matches its channel and all patterns that fit, a sharded one no pattern") {
    SubscriptionCounts counts;
    counts.add(ChannelKind::kChannel, "news");
    counts.add(ChannelKind::kShard, "news");
    for (const auto pattern : {"n*", "n*", "*s", "x*"}) counts.add(ChannelKind::kPattern, pattern);
    uint64_t total = 0;
    for (const auto& match : counts.matches(ChannelKind::kChannel, "news")) total += match.count;
    CHECK(total == 4);
    CHECK(counts.matches(ChannelKind::kShard, "news").size() == 1);
    CHECK(counts.matches(ChannelKind::kChannel, "other").empty());
  }

  TEST_CASE("names are listed by a pattern") {
    SubscriptionCounts counts;
    for (const auto name : {"a1", "a2", "b1", ""}) counts.add(ChannelKind::kChannel, name);
    auto names = counts.names(ChannelKind::kChannel, "a*");
    std::sort(names.begin(), names.end());
    CHECK(names == std::vector<std::string>{"a1", "a2"});
    CHECK(counts.names(ChannelKind::kChannel, "*").size() == 3);  // Not "", as in Redis.
    CHECK(counts.names(ChannelKind::kPattern, "*").empty());
  }
}
