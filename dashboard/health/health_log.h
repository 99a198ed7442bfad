#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "dashboard/health/health_checks.h"

namespace pikaproxy {

// What is wrong, and since when. One thread at a time.
class HealthLog {
 public:
  struct Problem {
    HealthFinding finding;
    int64_t since = 0;  // Milliseconds since 1970.
  };

  // Takes over what was found at `now`. Result: what to tell as events - each problem that is new,
  // got worse or better, or is over.
  std::vector<nlohmann::json> update(std::vector<HealthFinding> findings, int64_t now);

  const std::vector<Problem>& problems() const noexcept { return problems_; }
  // GET /cluster/health: the problems, worst first, then the checks without one.
  nlohmann::json to_json() const;

 private:
  using Key = std::pair<std::string, std::vector<std::string>>;

  std::vector<Problem> problems_;
  std::map<std::string, int64_t> ok_since_;  // By check.
};

nlohmann::json health_problem_json(const HealthLog::Problem& problem);

}  // namespace pikaproxy
