#include "dashboard/mover/dump_format.h"

#include <string_view>

namespace pikaproxy {
namespace {

// Redis is at 12, Valkey at 80.
constexpr uint16_t kVersionMax = 99;
// No server has a value of this type.
constexpr char kNoType = '\xff';
// A survey that is lost before its answer is read leaves nothing behind, not even a probe: the
// payload has no value.
constexpr std::string_view kProbeKey = "pikaproxy-probe";

// CRC-64 as Redis has it: Jones' polynomial, reflected, from 0.
uint64_t crc64(std::string_view bytes) noexcept {
  constexpr uint64_t kPolynomial = 0x95ac9329ac4bc9b5;
  uint64_t crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
  }
  return crc;
}

std::string empty_payload(uint16_t version) {
  std::string payload(1, kNoType);
  payload += static_cast<char>(version & 0xff);
  payload += static_cast<char>(version >> 8);
  uint64_t crc = crc64(payload);
  for (int i = 0; i < 8; ++i, crc >>= 8) payload += static_cast<char>(crc & 0xff);
  return payload;
}

}  // namespace

std::vector<uint16_t> dump_versions(ServerLink& link, std::chrono::milliseconds timeout) {
  for (uint16_t version = 1; version <= kVersionMax; ++version) {
    link.add({"RESTORE", std::string(kProbeKey), "0", empty_payload(version), "REPLACE"});
  }
  std::vector<Reply> replies;
  std::vector<uint16_t> versions;
  if (!link.exchange(replies, timeout)) return versions;
  for (uint16_t version = 1; version <= kVersionMax; ++version) {
    if (replies[version - 1].text.find("Bad data format") != std::string::npos) {
      versions.push_back(version);
    } else if (replies[version - 1].text.find("DUMP payload version") == std::string::npos) {
      return {};
    }
  }
  return versions;
}

}  // namespace pikaproxy
