// Prints where keys live, for comparison with a real twemproxy (tests/integration/ketama_test.py).
//
//   ketama_place HASH DISTRIBUTION HASH_TAG {ADDRESS WEIGHT NAME}...  <keys  >indexes
//
// HASH_TAG and NAME may be empty. Each input line is a key in hexadecimal; each output line is the
// index of its server in the order of the arguments.

#include <charconv>
#include <iostream>
#include <string>

#include "proxy/routing/ketama_router.h"

using namespace pikaproxy;

namespace {

int fail(const std::string& message) {
  std::cerr << "ketama_place: " << message << "\n";
  return 1;
}

bool from_hex(const std::string& line, std::string& bytes) {
  bytes.clear();
  for (size_t i = 0; i + 1 < line.size(); i += 2) {
    unsigned byte = 0;
    const auto [end, ec] = std::from_chars(line.data() + i, line.data() + i + 2, byte, 16);
    if (ec != std::errc() || end != line.data() + i + 2) return false;
    bytes += static_cast<char>(byte);
  }
  return line.size() % 2 == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc % 3 != 1) return fail("see the top of its source for the arguments");
  KetamaConfig config;
  config.hash = argv[1];
  config.distribution = argv[2];
  config.hash_tag = argv[3];
  std::vector<GroupConfig> groups;
  for (int i = 4; i < argc; i += 3) {
    GroupConfig group;
    group.name = std::to_string(groups.size());
    auto address = parse_address(argv[i]);
    if (!address) return fail(address.error());
    group.server = *address;
    group.weight = static_cast<uint32_t>(std::stoul(argv[i + 1]));
    group.ketama_name = argv[i + 2];
    groups.push_back(group);
  }
  const auto router = KetamaRouter::make(config, groups);
  if (!router) return fail(router.error());

  std::string line;
  std::string key;
  std::string out;
  while (std::getline(std::cin, line)) {
    if (!from_hex(line, key)) return fail("not hexadecimal: " + line);
    out += std::to_string((*router)->place(key).group);
    out += '\n';
  }
  std::cout << out;
  return 0;
}
