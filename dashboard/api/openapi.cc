#include "dashboard/api/openapi.h"

#include <charconv>
#include <string>

#include <yaml-cpp/yaml.h>

namespace pikaproxy {
namespace {

// A scalar without quotes is what it looks like, as in YAML's core schema.
nlohmann::json plain_scalar(const std::string& text) {
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  if (text == "true" || text == "false") return text == "true";
  const char* const end = text.data() + text.size();
  int64_t integer = 0;
  if (const auto read = std::from_chars(text.data(), end, integer);
      read.ec == std::errc() && read.ptr == end) {
    return integer;
  }
  double number = 0;
  if (const auto read = std::from_chars(text.data(), end, number);
      read.ec == std::errc() && read.ptr == end) {
    return number;
  }
  return text;
}

nlohmann::json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    nlohmann::json object = nlohmann::json::object();
    for (const auto& item : node) object[item.first.Scalar()] = to_json(item.second);
    return object;
  }
  if (node.IsSequence()) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& item : node) list.push_back(to_json(item));
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  // The tag of a scalar with quotes is "!".
  return node.Tag() == "!" ? nlohmann::json(node.Scalar()) : plain_scalar(node.Scalar());
}

}  // namespace

const nlohmann::json& openapi_document() {
  static const nlohmann::json document = to_json(YAML::Load(std::string(openapi_yaml())));
  return document;
}

std::vector<ApiRoute> openapi_routes() {
  return {{.method = "GET",
           .path = "/openapi.json",
           .operation_id = "getOpenapi",
           .role = Role::kNone,
           .handler = [](const ApiRequest&) -> ApiResult {
             ApiReply reply;
             reply.body = openapi_document();
             return reply;
           }}};
}

}  // namespace pikaproxy
