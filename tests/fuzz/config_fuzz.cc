#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/config_load.h"
#include "common/config_print.h"
#include "common/user_rules.h"

// The loader of the configuration gets any bytes as its file. Beyond not crashing, it must hold
// that
// - there are problems or a configuration, never both or neither;
// - a configuration that was accepted can be written and read back, and is then the same.

using namespace pikaproxy;

namespace {

void require(bool holds, std::string_view what, std::string_view more = {}) {
  if (holds) return;
  std::fprintf(stderr, "violated: %.*s\n%.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(more.size()), more.data());
  std::abort();
}

bool is_one_line(std::string_view text) {
  return text.find('\n') == std::string_view::npos;
}

// As print_config() shows them. The files they came from may not be there the next time.
void mask_passwords(Config& config) {
  const auto mask = [](std::string& password) {
    if (!password.empty()) password = "***";
  };
  mask(config.auth.password);
  config.auth.password_file.clear();
  for (UserConfig& user : config.users) {
    for (std::string& hash : user.passwords) hash = hash_password("***");
  }
  for (GroupConfig& group : config.groups) mask(group.password);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ConfigSources sources;
  sources.file = "fuzz.toml";
  const LoadResult result = load_config_text(text, sources);
  require(result.ok() == result.problems.empty(), "problems or a configuration");
  for (const Problem& problem : result.problems) {
    require(!problem.message.empty() && is_one_line(problem.message), "a problem is one line",
            problem.message);
    require(!problem.where.empty(), "a problem of a file has its place", problem.message);
  }
  if (!result.ok()) return 0;
  for (const std::string& warning : result.loaded->warnings) {
    require(is_one_line(warning), "a warning is one line", warning);
  }

  LoadedConfig loaded = *result.loaded;
  mask_passwords(loaded.config);
  const std::string written = print_config(loaded);
  const LoadResult again = load_config_text(written, sources);
  require(again.ok(), "what was accepted is accepted again", written + again.problems_text());
  require(again.loaded->config == loaded.config, "what was written is read the same", written);
  require(differing_options(loaded.config, again.loaded->config).empty(), "no option differs",
          written);
  return 0;
}
