#include "common/connection_name.h"

#include <random>

namespace pikaproxy {
namespace {

constexpr int kInstanceDigits = 16;

std::string random_digits() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::random_device device;
  std::string name;
  for (int i = 0; i < kInstanceDigits; ++i) name += kDigits[device() % kDigits.size()];
  return name;
}

}  // namespace

const std::string& process_instance() {
  static const std::string kInstance = random_digits();
  return kInstance;
}

std::string worker_name_prefix(std::string_view cluster) {
  return "pikaproxy:" + name_part(cluster) + ":";
}

std::string mover_name_prefix(std::string_view cluster) {
  return "pikaproxy-mover:" + name_part(cluster) + ":";
}

std::string name_part(std::string_view text) {
  std::string part;
  for (const char c : text) {
    const bool fits = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      c == '-' || c == '_';
    part += fits ? c : '_';
  }
  return part;
}

}  // namespace pikaproxy
