#pragma once

#include <set>
#include <string>

namespace pikaproxy {

class WorkerManager;

// The text of INFO: Redis' sections as far as a proxy has something to say in them, then our own
// (proxy, backends). `sections`: lower-case names; empty means "default". Any thread.
std::string info_text(WorkerManager& manager, const std::set<std::string>& sections);

}  // namespace pikaproxy
