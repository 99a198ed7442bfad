#include "proxy/routing/twemproxy_hash.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "common/crc32.h"
#include "common/twemproxy_names.h"
#include "proxy/routing/md5.h"

using namespace pikaproxy;

namespace {

struct Vector {
  std::string_view hash;
  uint32_t apple;       // Also in twemproxy's src/test_all.c.
  uint32_t user;        // "user:1000:name"
  uint32_t high_bytes;  // 0x80 0xFF "{": where the sign of char matters.
};

// From a build of twemproxy 0.5.0's hashkit on x86-64; a million random keys agreed with it too.
constexpr Vector kVectors[] = {
    {"one_at_a_time", 2297466611, 2461667638, 1314547053},
    {"md5", 3195025439, 3596087036, 928813048},
    {"crc16", 3662830516, 3269965002, 2433087321},
    {"crc32", 10542, 21839, 19079},
    {"crc32a", 2838417488, 1431269968, 1250400084},
    {"fnv1_64", 473199127, 1043862192, 1801202285},
    {"fnv1a_64", 1488911807, 853480514, 1962643297},
    {"fnv1_32", 67176023, 3651540912, 374637901},
    {"fnv1a_32", 280767167, 3520516770, 3937130817},
    {"hsieh", 3738850110, 770311557, 4180944077},
    {"murmur", 4142305122, 776689300, 2196794165},
    {"jenkins", 1442444624, 2843207784, 3214143171},
};

}  // namespace

TEST_SUITE("proxy/twemproxy_hash") {
  TEST_CASE("every hash gives what twemproxy computes") {
    CHECK(std::size(kVectors) == kTwemproxyHashes.size());
    for (const Vector& vector : kVectors) {
      CAPTURE(vector.hash);
      const HashFunction hash = hash_function(vector.hash);
      REQUIRE((hash != nullptr));
      CHECK(hash("apple") == vector.apple);
      CHECK(hash("user:1000:name") == vector.user);
      CHECK(hash("\x80\xFF{") == vector.high_bytes);
    }
  }

  TEST_CASE("every name of the configuration has a function, and no other name has") {
    for (const std::string_view name : kTwemproxyHashes) CHECK((hash_function(name) != nullptr));
    for (const std::string_view name : {"", "fnv1a_64 ", "FNV1A_64", "sha1", "ketama"}) {
      CHECK((hash_function(name) == nullptr));
      CHECK_FALSE(is_twemproxy_hash(name));
    }
  }

  TEST_CASE("crc32 is a quarter of the CRC, crc16 is more than one") {
    CHECK(hash_function("crc32")("apple") == ((pikaproxy::crc32("apple") >> 16) & 0x7FFF));
    CHECK(hash_function("crc16")("apple") > 0xFFFF);
    CHECK((hash_function("crc16")("123456789") & 0xFFFF) == 0x31C3);
  }

  TEST_CASE("keys of every length are read to their last byte and no further") {
    // A copy per length on the heap: the sanitizers see a byte read too many.
    for (const std::string_view name : kTwemproxyHashes) {
      const HashFunction hash = hash_function(name);
      for (size_t size = 1; size <= 40; ++size) {
        CAPTURE(name);
        CAPTURE(size);
        const std::string key(size, 'k');
        std::string other = key;
        other.back() = 'l';
        CHECK(hash(key) != hash(other));
        CHECK(hash(key + '\0') != hash(key));
      }
    }
  }

  TEST_CASE("md5 gives RFC 1321's digests, again and again") {
    for (int round = 0; round < 3; ++round) {
      CHECK(md5_word(md5(""), 0) == 0xD98C1DD4);
      CHECK(md5_word(md5("abc"), 0) == 0x98500190);
      CHECK(md5_word(md5("abc"), 3) == 0x727FE128);
    }
    // The points of a ring that twemproxy's src/test_all.c checks.
    CHECK(md5_word(md5("server1-8"), 0) == 3853726576);
    CHECK(md5_word(md5("server1-8"), 3) == 2667054752);
  }
}
