#include "dashboard/health/health_monitor.h"

#include <utility>

#include "common/log.h"

namespace pikaproxy {

using Json = nlohmann::json;

HealthMonitor::HealthMonitor(std::chrono::milliseconds interval, std::function<HealthInputs()> look,
                             EventBus* events)
    : interval_(interval), look_(std::move(look)), events_(events) {
  thread_ = std::thread([this] { run(); });
}

HealthMonitor::~HealthMonitor() {
  stop_.raise();
  thread_.join();
}

void HealthMonitor::run() {
  do {
    HealthInputs inputs = look_();
    if (inputs.topology.version != version_) {
      version_ = inputs.topology.version;
      version_since_ = inputs.now;
    }
    inputs.topology_since = version_since_;
    std::vector<HealthFinding> findings = find_problems(inputs);
    std::vector<Json> events;
    {
      const std::lock_guard lock(mutex_);
      events = log_.update(std::move(findings), inputs.now);
    }
    for (Json& event : events) {
      log_info("health", "check", event["check"].get<std::string>(), "status",
               event["status"].get<std::string>(), "detail", event["detail"].get<std::string>());
      if (events_ != nullptr) events_->publish("health", std::move(event));
    }
  } while (stop_.sleep_for(interval_));
}

Json HealthMonitor::to_json() const {
  const std::lock_guard lock(mutex_);
  return log_.to_json();
}

Json HealthMonitor::problems_json() const {
  const std::lock_guard lock(mutex_);
  Json list = Json::array();
  for (const HealthLog::Problem& problem : log_.problems()) {
    list.push_back(health_problem_json(problem));
  }
  return list;
}

}  // namespace pikaproxy
