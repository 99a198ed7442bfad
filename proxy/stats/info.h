#pragma once

#include <set>
#include <string>
#include <string_view>

namespace pikaproxy {

class WorkerManager;

// The text of INFO: Redis' sections as far as a proxy has something to say in them, then our own
// (proxy, backends). `sections`: lower-case names; empty means "default". `keyspace`: the lines of
// that section, which only servers know. Any thread.
std::string info_text(WorkerManager& manager, const std::set<std::string>& sections,
                      std::string_view keyspace);
// Whether that section is among them.
bool wants_keyspace(const std::set<std::string>& sections);

}  // namespace pikaproxy
