#include "common/config_load.h"

#include <algorithm>
#include <unistd.h>
#include <utility>

#include "common/config_check.h"
#include "common/config_file.h"
#include "common/file.h"
#include "common/option_table.h"
#include "common/text.h"
#include "common/tls_context.h"

namespace pikaproxy {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;
constexpr std::string_view kEnvironmentPrefix = "PIKAPROXY_";

Source source_in(const Origins& origins, std::string_view name) {
  const auto origin = origins.find(name);
  return origin == origins.end() ? Source::kDefault : origin->second.source;
}

void set_from(Source source, const std::string& where, const Option& option,
              const std::string& value, Config& config, Origins& origins, Problems& problems) {
  const std::optional<Error> error = set_option(config, option, value);
  origins[std::string(option.name)] = {source, where, !error};
  if (error) add_problem(problems, where, error->message);
}

// Kubernetes gives every container variables named after the services of its namespace: a service
// called "pikaproxy" makes PIKAPROXY_SERVICE_HOST, PIKAPROXY_PORT_19000_TCP and more.
bool is_from_kubernetes(std::string_view name) {
  name.remove_prefix(kEnvironmentPrefix.size() - 1);
  return name.find("_SERVICE_HOST") != std::string_view::npos ||
         name.find("_SERVICE_PORT") != std::string_view::npos || name.ends_with("_PORT") ||
         name.find("_PORT_") != std::string_view::npos;
}

void read_environment(const std::map<std::string, std::string>& environment, Config& config,
                      Origins& origins, Problems& problems, std::vector<std::string>& warnings) {
  std::vector<std::string> names;
  for (const Option& option : options()) {
    names.push_back(environment_name(option));
    const auto found = environment.find(names.back());
    if (found == environment.end()) continue;
    set_from(Source::kEnvironment, found->first, option, found->second, config, origins, problems);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kEnvironmentPrefix)) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    if (is_from_kubernetes(name)) continue;
    warnings.push_back("environment variable " + quote(name) + " sets no option." +
                       did_you_mean(name, known));
  }
}

// auth.password or what auth.password_file holds, whichever comes from the higher source.
void resolve_password(Config& config, Origins& origins, Problems& problems) {
  AuthConfig& auth = config.auth;
  if (auth.password_file.empty()) return;
  const Source text = source_in(origins, "auth.password");
  const Source file = source_in(origins, "auth.password_file");
  if (text > file) {
    auth.password_file.clear();
    return;
  }
  const std::string& where = origins["auth.password_file"].where;
  if (text == file && !auth.password.empty()) {
    add_problem(problems, where,
                "auth.password and auth.password_file are both given: remove one of them");
    return;
  }
  Result<std::string> secret = read_secret_file(auth.password_file);
  if (!secret) {
    add_problem(problems, where, "auth.password_file: " + secret.error());
    origins["auth.password_file"].valid = false;
    return;
  }
  auth.password = std::move(*secret);
  origins["auth.password"] = {file, where, true};
}

// Whether the admin port's certificate and key can be used.
void check_tls(const AdminConfig& admin, const Origins& origins, Problems& problems,
               std::vector<std::string>& warnings) {
  if (!admin.enabled || admin.tls_cert.empty() || admin.tls_key.empty()) return;
  auto context = TlsContext::load(admin.tls_cert, admin.tls_key);
  if (!context) {
    const bool is_key = context.error().starts_with("admin.tls_key");
    add_problem(problems, origins.at(is_key ? "admin.tls_key" : "admin.tls_cert").where,
                context.error());
  } else if (std::string warning = (*context)->warning(); !warning.empty()) {
    warnings.push_back(std::move(warning));
  }
}

// `text` is the file's, if it could be read; otherwise `problems` says why.
LoadResult load(const std::optional<std::string_view>& text, const ConfigSources& sources,
                Problems problems) {
  LoadedConfig loaded;
  Config& config = loaded.config;
  Origins& origins = loaded.origins;
  bool complete = problems.empty();
  if (text) complete = read_config_file(*text, sources.file, config, origins, problems);
  read_environment(sources.environment, config, origins, problems, loaded.warnings);
  for (const ConfigSources::Flag& flag : sources.flags) {
    if (const Option* option = find_option(flag.name)) {
      set_from(Source::kFlag, "--" + flag.name, *option, flag.value, config, origins, problems);
    } else {
      add_problem(problems, "--" + flag.name,
                  "there is no such option." + did_you_mean(flag.name, option_names()));
    }
  }
  resolve_password(config, origins, problems);
  // Comparing options would only confuse when those of the file are missing.
  if (complete) check_config(config, origins, problems, loaded.warnings);
  check_tls(config.admin, origins, problems, loaded.warnings);
  LoadResult result;
  result.problems = std::move(problems);
  if (result.problems.empty()) result.loaded = std::move(loaded);
  return result;
}

// How listeners' clients read may change, but not where they connect.
bool listeners_reloadable(const Config& running, const Config& loaded) {
  return std::equal(running.listeners.begin(), running.listeners.end(), loaded.listeners.begin(),
                    loaded.listeners.end(), [](const ListenerConfig& a, const ListenerConfig& b) {
                      return a.address == b.address;
                    });
}

// A change of the groups can only be applied to the router that is running.
bool groups_reloadable(const Config& running, const Config& loaded) {
  return running.proxy.router == RouterKind::kSlot && loaded.proxy.router == RouterKind::kSlot;
}

}  // namespace

Source LoadedConfig::source_of(std::string_view name) const {
  return source_in(origins, name);
}

std::string LoadResult::problems_text() const {
  std::string text;
  for (const Problem& problem : problems) text += problem.to_string() + "\n";
  if (problems.size() >= kProblemsMax) {
    text += "There may be more: only the first " + std::to_string(kProblemsMax) + " are shown.\n";
  }
  return text;
}

LoadResult load_config(const ConfigSources& sources) {
  if (sources.file.empty()) return load(std::nullopt, sources, {});
  const Result<std::string> text = read_file(sources.file, kFileBytesMax);
  if (!text) return load(std::nullopt, sources, {Problem{"--config", text.error()}});
  return load(*text, sources, {});
}

LoadResult load_config_text(std::string_view text, const ConfigSources& sources) {
  return load(text, sources, {});
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> environment;
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos || !text.starts_with(kEnvironmentPrefix)) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::vector<Difference> differing_options(const Config& running, const Config& loaded) {
  std::vector<Difference> differences;
  for (const Option& option : options()) {
    if (option.type == OptionType::kSecretFile) continue;
    if (get_option(running, option) != get_option(loaded, option)) {
      differences.push_back({std::string(option.name), option.reloadable});
    }
  }
  if (running.users != loaded.users) differences.push_back({"user", true});
  if (running.zones != loaded.zones) differences.push_back({"zone", true});
  if (running.listeners != loaded.listeners) {
    differences.push_back({"listener", listeners_reloadable(running, loaded)});
  }
  if (running.groups != loaded.groups) {
    differences.push_back({"group", groups_reloadable(running, loaded)});
  }
  return differences;
}

Config apply_reloadable(const Config& running, const Config& loaded) {
  Config config = running;
  for (const Option& option : options()) {
    if (option.reloadable) (void)set_option(config, option, get_option(loaded, option));
  }
  config.auth.password_file = loaded.auth.password_file;
  config.users = loaded.users;
  config.zones = loaded.zones;
  if (listeners_reloadable(running, loaded)) config.listeners = loaded.listeners;
  if (groups_reloadable(running, loaded)) config.groups = loaded.groups;
  return config;
}

}  // namespace pikaproxy
