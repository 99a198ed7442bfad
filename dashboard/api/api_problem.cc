#include "dashboard/api/api_problem.h"

#include "dashboard/api/json_text.h"

namespace pikaproxy {

std::string_view role_name(Role role) noexcept {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
    default:
      return "none";
  }
}

Role parse_role(std::string_view name) noexcept {
  for (const Role role : {Role::kViewer, Role::kOperator, Role::kAdmin}) {
    if (role_name(role) == name) return role;
  }
  return Role::kNone;
}

ApiProblem not_found(std::string_view what) {
  return {404, "not_found", "There is no " + std::string(what) + "."};
}

ApiProblem conflict(std::string_view code, std::string detail) {
  return {409, std::string(code), std::move(detail)};
}

ApiProblem impossible(std::string_view code, std::string detail) {
  return {422, std::string(code), std::move(detail)};
}

ApiProblem stale_version(uint64_t wanted, uint64_t current) {
  ApiProblem problem{412, "stale_version",
                     "The change was made for version " + std::to_string(wanted) +
                         " of the topology, which is at version " + std::to_string(current) +
                         " now: look at it again, then repeat with that version."};
  problem.current_version = current;
  return problem;
}

ApiProblem unavailable(std::string_view code, std::string detail, uint32_t retry_after_seconds) {
  ApiProblem problem{503, std::string(code), std::move(detail)};
  problem.retry_after_seconds = retry_after_seconds;
  return problem;
}

HttpResponse render(const ApiProblem& problem, std::string_view request_id) {
  nlohmann::json body = {{"type", "about:blank"},
                         {"title", reason_phrase(problem.status)},
                         {"status", problem.status},
                         {"code", problem.code},
                         {"detail", problem.detail}};
  if (!request_id.empty()) body["instance"] = request_id;
  for (const ApiProblem::Field& field : problem.errors) {
    body["errors"].push_back(
        {{"pointer", field.pointer}, {"code", field.code}, {"detail", field.detail}});
  }
  if (problem.current_version) body["current_version"] = *problem.current_version;
  HttpResponse response;
  if (problem.retry_after_seconds) {
    body["retry_after_seconds"] = *problem.retry_after_seconds;
    response.headers.emplace_back("Retry-After", std::to_string(*problem.retry_after_seconds));
  }
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  response.status = problem.status;
  response.content_type = "application/problem+json";
  response.body = dump_json(body);
  return response;
}

}  // namespace pikaproxy
