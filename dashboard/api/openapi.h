#pragma once

#include <string_view>
#include <vector>

#include "dashboard/api/api_route.h"

namespace pikaproxy {

// docs/openapi.yaml as it was when this was built.
std::string_view openapi_yaml() noexcept;

// The same as JSON.
const nlohmann::json& openapi_document();

// GET /openapi.json, for anybody.
std::vector<ApiRoute> openapi_routes();

}  // namespace pikaproxy
