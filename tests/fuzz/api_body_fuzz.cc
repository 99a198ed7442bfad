// From the bytes of a request's body to values: whatever they are, the readers answer with values
// within their ranges, or with a problem that can be sent.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "dashboard/api/api_problem.h"
#include "dashboard/api/body_reader.h"
#include "dashboard/api/json_text.h"

using namespace pikaproxy;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = parse_json_object({reinterpret_cast<const char*>(data), size});
  if (!json) {
    require(!json.error().empty() && is_utf8(json.error()));
    return 0;
  }
  // What was read is written and read again as the same.
  const auto again = parse_json_object(dump_json(*json));
  require(again.ok() && *again == *json);
  BodyReader body(*json);
  const std::string text = body.text("t", {1, 8});
  const std::string secret = body.secret("s", {0, 8});
  const int64_t integer = body.integer("i", -5, 5);
  const std::string choice = body.choice("c", {"one", "two"});
  const auto texts = body.optional_text_list("tl", {1, 3}, {0, 4});
  const auto integers = body.optional_integer_list("il", {0, 3}, 0, 1023);
  size_t objects = 0;
  body.optional_objects("o", {0, 3}, [&](BodyReader& inner) {
    ++objects;
    inner.integer("from", 0, 9);
    inner.optional_object("in", [](BodyReader& deep) { deep.optional_boolean("b"); });
  });
  const auto named = body.optional_integers_by_name("n", {0, 3}, 0, 9);
  require(text.size() <= 8 && secret.size() <= 8 && integer >= -5 && integer <= 5);
  require(choice.empty() || choice == "one" || choice == "two");
  require(!texts || texts->size() <= 3);
  require(!integers || integers->size() <= 3);
  require(objects <= 3);
  require(!named || named->size() <= 3);
  if (const auto problem = body.finish()) {
    require(!problem->errors.empty() && problem->errors.size() <= 50);
    require(is_utf8(render(*problem, "id").body));
  } else {
    require(!text.empty() && !choice.empty());
  }
  return 0;
}
