// Wires everything together: settings, workers, listeners, the admin port, signals. The only file
// that knows both proxy and dashboard.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/resource.h>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <asio/version.hpp>

#include "common/command_line.h"
#include "common/config_load.h"
#include "common/log.h"
#include "common/version.h"
#include "dashboard/admin_server.h"
#include "dashboard/dashboard.h"
#include "proxy/io/heap.h"
#include "proxy/io/listener.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// Descriptors beside those of clients: listeners, servers, the admin port, log, libraries.
constexpr std::chrono::milliseconds kFirstTableTimeout(2'000);
constexpr rlim_t kOtherDescriptors = 4096;
constexpr auto kTrimInterval = std::chrono::seconds(2);
int fail(ExitCode code, const std::string& message) {
  std::fprintf(stderr, "pikaproxy: %s\n", message.c_str());
  return code;
}

std::vector<std::string> library_versions() {
  return {"asio " + std::to_string(ASIO_VERSION / 100000) + "." +
          std::to_string(ASIO_VERSION / 100 % 1000) + "." + std::to_string(ASIO_VERSION % 100)};
}

// Raises the limit on open files to what max_clients needs, and says so if that fails.
void raise_descriptor_limit(const Config& config) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = config.proxy.max_clients + kOtherDescriptors;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    log_warn("limit on open files is too low for proxy.max_clients", "limit", limit.rlim_cur,
             "wanted", wanted);
  }
}

// The process while it runs: everything here happens on the main thread.
class Process {
 public:
  Process(CommandLine command_line, LoadedConfig loaded, std::shared_ptr<const Topology> topology)
      : command_line_(std::move(command_line)),
        context_(1),
        signals_(context_, SIGTERM, SIGINT),
        trim_timer_(context_),
        manager_(loaded.config, std::move(topology)),
        config_(std::move(loaded.config)) {
    signals_.add(SIGHUP);
    signals_.add(SIGUSR1);
  }

  int run() {
    std::vector<std::pair<Address, uint8_t>> addresses;
    for (const Address& address : config_.proxy.listen) addresses.emplace_back(address, 0);
    for (const ListenerConfig& listener : config_.listeners) {
      addresses.emplace_back(listener.address, &listener - config_.listeners.data() + 1);
    }
    for (const auto& [address, number] : addresses) {
      auto listeners = Listener::listen(context_, manager_, config_.proxy, address, number);
      if (!listeners) return fail(kExitCannotBind, listeners.error());
      for (auto& listener : *listeners) listeners_.push_back(std::move(listener));
    }
    if (Dashboard::is_wanted(config_)) {
      auto started = Dashboard::start(config_, {manager_, manager_, manager_, manager_});
      if (const auto* failure = std::get_if<Dashboard::Failure>(&started)) {
        return fail(failure->of_store ? kExitStoreError : kExitCannotBind, failure->message);
      }
      dashboard_ = std::move(std::get<std::unique_ptr<Dashboard>>(started));
      manager_.set_mover(&dashboard_->mover());
      manager_.set_cluster(dashboard_->cluster_id());
    } else if (config_.admin.enabled) {
      if (config_.dashboard.enabled) {
        log_info("no dashboard: the configuration has the groups itself");
      }
      auto admin = AdminServer::start(config_.admin, manager_);
      if (!admin) return fail(kExitCannotBind, admin.error());
      admin_ = std::move(*admin);
    }
    manager_.start();
    // Before clients come: without a table they would be told that no slot is served. A server that
    // keeps the table from coming into force altogether must not keep them out for long, though.
    if (dashboard_ != nullptr && !dashboard_->wait_for_table(kFirstTableTimeout)) {
      log_warn("clients are accepted before the slot table is wholly in force");
    }
    for (auto& listener : listeners_) listener->start();
    wait_for_signal();
    trim();  // The first look is at a process that has done nothing yet.
    log_info("started", "version", kVersion, "workers", manager_.workers().size(), "groups",
             config_.groups.size());
    context_.run();
    if (admin_ != nullptr) admin_->stop();
    if (dashboard_ != nullptr) dashboard_->stop();
    manager_.stop();
    log_info("ended");
    return kExitOk;
  }

 private:
  void wait_for_signal() {
    signals_.async_wait([this](std::error_code ec, int signal) {
      if (ec) return;
      switch (signal) {
        case SIGHUP:
          reload();
          break;
        case SIGUSR1:
          log_reopen();
          break;
        default:
          shut_down(signal);
      }
      wait_for_signal();
    });
  }

  void shut_down(int signal) {
    if (drainer_.joinable()) {
      log_warn("ending at once", "signal", strsignal(signal));
      std::_Exit(kExitOk);
    }
    log_info("draining", "signal", strsignal(signal), "clients", manager_.client_count());
    for (auto& listener : listeners_) listener->stop();
    const Milliseconds timeout = manager_.config().proxy.shutdown_timeout;
    // Off this thread, which has to see a second signal.
    drainer_ = std::jthread([this, timeout] {
      if (!manager_.drain(timeout)) {
        log_warn("some clients still had requests in flight when the time was up", "clients",
                 manager_.client_count());
      }
      context_.stop();
    });
  }

  void reload() {
    LoadResult result = load_config(config_sources(command_line_, process_environment()));
    if (!result.ok()) {
      manager_.note_reload(false);  // Who reads of it in the log finds it in the metrics, too.
      for (const Problem& problem : result.problems) {
        log_error("reload refused, the settings stay as they are", "problem", problem.to_string());
      }
      return;
    }
    for (const std::string& warning : result.loaded->warnings) log_warn(warning);
    manager_.change_config(
        [&](Config& running) {
          for (const Difference& difference : differing_options(running, result.loaded->config)) {
            if (difference.reloadable) {
              log_info("setting changed", "name", difference.name);
            } else {
              log_warn("setting needs a restart to change", "name", difference.name);
            }
          }
          running = apply_reloadable(running, result.loaded->config);
          return true;
        },
        [] { log_info("settings reloaded"); });
    if (admin_ != nullptr) admin_->reload_tls();
    if (dashboard_ != nullptr) dashboard_->reload_tls();
    manager_.note_reload(true);
  }

  // The allocator keeps what a burst needed. Once the burst is over it goes back to the system.
  void trim() {
    trim_heap([this](void (*work)()) {
      for (const auto& worker : manager_.workers()) worker->loop().post(work);
    });
    trim_timer_.expires_after(kTrimInterval);
    trim_timer_.async_wait([this](std::error_code ec) {
      if (!ec) trim();
    });
  }

  const CommandLine command_line_;
  asio::io_context context_;
  asio::signal_set signals_;
  asio::steady_timer trim_timer_;
  WorkerManager manager_;
  const Config config_;  // As at the start: what cannot change.
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<AdminServer> admin_;  // Without a dashboard.
  std::unique_ptr<Dashboard> dashboard_;
  std::jthread drainer_;
};

int run(const CommandLine& command_line) {
  LoadResult result = load_config(config_sources(command_line, process_environment()));
  if (!result.ok()) return fail(kExitBadConfig, result.problems_text());
  LoadedConfig& loaded = *result.loaded;
  if (!log_configure(loaded.config.log)) {
    return fail(kExitBadConfig,
                "cannot open " + loaded.config.log.file + ": " + std::strerror(errno));
  }
  for (const std::string& warning : loaded.warnings) log_warn(warning);
  auto topology = make_topology(loaded.config, 1);
  if (!topology) return fail(kExitBadConfig, topology.error());
  raise_descriptor_limit(loaded.config);
  Process process(command_line, std::move(loaded), *topology);
  return process.run();
}

}  // namespace
}  // namespace pikaproxy

int main(int argc, char** argv) {
  using namespace pikaproxy;
  std::signal(SIGPIPE, SIG_IGN);
  set_up_heap();
  const CommandLine command_line = parse_command_line({argv + 1, static_cast<size_t>(argc - 1)});
  const auto result = run_command(command_line, process_environment(), library_versions());
  if (result) {
    std::fwrite(result->out.data(), 1, result->out.size(), stdout);
    std::fwrite(result->err.data(), 1, result->err.size(), stderr);
    return result->exit_code;
  }
  return run(command_line);
}
