#include "proxy/routing/ketama_router.h"

#include <algorithm>
#include <cassert>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "common/text.h"
#include "common/twemproxy_names.h"
#include "proxy/routing/md5.h"

namespace pikaproxy {
namespace {

static_assert(FLT_EVAL_METHOD == 0, "digests_of() must round to float after every step");

// Without a name of its own, a server's name is without its port if that is memcached's.
constexpr uint16_t kMemcachedPort = 11211;
// twemproxy cuts what it hashes for a point of the ring to so many bytes.
constexpr size_t kPointNameMax = 272;
// Points that an MD5 digest makes, and that a server of average weight has.
constexpr unsigned kPointsPerDigest = 4;
constexpr unsigned kPointsPerServer = 160;

// How many digests a server gets on the ring.
//   Source: nc_ketama.c. It computes in float and adds a little before it rounds down; the same
//   steps here, because with other roundings some servers would have a digest more or less.
uint32_t digests_of(uint32_t weight, uint32_t weight_total, size_t servers) noexcept {
  const float share = static_cast<float>(weight) / static_cast<float>(weight_total);
  const float exact = share * kPointsPerServer / kPointsPerDigest * static_cast<float>(servers);
  return static_cast<uint32_t>(std::floor(static_cast<float>(exact + 0.0000000001)));
}

// The index of the first end that is not less than `value`; ends.size() if all are.
//   Shape: ends are ascending and not empty.
size_t first_not_less(const std::vector<uint32_t>& ends, uint32_t value) noexcept {
  // Steps over halves by arithmetic, because a branch would go wrong every second time: 65 ns
  // instead of 90 for place() on a ring of 16 servers, compared with std::lower_bound.
  const uint32_t* at = ends.data();
  for (size_t left = ends.size(); left > 1;) {
    const size_t half = left / 2;
    at += half & -static_cast<size_t>(at[half - 1] < value);
    left -= half;
  }
  return static_cast<size_t>(at - ends.data()) + (*at < value ? 1 : 0);
}

// The order of twemproxy's servers: shorter names first. modula counts in it, and where points of
// the ring are equal the first server has them.
bool twemproxy_less(const std::string& a, const std::string& b) noexcept {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace

std::string ketama_name_of(const GroupConfig& group) {
  if (!group.ketama_name.empty()) return group.ketama_name;
  const Address& server = group.server;
  if (server.is_unix()) return server.path + ":";
  if (server.port == kMemcachedPort) return server.host;
  return server.host + ":" + std::to_string(server.port);
}

Result<std::unique_ptr<KetamaRouter>> KetamaRouter::make(const KetamaConfig& config,
                                                         const std::vector<GroupConfig>& groups) {
  const HashFunction hash = hash_function(config.hash);
  if (hash == nullptr) {
    return Error{"ketama.hash = " + quote(config.hash) +
                 " is not one of twemproxy's hash functions: use " + join(kTwemproxyHashes) + "."};
  }
  std::optional<Distribution> distribution;
  if (config.distribution == "ketama") distribution = Distribution::kKetama;
  if (config.distribution == "modula") distribution = Distribution::kModula;
  if (config.distribution == "random") distribution = Distribution::kRandom;
  if (!distribution) {
    return Error{"ketama.distribution = " + quote(config.distribution) +
                 " is not one of twemproxy's distributions: use " + join(kTwemproxyDistributions) +
                 "."};
  }
  if ((distribution == Distribution::kKetama || config.hash == "md5") && !md5_available()) {
    return Error{
        "OpenSSL offers no MD5, without which keys cannot be placed as twemproxy places "
        "them: allow MD5 in the machine's OpenSSL configuration."};
  }
  if (!config.hash_tag.empty() && config.hash_tag.size() != 2) {
    return Error{"ketama.hash_tag = " + quote(config.hash_tag) +
                 " does not have two characters: write two such as \"{}\", or leave it out."};
  }
  if (groups.empty()) {
    return Error{"router = \"ketama\" needs at least one [[group]], and there is none."};
  }
  if (groups.size() >= kNoGroup) {
    return Error{"There are " + std::to_string(groups.size()) + " groups; use at most " +
                 std::to_string(kNoGroup - 1) + "."};
  }

  std::vector<Server> servers;
  servers.reserve(groups.size());
  uint64_t weight_total = 0;
  for (const GroupConfig& group : groups) {
    if (group.weight == 0) {
      return Error{"Group " + quote(group.name) + " has the weight 0: give it at least 1."};
    }
    weight_total += group.weight;
    servers.push_back(
        Server{ketama_name_of(group), group.weight, static_cast<GroupIndex>(servers.size())});
  }
  if (weight_total > std::numeric_limits<uint32_t>::max()) {
    return Error{"The weights of the groups add up to " + std::to_string(weight_total) +
                 ", and at most 4294967295 can be counted: use smaller weights."};
  }
  std::ranges::sort(servers, twemproxy_less, &Server::name);
  const auto twin = std::ranges::adjacent_find(servers, {}, &Server::name);
  if (twin != servers.end()) {
    return Error{"The groups " + quote(groups[twin[0].group].name) + " and " +
                 quote(groups[twin[1].group].name) + " both place keys by the name " +
                 quote(twin->name) + ": give each a ketama_name of its own."};
  }

  Shares shares;
  switch (*distribution) {
    case Distribution::kKetama:
      shares = ketama_shares(servers, static_cast<uint32_t>(weight_total));
      break;
    case Distribution::kModula:
      shares = modula_shares(servers);
      break;
    case Distribution::kRandom:
      shares = random_shares(servers);
      break;
  }
  return std::unique_ptr<KetamaRouter>(
      new KetamaRouter(hash, *distribution, config.hash_tag, std::move(shares)));
}

KetamaRouter::KetamaRouter(HashFunction hash, Distribution distribution, std::string_view tag,
                           Shares shares)
    : hash_(hash),
      distribution_(distribution),
      has_tag_(!tag.empty()),
      tag_open_(has_tag_ ? tag[0] : '\0'),
      tag_close_(has_tag_ ? tag[1] : '\0'),
      shares_(std::move(shares)) {
  assert(!shares_.owners.empty());
}

KetamaRouter::Shares KetamaRouter::ketama_shares(const std::vector<Server>& servers,
                                                 uint32_t weight_total) {
  struct Point {
    uint32_t value;
    GroupIndex group;
  };
  std::vector<Point> points;
  points.reserve(servers.size() * kPointsPerServer);
  std::string text;
  for (const Server& server : servers) {
    const uint32_t digests = digests_of(server.weight, weight_total, servers.size());
    for (uint32_t i = 0; i < digests; ++i) {
      text = server.name + "-" + std::to_string(i);
      if (text.size() > kPointNameMax) text.resize(kPointNameMax);
      const auto digest = md5(text);
      for (unsigned word = 0; word < kPointsPerDigest; ++word) {
        points.push_back(Point{md5_word(digest, word), server.group});
      }
    }
  }
  // Stable, as glibc's qsort is: equal points stay in the order of the servers.
  std::ranges::stable_sort(points, {}, &Point::value);
  Shares shares;
  shares.ends.reserve(points.size());
  shares.owners.reserve(points.size());
  for (const Point& point : points) {
    shares.ends.push_back(point.value);
    shares.owners.push_back(point.group);
  }
  return shares;
}

KetamaRouter::Shares KetamaRouter::modula_shares(const std::vector<Server>& servers) {
  // As if each server stood in a row as often as its weight says, without making that row.
  Shares shares;
  uint32_t sum = 0;
  for (const Server& server : servers) {
    sum += server.weight;
    shares.ends.push_back(sum - 1);
    shares.owners.push_back(server.group);
  }
  return shares;
}

KetamaRouter::Shares KetamaRouter::random_shares(const std::vector<Server>& servers) {
  // twemproxy ignores the weights here.
  Shares shares;
  for (const Server& server : servers) shares.owners.push_back(server.group);
  return shares;
}

std::string_view KetamaRouter::hashed_part(std::string_view key) const noexcept {
  if (!has_tag_) return key;
  const size_t open = key.find(tag_open_);
  if (open == std::string_view::npos) return key;
  const size_t close = key.find(tag_close_, open + 1);
  // Unlike in the slot scheme, an empty pair does not count; and only the first pair is looked at.
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Place KetamaRouter::place(std::string_view key) const noexcept {
  size_t share = 0;
  if (distribution_ == Distribution::kRandom) {
    thread_local std::minstd_rand random{std::random_device{}()};
    share = random() % shares_.owners.size();
  } else {
    const std::string_view part = hashed_part(key);
    // An empty key hashes to 0, whatever the function makes of it.
    uint32_t hash = part.empty() ? 0 : hash_(part);
    // The last end is the sum of the weights less one.
    if (distribution_ == Distribution::kModula) hash %= shares_.ends.back() + 1;
    share = first_not_less(shares_.ends, hash);
    // Above the last point of the ring its first server follows.
    if (share == shares_.ends.size()) share = 0;
  }
  const GroupIndex group = shares_.owners[share];
  return Place{group, group != kNoGroup, group};
}

}  // namespace pikaproxy
