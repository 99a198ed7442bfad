#include "dashboard/mover/key_scan.h"

#include <charconv>

#include "common/text.h"

namespace pikaproxy {
namespace {

constexpr std::string_view kScanCount = "1000";
constexpr uint32_t kDatabasesMax = 1024;

std::string refusal(const ServerLink& link, std::string_view command, const Reply& reply) {
  if (link.is_broken()) return link.error();
  return "Server " + link.server().address.to_string() + " refuses " + std::string(command) + " (" +
         printable(reply.text) + "): allow it to its user.";
}

uint64_t to_number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Result<ServerInfo> ServerInfo::ask(ServerLink& link, std::chrono::milliseconds timeout) {
  const Reply reply = link.call({"INFO"}, timeout);
  if (!reply.is_bulk()) return Error{refusal(link, "INFO", reply)};
  return ServerInfo(reply.text);
}

ServerInfo::ServerInfo(std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.starts_with('#')) continue;
    lines_.emplace_back(line.substr(0, colon), line.substr(colon + 1));
  }
}

std::string_view ServerInfo::get(std::string_view name) const noexcept {
  for (const auto& [key, value] : lines_) {
    if (key == name) return value;
  }
  return {};
}

uint64_t ServerInfo::number(std::string_view name) const noexcept {
  return to_number(get(name));
}

Result<std::vector<DatabaseSize>> list_databases(ServerLink& link, bool is_pika,
                                                 std::chrono::milliseconds timeout) {
  std::vector<DatabaseSize> found;
  if (is_pika) {
    const Reply config = link.call({"CONFIG", "GET", "databases"}, timeout);
    if (link.is_broken()) return Error{link.error()};
    uint64_t count = 1;
    if (config.is_array() && config.elements.size() == 2) {
      count = to_number(config.elements[1].text);
    }
    for (uint32_t db = 0; db < std::min<uint64_t>(std::max<uint64_t>(count, 1), kDatabasesMax);
         ++db) {
      found.push_back({db, 0});
    }
    return found;
  }
  const Reply reply = link.call({"INFO", "keyspace"}, timeout);
  if (!reply.is_bulk()) return Error{refusal(link, "INFO", reply)};
  // db0:keys=3,expires=0,avg_ttl=0
  const ServerInfo keyspace(reply.text);
  for (const auto& [name, value] : keyspace.lines()) {
    if (!name.starts_with("db") || !value.starts_with("keys=")) continue;
    const auto db = static_cast<uint32_t>(to_number(std::string_view(name).substr(2)));
    found.push_back({db, to_number(std::string_view(value).substr(5))});
  }
  return found;
}

bool is_internal_key(std::string_view key, bool is_pika) noexcept {
  return is_pika && key.starts_with("_internal:");
}

bool scan_step(ServerLink& link, std::string& cursor, std::vector<std::string>& keys,
               std::string& error, std::chrono::milliseconds timeout) {
  keys.clear();
  Reply reply = link.call({"SCAN", cursor, "COUNT", std::string(kScanCount)}, timeout);
  if (!reply.is_array() || reply.elements.size() != 2 || !reply.elements[1].is_array()) {
    error = refusal(link, "SCAN", reply);
    return false;
  }
  cursor = std::move(reply.elements[0].text);
  keys.reserve(reply.elements[1].elements.size());
  for (Reply& key : reply.elements[1].elements) keys.push_back(std::move(key.text));
  return true;
}

}  // namespace pikaproxy
