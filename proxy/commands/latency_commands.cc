// LATENCY, of the proxy's own numbers. Durations are known by class of command (read, write, multi,
// script, admin), not by command; events such as a fork are a server's.

#include <array>
#include <vector>

#include "common/ascii.h"
#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/commands/local_commands.h"
#include "proxy/worker.h"
#include "proxy/worker_manager.h"

namespace pikaproxy {
namespace {

// The class of that name, or of the command of that name; kCommandClassCount if there is none.
size_t class_of(std::string_view name) {
  for (size_t i = 0; i < kCommandClassCount; ++i) {
    if (equals_ignoring_case(name, name_of(static_cast<CommandClass>(i)))) return i;
  }
  const size_t bar = name.find('|');
  const Command* command = find_command(name.substr(0, bar));
  if (command != nullptr && bar != std::string_view::npos) {
    command = find_subcommand(*command, name.substr(bar + 1));
  }
  return command == nullptr ? kCommandClassCount : static_cast<size_t>(command->command_class);
}

// As Redis: how many took less than 1, 2, 4, 8 ... microseconds, where that number grows.
void append_histogram(std::string& out, RespVersion version, const MergedHistogram& histogram) {
  std::string buckets;
  int64_t count = 0;
  uint64_t seen = 0;
  for (uint64_t us = 1; seen < histogram.total(); us *= 2) {
    const uint64_t below = us > UINT64_MAX / 4 ? histogram.total() : histogram.count_below(us - 1);
    if (below == seen) continue;
    seen = below;
    ++count;
    resp::append_integer(buckets, static_cast<int64_t>(us));
    resp::append_integer(buckets, static_cast<int64_t>(seen));
  }
  resp::append_map(out, version, 2);
  resp::append_bulk(out, "calls");
  resp::append_integer(out, static_cast<int64_t>(histogram.total()));
  resp::append_bulk(out, "histogram_usec");
  resp::append_map(out, version, count);
  out += buckets;
}

void histogram(Client& client, const Command&, Arguments args) {
  std::array<bool, kCommandClassCount> wanted{};
  if (args.size() == 2) wanted.fill(true);
  for (const std::string_view name : args.subspan(2)) {
    if (const size_t found = class_of(name); found < kCommandClassCount) wanted[found] = true;
  }
  std::string entries;
  int64_t count = 0;
  for (size_t i = 0; i < kCommandClassCount; ++i) {
    if (!wanted[i]) continue;
    MergedHistogram all;
    for (const auto& worker : client.worker().manager().workers()) {
      all.add(std::as_const(*worker).stats().latency[i]);
    }
    if (all.total() == 0) continue;
    ++count;
    resp::append_bulk(entries, name_of(static_cast<CommandClass>(i)));
    append_histogram(entries, client.version(), all);
  }
  std::string out;
  resp::append_map(out, client.version(), count);
  client.reply(out + entries);
}

void no_events(Client& client, const Command&, Arguments) {
  client.reply("*0\r\n");
}

void reset(Client& client, const Command&, Arguments) {
  client.reply(resp::integer(0));
}

void graph(Client& client, const Command&, Arguments args) {
  client.reply_error("ERR No samples available for event '" + std::string(args[2].substr(0, 128)) +
                     "'");
}

void doctor(Client& client, const Command&, Arguments) {
  std::string text;
  for (size_t i = 0; i < kCommandClassCount; ++i) {
    MergedHistogram total, own;
    for (const auto& worker : client.worker().manager().workers()) {
      const WorkerStats& stats = std::as_const(*worker).stats();
      total.add(stats.latency[i]);
      own.add(stats.own_time[i]);
    }
    if (total.total() == 0) continue;
    text += "Of commands of class " + std::string(name_of(static_cast<CommandClass>(i))) +
            " 99 of 100 took at most " + std::to_string(total.quantile_us(0.99)) + " us, " +
            std::to_string(own.quantile_us(0.99)) + " us in the proxy.\n";
  }
  if (text.empty()) text = "No server has been asked for anything yet.\n";
  text +=
      "SLOWLOG GET has the slowest requests, with the server and its part of the time. What a "
      "server was busy with its own LATENCY DOCTOR tells.\n";
  client.reply(resp::verbatim(client.version(), text));
}

void help(Client& client, const Command&, Arguments) {
  client.reply(help_reply(
      "LATENCY",
      {"DOCTOR", "    How long requests take here, in words.", "GRAPH <event>",
       "    Events are noticed by servers only: there is none to draw.",
       "HISTOGRAM [<class or command> ...]",
       "    How long requests took, by class of command: read, write, multi, script, admin.",
       "HISTORY <event>", "    Empty: events are noticed by servers only.", "LATEST",
       "    Empty, too.", "RESET [<event> ...]", "    Nothing to forget; CONFIG RESETSTAT starts",
       "    the histograms again."}));
}

constexpr LocalEntry kEntries[] = {
    {"latency|doctor", doctor},       {"latency|graph", graph},       {"latency|help", help},
    {"latency|histogram", histogram}, {"latency|history", no_events}, {"latency|latest", no_events},
    {"latency|reset", reset},
};

}  // namespace

std::span<const LocalEntry> latency_commands() {
  return kEntries;
}

}  // namespace pikaproxy
