#include "dashboard/health/health_log.h"

#include <algorithm>

#include "dashboard/api/time_text.h"

namespace pikaproxy {

using Json = nlohmann::json;

Json health_problem_json(const HealthLog::Problem& problem) {
  const HealthFinding& finding = problem.finding;
  return {{"check", finding.check},
          {"status", "failing"},
          {"severity", health_severity_name(finding.severity)},
          {"since", time_text(problem.since)},
          {"detail", finding.detail},
          {"hint", finding.hint},
          {"objects", finding.objects}};
}

std::vector<Json> HealthLog::update(std::vector<HealthFinding> findings, int64_t now) {
  std::map<Key, const Problem*> before;
  for (const Problem& problem : problems_) {
    before[{problem.finding.check, problem.finding.objects}] = &problem;
  }
  std::vector<Json> events;
  std::vector<Problem> after;
  for (HealthFinding& finding : findings) {
    const Key key{finding.check, finding.objects};
    const auto old = before.find(key);
    Problem problem{std::move(finding), old == before.end() ? now : old->second->since};
    if (old == before.end() || old->second->finding.severity != problem.finding.severity) {
      events.push_back(health_problem_json(problem));
    }
    if (old != before.end()) before.erase(old);
    after.push_back(std::move(problem));
  }
  for (const auto& [key, problem] : before) {
    Json over = health_problem_json(*problem);
    over["status"] = "ok";
    over["since"] = time_text(now);
    events.push_back(std::move(over));
  }
  problems_ = std::move(after);
  for (const std::string_view name : health_check_names()) {
    const bool fails = std::any_of(problems_.begin(), problems_.end(),
                                   [&](const Problem& each) { return each.finding.check == name; });
    if (fails) {
      ok_since_.erase(std::string(name));
    } else {
      ok_since_.try_emplace(std::string(name), now);
    }
  }
  return events;
}

Json HealthLog::to_json() const {
  std::vector<const Problem*> sorted;
  for (const Problem& problem : problems_) sorted.push_back(&problem);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem* a, const Problem* b) {
    return a->finding.severity > b->finding.severity;
  });
  Json list = Json::array();
  for (const Problem* problem : sorted) list.push_back(health_problem_json(*problem));
  for (const auto& [check, since] : ok_since_) {
    list.push_back({{"check", check},
                    {"status", "ok"},
                    {"severity", "info"},
                    {"since", time_text(since)},
                    {"detail", ""},
                    {"hint", ""},
                    {"objects", Json::array()}});
  }
  return list;
}

}  // namespace pikaproxy
