#include "proxy/routing/twemproxy_hash.h"

#include <array>
#include <bit>
#include <cstring>

#include "common/crc32.h"
#include "common/twemproxy_names.h"
#include "proxy/routing/md5.h"

namespace pikaproxy {
namespace {

static_assert(std::endian::native == std::endian::little, "murmur and jenkins read whole words");

// A byte as twemproxy's "(uint32_t)key[i]" reads it: char is signed on x86-64, so 0x80 becomes
// 0xFFFFFF80.
constexpr uint32_t signed_byte(char c) noexcept {
  return static_cast<uint32_t>(static_cast<int32_t>(static_cast<signed char>(c)));
}

constexpr uint32_t plain_byte(char c) noexcept {
  return static_cast<uint8_t>(c);
}

constexpr uint32_t two_bytes(const char* at) noexcept {
  return plain_byte(at[0]) | plain_byte(at[1]) << 8;
}

uint32_t four_bytes(const char* at) noexcept {
  uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Up to four bytes as the low end of a word.
constexpr uint32_t some_bytes(const char* at, size_t count) noexcept {
  uint32_t word = 0;
  for (size_t i = 0; i < count; ++i) word |= plain_byte(at[i]) << (8 * i);
  return word;
}

uint32_t one_at_a_time(std::string_view key) noexcept {
  uint32_t hash = 0;
  for (const char c : key) {
    hash += signed_byte(c);
    hash += hash << 10;
    hash ^= hash >> 6;
  }
  hash += hash << 3;
  hash ^= hash >> 11;
  hash += hash << 15;
  return hash;
}

uint32_t md5_first_word(std::string_view key) noexcept {
  return md5_word(md5(key), 0);
}

// CRC-16/XMODEM one byte at a time.
constexpr auto kCrc16Table = [] {
  std::array<uint16_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021 : 0);
    table[byte] = static_cast<uint16_t>(crc);
  }
  return table;
}();

uint32_t crc16(std::string_view key) noexcept {
  // 32 bits wide: what is shifted out of the CRC stays in the upper half.
  uint32_t crc = 0;
  for (const char c : key) crc = (crc << 8) ^ kCrc16Table[((crc >> 8) ^ plain_byte(c)) & 0xFF];
  return crc;
}

uint32_t crc32_libmemcached(std::string_view key) noexcept {
  return (pikaproxy::crc32(key) >> 16) & 0x7FFF;
}

uint32_t crc32_whole(std::string_view key) noexcept {
  return pikaproxy::crc32(key);
}

constexpr uint32_t kFnv32Start = 0x811C9DC5;
constexpr uint32_t kFnv32Prime = 0x01000193;
// The lower halves of FNV's 64-bit start and prime. twemproxy returns 32 bits, and those do not
// depend on the upper ones.
constexpr uint32_t kFnv64Start = 0x84222325;
constexpr uint32_t kFnv64Prime = 0x000001B3;

template <uint32_t start, uint32_t prime>
uint32_t fnv1(std::string_view key) noexcept {
  uint32_t hash = start;
  for (const char c : key) hash = (hash * prime) ^ signed_byte(c);
  return hash;
}

template <uint32_t start, uint32_t prime>
uint32_t fnv1a(std::string_view key) noexcept {
  uint32_t hash = start;
  for (const char c : key) hash = (hash ^ signed_byte(c)) * prime;
  return hash;
}

uint32_t hsieh(std::string_view key) noexcept {
  if (key.empty()) return 0;
  uint32_t hash = 0;
  const char* at = key.data();
  for (size_t words = key.size() / 4; words > 0; --words, at += 4) {
    hash += two_bytes(at);
    hash = (hash << 16) ^ (two_bytes(at + 2) << 11) ^ hash;
    hash += hash >> 11;
  }
  switch (key.size() % 4) {
    case 3:
      hash += two_bytes(at);
      hash ^= hash << 16;
      // The only byte of this function that is read with its sign.
      hash ^= signed_byte(at[2]) << 18;
      hash += hash >> 11;
      break;
    case 2:
      hash += two_bytes(at);
      hash ^= hash << 11;
      hash += hash >> 17;
      break;
    case 1:
      hash += plain_byte(at[0]);
      hash ^= hash << 10;
      hash += hash >> 1;
      break;
    default:
      break;
  }
  hash ^= hash << 3;
  hash += hash >> 5;
  hash ^= hash << 4;
  hash += hash >> 17;
  hash ^= hash << 25;
  hash += hash >> 6;
  return hash;
}

// MurmurHash2 with a seed made of the length.
uint32_t murmur(std::string_view key) noexcept {
  constexpr uint32_t kMultiplier = 0x5BD1E995;
  const auto size = static_cast<uint32_t>(key.size());
  uint32_t hash = (0xDEADBEEF * size) ^ size;
  const char* at = key.data();
  size_t left = key.size();
  for (; left >= 4; left -= 4, at += 4) {
    uint32_t word = four_bytes(at) * kMultiplier;
    word ^= word >> 24;
    hash = (hash * kMultiplier) ^ (word * kMultiplier);
  }
  if (left > 0) hash = (hash ^ some_bytes(at, left)) * kMultiplier;
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

// lookup3 (hashlittle) with 13 as the start value.
uint32_t jenkins(std::string_view key) noexcept {
  uint32_t a = 0xDEADBEEF + static_cast<uint32_t>(key.size()) + 13;
  uint32_t b = a;
  uint32_t c = a;
  if (key.empty()) return c;
  const char* at = key.data();
  size_t left = key.size();
  // The last block is mixed differently even if it has all its twelve bytes.
  for (; left > 12; left -= 12, at += 12) {
    a += four_bytes(at);
    b += four_bytes(at + 4);
    c += four_bytes(at + 8);
    a = (a - c) ^ std::rotl(c, 4), c += b;
    b = (b - a) ^ std::rotl(a, 6), a += c;
    c = (c - b) ^ std::rotl(b, 8), b += a;
    a = (a - c) ^ std::rotl(c, 16), c += b;
    b = (b - a) ^ std::rotl(a, 19), a += c;
    c = (c - b) ^ std::rotl(b, 4), b += a;
  }
  char block[12] = {};
  std::memcpy(block, at, left);
  a += four_bytes(block);
  b += four_bytes(block + 4);
  c += four_bytes(block + 8);
  c = (c ^ b) - std::rotl(b, 14);
  a = (a ^ c) - std::rotl(c, 11);
  b = (b ^ a) - std::rotl(a, 25);
  c = (c ^ b) - std::rotl(b, 16);
  a = (a ^ c) - std::rotl(c, 4);
  b = (b ^ a) - std::rotl(a, 14);
  c = (c ^ b) - std::rotl(b, 24);
  return c;
}

// In the order of kTwemproxyHashes.
constexpr std::array<HashFunction, kTwemproxyHashes.size()> kFunctions = {
    one_at_a_time,
    md5_first_word,
    crc16,
    crc32_libmemcached,
    crc32_whole,
    fnv1<kFnv64Start, kFnv64Prime>,
    fnv1a<kFnv64Start, kFnv64Prime>,
    fnv1<kFnv32Start, kFnv32Prime>,
    fnv1a<kFnv32Start, kFnv32Prime>,
    hsieh,
    murmur,
    jenkins};

}  // namespace

HashFunction hash_function(std::string_view name) noexcept {
  for (size_t i = 0; i < kFunctions.size(); ++i) {
    if (kTwemproxyHashes[i] == name) return kFunctions[i];
  }
  return nullptr;
}

}  // namespace pikaproxy
