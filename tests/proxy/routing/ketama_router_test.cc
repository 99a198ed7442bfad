#include "proxy/routing/ketama_router.h"

#include <array>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/twemproxy_names.h"

using namespace pikaproxy;

namespace {

GroupConfig group(std::string name, uint32_t weight = 1) {
  GroupConfig config;
  config.name = "group of " + name;
  config.server = Address{"10.0.0.1", 6379, ""};
  config.ketama_name = std::move(name);
  config.weight = weight;
  return config;
}

std::vector<GroupConfig> groups(const std::vector<std::string>& names) {
  std::vector<GroupConfig> list;
  for (const std::string& name : names) list.push_back(group(name));
  return list;
}

std::unique_ptr<KetamaRouter> router(const KetamaConfig& config,
                                     const std::vector<GroupConfig>& list) {
  auto result = KetamaRouter::make(config, list);
  REQUIRE(result.ok());
  return std::move(*result);
}

std::string places(const KetamaRouter& router, const std::vector<std::string>& keys) {
  std::string text;
  for (const std::string& key : keys) text += std::to_string(router.place(key).group);
  return text;
}

std::string error(const KetamaConfig& config, const std::vector<GroupConfig>& list) {
  const auto result = KetamaRouter::make(config, list);
  REQUIRE_FALSE(result.ok());
  return result.error();
}

// "0:profile", "7919:profile", "15838:profile" ...
std::vector<std::string> thirty_keys() {
  std::vector<std::string> keys;
  for (int i = 0; i < 30; ++i) keys.push_back(std::to_string(i * 7919) + ":profile");
  return keys;
}

}  // namespace

TEST_SUITE("proxy/ketama_router") {
  TEST_CASE("keys live where nutcracker 0.5.0 put them") {
    struct Vector {
      const char* hash;
      const char* distribution;
      bool has_weights;
      std::string_view places;  // Of thirty_keys().
    };
    // crc32 has 15 bits, all of them below the ring's first point.
    constexpr Vector kVectors[] = {
        {"one_at_a_time", "ketama", false, "020243012131210031032142443411"},
        {"md5", "ketama", false, "143221400404401123000002101000"},
        {"crc16", "ketama", false, "231404333001111204411431023220"},
        {"crc32", "ketama", false, "222222222222222222222222222222"},
        {"crc32a", "ketama", false, "200044012240111044040014012441"},
        {"fnv1_64", "ketama", false, "212442113131200142422324432010"},
        {"fnv1a_64", "ketama", false, "443040000331433120340424300424"},
        {"fnv1_32", "ketama", false, "433214044401444201341123003010"},
        {"fnv1a_32", "ketama", false, "133321322100203314143224024314"},
        {"hsieh", "ketama", false, "031100303210422341022313221031"},
        {"murmur", "ketama", false, "034020401424402200232002224111"},
        {"jenkins", "ketama", false, "332040200113312113432402231223"},
        {"fnv1a_64", "ketama", true, "242444203411232422342424444424"},
        {"fnv1a_64", "modula", true, "442342434422324411102442334342"},
        {"fnv1a_64", "modula", false, "012000342443112423211143434411"},
    };
    for (const Vector& vector : kVectors) {
      CAPTURE(vector.hash);
      CAPTURE(vector.distribution);
      CAPTURE(vector.has_weights);
      KetamaConfig config;
      config.hash = vector.hash;
      config.distribution = vector.distribution;
      std::vector<GroupConfig> list = groups({"s1469", "cache-10", "s177", "zz", "b"});
      const std::array<uint32_t, 5> weights = {1, 3, 7, 2, 10};
      for (size_t i = 0; i < list.size() && vector.has_weights; ++i) list[i].weight = weights[i];
      CHECK(places(*router(config, list), thirty_keys()) == vector.places);
    }
  }

  TEST_CASE("a key's unit is its server, so keys of one server may be used together") {
    const auto ring = router({}, groups({"a", "b", "c"}));
    for (const std::string& key : thirty_keys()) {
      const Place place = ring->place(key);
      CHECK(place.group < 3);
      CHECK(place.unit == place.group);
    }
  }

  TEST_CASE("the order of the groups decides nothing but the index") {
    for (const std::string_view distribution : {"ketama", "modula"}) {
      CAPTURE(distribution);
      KetamaConfig config;
      config.distribution = distribution;
      const std::vector<std::string> names = {"bb", "a", "ccc"};
      const auto one = router(config, groups({names[0], names[1], names[2]}));
      const auto other = router(config, groups({names[2], names[0], names[1]}));
      const std::array<GroupIndex, 3> in_other = {1, 2, 0};
      for (const std::string& key : thirty_keys()) {
        CHECK(other->place(key).group == in_other[one->place(key).group]);
      }
    }
  }

  TEST_CASE(
      "where two points of the ring are equal, the server first in twemproxy's order has it") {
    // "s177-x" and "s1469-y" both have the point 1341884884. The hash "fnv1a_64" of this key is
    // just below it.
    const auto ring = router({}, groups({"s1469", "s177"}));
    CHECK(ring->place("key:64900").group == 1);
    const auto turned = router({}, groups({"s177", "s1469"}));
    CHECK(turned->place("key:64900").group == 0);
  }

  TEST_CASE("modula counts servers by length of name, then by bytes, each as often as its weight") {
    KetamaConfig config;
    config.distribution = "modula";
    config.hash = "crc32a";
    const std::vector<GroupConfig> list = {group("aa", 2), group("c", 3), group("b", 1)};
    const auto rows = router(config, list);
    const HashFunction hash = hash_function("crc32a");
    const std::array<GroupIndex, 6> row = {2, 1, 1, 1, 0, 0};
    for (const std::string& key : thirty_keys()) {
      CHECK(rows->place(key).group == row[hash(key) % row.size()]);
    }
  }

  TEST_CASE("only a first and not empty tag is hashed") {
    KetamaConfig config;
    config.distribution = "modula";
    const auto plain = router(config, groups({"a", "b", "c", "d", "e", "f", "g"}));
    const auto expect_hashed = [&](const std::string& tag, const std::string& key,
                                   const std::string& part) {
      config.hash_tag = tag;
      const auto tagged = router(config, groups({"a", "b", "c", "d", "e", "f", "g"}));
      CAPTURE(tag);
      CAPTURE(key);
      CHECK(tagged->place(key).group == plain->place(part).group);
    };
    expect_hashed("", "user:{42}", "user:{42}");
    expect_hashed("{}", "user:{42}", "42");
    expect_hashed("{}", "{a}{b}", "a");
    expect_hashed("{}", "{{a}}", "{a");
    expect_hashed("{}", "}x{y}z", "y");
    expect_hashed("{}", "{}{b}", "{}{b}");
    expect_hashed("{}", "{", "{");
    expect_hashed("{}", "a}b{c", "a}b{c");
    expect_hashed("{}", "", "");
    expect_hashed("$$", "x$12$y$3$", "12");
    expect_hashed("$$", "x$$y$", "x$$y$");
    expect_hashed("}{", "{a}b{", "b");
  }

  TEST_CASE("an empty key hashes to zero whatever the hash function") {
    for (const std::string_view hash : kTwemproxyHashes) {
      KetamaConfig config;
      config.hash = hash;
      config.distribution = "modula";
      CHECK(router(config, groups({"b", "a", "c"}))->place("").group == 1);
    }
  }

  TEST_CASE("random uses every server and no other") {
    KetamaConfig config;
    config.distribution = "random";
    const auto dice = router(config, {group("a", 1), group("b", 1000), group("c", 1)});
    std::array<int, 3> count{};
    for (int i = 0; i < 3000; ++i) ++count.at(dice->place("the same key").group);
    // Each about 1000 times; less than 500 is as good as impossible.
    for (const int n : count) CHECK(n > 500);
  }

  TEST_CASE("without a name, a server is hashed by its address as twemproxy writes it") {
    GroupConfig config;
    const auto name_of = [&](const char* address) {
      config.server = *parse_address(address);
      return ketama_name_of(config);
    };
    CHECK(name_of("10.1.2.3:6379") == "10.1.2.3:6379");
    CHECK(name_of("cache.example:11211") == "cache.example");
    CHECK(name_of("[fd00::1]:6379") == "fd00::1:6379");
    CHECK(name_of("unix:/run/redis.sock") == "/run/redis.sock:");
    config.ketama_name = "server1";
    CHECK(name_of("10.1.2.3:11211") == "server1");
  }

  TEST_CASE("a server with very little weight may have no point, and its keys are elsewhere") {
    const auto ring = router({}, {group("big", 100'000), group("small", 1)});
    for (const std::string& key : thirty_keys()) CHECK(ring->place(key).group == 0);
  }

  TEST_CASE("any bytes have a place in any configuration") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (const std::string_view hash : kTwemproxyHashes) {
      for (const std::string_view distribution : kTwemproxyDistributions) {
        KetamaConfig config;
        config.hash = hash;
        config.distribution = distribution;
        config.hash_tag = "{}";
        const auto any = router(config, {group("a", 1), group("b", 0xFFFF'FFF0), group("c", 14)});
        for (int i = 0; i < 300; ++i) {
          std::string key(random() % 40, '\0');
          for (char& c : key)
            c = random() % 4 == 0 ? "{}"[random() % 2] : static_cast<char>(random());
          REQUIRE(any->place(key).group < 3);
        }
      }
    }
  }

  TEST_CASE("what cannot work is refused with the reason") {
    const std::vector<GroupConfig> two = groups({"a", "b"});
    CHECK(error({.hash = "sha1", .distribution = "ketama", .hash_tag = ""}, two)
              .find("use one_at_a_time, md5, crc16") != std::string::npos);
    CHECK(error({.hash = "md5", .distribution = "", .hash_tag = ""}, two)
              .find("use ketama, modula, random") != std::string::npos);
    CHECK(error({.hash = "md5", .distribution = "ketama", .hash_tag = "{"}, two)
              .find("two characters") != std::string::npos);
    CHECK(error({}, {}).find("at least one [[group]]") != std::string::npos);
    CHECK(error({}, {group("a"), group("b", 0)}).find("\"group of b\"") != std::string::npos);
    CHECK(error({}, {group("a"), group("b", 0xFFFF'FFFF)}).find("4294967296") != std::string::npos);
    CHECK(error({}, groups({"a", "b", "a"})).find("\"a\": give each") != std::string::npos);
    // Two servers that differ only in a way that the name does not show.
    GroupConfig first;
    first.server = Address{"h", 11211, ""};
    GroupConfig second;
    second.server = Address{"h", 6379, ""};
    second.ketama_name = "h";
    CHECK(error({}, {first, second}).find("\"h\"") != std::string::npos);
  }
}
