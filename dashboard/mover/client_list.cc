#include "dashboard/mover/client_list.h"

#include <charconv>

namespace pikaproxy {

std::vector<ClientListEntry> parse_client_list(std::string_view text) {
  std::vector<ClientListEntry> entries;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ClientListEntry entry;
    while (!line.empty()) {
      const size_t space = line.find_first_of(" \r");
      const std::string_view field = line.substr(0, space);
      line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
      const size_t equals = field.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = field.substr(0, equals);
      const std::string_view value = field.substr(equals + 1);
      if (key == "id") {
        std::from_chars(value.data(), value.data() + value.size(), entry.id);
      } else if (key == "addr") {
        entry.addr = value;
      } else if (key == "name") {
        entry.name = value;
      } else if (key == "cmd") {
        entry.cmd = value;
      }
    }
    if (!entry.addr.empty()) entries.push_back(std::move(entry));
  }
  return entries;
}

std::string_view ip_of(std::string_view addr) noexcept {
  const size_t colon = addr.rfind(':');
  if (colon != std::string_view::npos) addr = addr.substr(0, colon);
  if (addr.size() >= 2 && addr.front() == '[') addr = addr.substr(1, addr.size() - 2);
  return addr;
}

}  // namespace pikaproxy
