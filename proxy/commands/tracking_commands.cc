// CLIENT CACHING, GETREDIR and TRACKINGINFO. CLIENT TRACKING itself is the Dispatcher's.

#include <string>
#include <vector>

#include "common/ascii.h"
#include "common/resp3.h"
#include "proxy/client/client.h"
#include "proxy/client/tracking.h"
#include "proxy/commands/local_commands.h"

namespace pikaproxy {
namespace {

using Choice = ClientTracking::Choice;
using Caching = ClientTracking::Caching;

void caching(Client& client, const Command&, Arguments args) {
  ClientTracking* tracking = client.tracking.get();
  if (tracking == nullptr) {
    client.reply_error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
        "OPTOUT mode enabled");
  } else if (equals_ignoring_case(args[2], "YES")) {
    if (tracking->choice != Choice::kOptIn) {
      client.reply_error(
          "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
      return;
    }
    tracking->caching = Caching::kYes;
    client.reply(resp::kOk);
  } else if (equals_ignoring_case(args[2], "NO")) {
    if (tracking->choice != Choice::kOptOut) {
      client.reply_error(
          "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
      return;
    }
    tracking->caching = Caching::kNo;
    client.reply(resp::kOk);
  } else {
    client.reply_error("ERR syntax error");
  }
}

int64_t redirection(const Client& client) {
  return client.tracking == nullptr ? -1 : static_cast<int64_t>(client.tracking->redirect);
}

void getredir(Client& client, const Command&, Arguments) {
  client.reply(resp::integer(redirection(client)));
}

void trackinginfo(Client& client, const Command&, Arguments) {
  std::vector<std::string_view> flags;
  const ClientTracking* tracking = client.tracking.get();
  flags.emplace_back(tracking != nullptr ? "on" : "off");
  if (tracking != nullptr) {
    if (tracking->broadcast) flags.emplace_back("bcast");
    if (tracking->choice == Choice::kOptIn) flags.emplace_back("optin");
    if (tracking->caching == Caching::kYes) flags.emplace_back("caching-yes");
    if (tracking->choice == Choice::kOptOut) flags.emplace_back("optout");
    if (tracking->caching == Caching::kNo) flags.emplace_back("caching-no");
    if (tracking->no_loop) flags.emplace_back("noloop");
    if (tracking->redirect_broken) flags.emplace_back("broken_redirect");
  }
  std::string out;
  resp::append_map(out, client.version(), 3);
  resp::append_bulk(out, "flags");
  resp::append_set(out, client.version(), static_cast<int64_t>(flags.size()));
  for (const std::string_view flag : flags) resp::append_bulk(out, flag);
  resp::append_bulk(out, "redirect");
  resp::append_integer(out, redirection(client));
  resp::append_bulk(out, "prefixes");
  const std::vector<std::string> none;
  const std::vector<std::string>& prefixes = tracking != nullptr ? tracking->prefixes : none;
  resp::append_array(out, static_cast<int64_t>(prefixes.size()));
  for (const std::string& prefix : prefixes) resp::append_bulk(out, prefix);
  client.reply(out);
}

constexpr LocalEntry kEntries[] = {
    {"client|caching", caching},
    {"client|getredir", getredir},
    {"client|trackinginfo", trackinginfo},
};

}  // namespace

std::span<const LocalEntry> tracking_commands() {
  return kEntries;
}

}  // namespace pikaproxy
