#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/histogram.h"
#include "proxy/worker.h"

namespace pikaproxy {

// One server's figures, added up over the workers.
struct ServerSummary {
  bool is_replica = false;
  uint64_t workers_up = 0, workers = 0;
  uint64_t connections = 0, inflight = 0, requests = 0;
  uint64_t connects_ok = 0, connects_failed = 0, timeouts = 0, lost = 0, error_replies = 0;
  MergedHistogram latency;
};

// By (group, server). Any thread.
using ServerSummaries = std::map<std::pair<std::string, std::string>, ServerSummary>;
ServerSummaries summarize_servers(const std::vector<std::unique_ptr<Worker>>& workers);

}  // namespace pikaproxy
