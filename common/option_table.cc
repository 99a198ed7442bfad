#include "common/option_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <type_traits>

#include "common/text.h"
#include "common/twemproxy_names.h"
#include "common/units.h"

namespace pikaproxy {
namespace {

using enum OptionType;

constexpr int64_t kKb = 1LL << 10;
constexpr int64_t kMb = 1LL << 20;
constexpr int64_t kTb = 1LL << 40;
constexpr int64_t kSecondMs = 1'000;
constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
constexpr int64_t kDayUs = kDayMs * 1'000;
// What Linux takes for TCP_KEEPIDLE.
constexpr int64_t kKeepaliveMaxMs = 32'767 * kSecondMs;

// In the order of the enums.
constexpr std::array<std::string_view, 2> kRouterKinds = {"slot", "ketama"};
constexpr std::array<std::string_view, 4> kLogLevels = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 4> kReadFrom = {"master", "prefer_replica", "replica",
                                                       "nearest"};
constexpr std::array<std::string_view, 2> kLogFormats = {"text", "json"};
// Name and accessor from one spelling, so that they cannot drift apart.
#define FIELD(path) #path, +[](Config & config) -> decltype((config.path)) { return config.path; }
constexpr bool kFixed = false;
constexpr bool kReloadable = true;

constexpr Option kOptions[] = {
    {FIELD(proxy.listen), kAddressList, kFixed,
     "Where clients connect: host:port, [v6]:port or unix:/path, several with commas"},
    {FIELD(proxy.unix_mode), kMode, kFixed, "Permissions of the unix sockets listened on, octal", 0,
     0777},
    {FIELD(proxy.tcp_backlog), kInteger, kFixed,
     "Connections that the kernel holds until they are accepted", 1, 65'535},
    {FIELD(proxy.workers), kInteger, kFixed, "Threads that serve clients; 0 = one per core up to 4",
     0, 64},
    {FIELD(proxy.router), kChoice, kFixed,
     "How a key finds its group: 1024 slots, or twemproxy's consistent hashing", 0, 0, false,
     kRouterKinds},
    {FIELD(proxy.databases), kInteger, kFixed, "Databases that SELECT accepts, counted from 0", 1,
     10'000},
    {FIELD(proxy.max_clients), kInteger, kReloadable, "Clients connected at once, over all workers",
     1, 1'000'000},
    {FIELD(proxy.client_idle_timeout), kDuration, kReloadable,
     "A client that sends nothing for so long is disconnected; 0 = never", kSecondMs, 365 * kDayMs,
     true},
    {FIELD(proxy.tcp_keepalive), kDuration, kFixed,
     "Silence before TCP probes a peer, clients and servers alike; 0 = off", kSecondMs,
     kKeepaliveMaxMs, true},
    {FIELD(proxy.client_pipeline_max), kInteger, kReloadable,
     "Unanswered requests of one client; at the limit it is not read from", 1, 1'000'000},
    {FIELD(proxy.client_subscriptions_max), kInteger, kReloadable,
     "Channels and patterns that one client may subscribe to", 1, 10'000'000},
    {FIELD(proxy.client_output_max), kSize, kReloadable,
     "Replies waiting for one client; beyond it is disconnected", kKb, kTb},
    {FIELD(proxy.client_output_timeout), kDuration, kReloadable,
     "A client that accepts no reply for so long is disconnected", 100, kDayMs},
    {FIELD(proxy.bulk_max), kSize, kReloadable, "Size of one argument of a request", kKb, kTb},
    {FIELD(proxy.request_max), kSize, kReloadable, "Size of one request with all its arguments",
     kKb, kTb},
    {FIELD(proxy.memory_max), kSize, kReloadable,
     "Requests and replies held in memory, over all clients and servers", kMb, kTb},
    {FIELD(proxy.hold_timeout), kDuration, kReloadable,
     "How long a request waits while its slot is locked or its key is being moved", 1, kHourMs},
    {FIELD(proxy.hold_max), kSize, kReloadable,
     "Bytes of all requests that wait for a slot, per worker; beyond they get TRYAGAIN", 0, kTb},
    {FIELD(proxy.read_from), kChoice, kReloadable,
     "Where new connections' reads go: masters, replicas if any is fresh (of the zone), replicas "
     "only",
     0, 0, false, kReadFrom},
    {FIELD(proxy.replica_max_lag), kDuration, kReloadable,
     "A replica that may be behind its master by more is not read from", 100, kHourMs},
    {FIELD(proxy.zone), kText, kReloadable,
     "Where this proxy is, for read_from = \"nearest\": the name of a [[zone]]"},
    {FIELD(proxy.read_own_writes), kBool, kReloadable,
     "Whether a replica is only read from if it has what the client has written"},
    {FIELD(proxy.cluster_mode), kBool, kFixed,
     "Whether clients see a Redis Cluster, with this proxy as its only node"},
    {FIELD(proxy.announce), kText, kFixed,
     "Address of that node, host:port; empty = the one that the client connected to"},
    {FIELD(proxy.shutdown_timeout), kDuration, kReloadable,
     "How long SIGTERM waits for unanswered requests; 0 = not at all", 0, kHourMs},

    {FIELD(backend.connect_timeout), kDuration, kReloadable,
     "Time to connect to a server, with AUTH and SELECT", 1, kHourMs},
    {FIELD(backend.request_timeout), kDuration, kReloadable,
     "A server that owes a reply for so long loses the connection", 1, kDayMs},
    {FIELD(backend.reconnect_min), kDuration, kReloadable,
     "First pause after a failed connect; doubles with each further failure", 1, kHourMs},
    {FIELD(backend.reconnect_max), kDuration, kReloadable, "Longest pause between connects", 1,
     kHourMs},
    {FIELD(backend.pending_max), kInteger, kReloadable,
     "Unanswered requests at one server, per worker; beyond they fail", 1, 100'000'000},
    {FIELD(backend.dedicated_max), kInteger, kReloadable,
     "Connections for single clients (WATCH, BLPOP), per worker", 1, 1'000'000},
    {FIELD(backend.queue_max), kSize, kReloadable,
     "Bytes waiting to be sent to one server, per worker; beyond requests fail", kKb, kTb},

    {FIELD(log.level), kChoice, kReloadable, "Least severe level that is logged", 0, 0, false,
     kLogLevels},
    {FIELD(log.format), kChoice, kFixed, "One line of text, or one JSON object, per event", 0, 0,
     false, kLogFormats},
    {FIELD(log.file), kText, kFixed,
     "File to append to; empty = standard error; SIGUSR1 opens it again"},

    {FIELD(slowlog.slower_than), kDuration, kReloadable,
     "Requests that take longer are kept for SLOWLOG; 0 = all, \"off\" = none", -1, kDayUs},
    {FIELD(slowlog.max_len), kInteger, kReloadable, "Requests that SLOWLOG keeps, over all workers",
     0, 100'000},

    {FIELD(admin.enabled), kBool, kFixed, "Whether the HTTP port for metrics and health is open"},
    {FIELD(admin.listen), kAddress, kFixed, "Address of /metrics, /healthz and /readyz, host:port"},
    {FIELD(admin.allowed_hosts), kHostList, kFixed,
     "Names by which browsers may reach that port, beside addresses and localhost"},
    {FIELD(admin.tls_cert), kText, kFixed,
     "PEM file with the certificate, and its chain, of that port: it speaks HTTPS; empty = HTTP"},
    {FIELD(admin.tls_key), kText, kFixed, "PEM file with the key of that certificate"},

    {FIELD(dashboard.enabled), kBool, kFixed,
     "Whether groups, slots and migrations are managed here, by the REST API on the admin port"},
    {FIELD(dashboard.data_dir), kText, kFixed,
     "Directory of the dashboard's store, made if it is not there; for one process at a time"},
    {FIELD(dashboard.admin_password_file), kText, kFixed,
     "File whose first line is the first admin's password; empty = a random one"},
    {FIELD(dashboard.session_timeout), kDuration, kFixed,
     "A login that is not used for so long ends", 60 * kSecondMs, 365 * kDayMs},
    {FIELD(dashboard.session_max), kDuration, kFixed, "Any login ends after so long",
     60 * kSecondMs, 365 * kDayMs},
    {FIELD(dashboard.allow_plain_http), kBool, kFixed,
     "Whether the API may be open to other machines without TLS"},
    {FIELD(dashboard.web_root), kText, kFixed,
     "Directory with the browser page, for working on it; empty = the one in the program"},

    {FIELD(auth.password), kPassword, kReloadable,
     "Password of the user \"default\"; empty = none is asked for"},
    {FIELD(auth.password_file), kSecretFile, kFixed,
     "File whose first line is that password, instead of writing it here"},

    {FIELD(ketama.hash), kChoice, kFixed, "Hash function of keys, by twemproxy's name", 0, 0, false,
     kTwemproxyHashes},
    {FIELD(ketama.distribution), kChoice, kFixed, "How hashes are spread, by twemproxy's name", 0,
     0, false, kTwemproxyDistributions},
    {FIELD(ketama.hash_tag), kText, kFixed,
     "Two characters; what lies between them in a key is hashed; empty = all of it"},
};
#undef FIELD

constexpr std::string_view kOff = "off";

template <typename T>
concept Enumeration = std::is_enum_v<T>;

// With the leading zero that people know octal numbers by.
std::string octal(uint32_t mode) {
  if (mode == 0) return "0";
  char text[16];
  const auto [end, ec] = std::to_chars(text, text + sizeof text, mode, 8);
  return "0" + std::string(text, end);
}

// A limit of a row, in the words of its type.
std::string limit_text(const Option& option, int64_t value) {
  switch (option.type) {
    case kSize:
      return format_size(static_cast<uint64_t>(value));
    case kDuration:
      return format_duration(std::holds_alternative<Milliseconds& (*)(Config&)>(option.field)
                                 ? Microseconds(Milliseconds(value))
                                 : Microseconds(value));
    case kMode:
      return octal(static_cast<uint32_t>(value));
    default:
      return std::to_string(value);
  }
}

bool in_range(const Option& option, int64_t value) {
  return (value >= option.min && value <= option.max) || (option.or_zero && value == 0);
}

Error must_be(const Option& option, std::string_view text) {
  std::string message = std::string(option.name) + " must be " + describe_values(option);
  if (!option.secret()) message += ", not " + quote(text);
  const std::string suggestion = did_you_mean(text, option.choices);
  if (!suggestion.empty()) message += "." + suggestion;
  return Error{message};
}

Error because(const Option& option, const std::string& why) {
  return Error{std::string(option.name) + ": " + why};
}

std::optional<Error> read_into(bool& field, const Option& option, std::string_view text) {
  if (text != "true" && text != "false") return must_be(option, text);
  field = text == "true";
  return std::nullopt;
}

std::optional<Error> read_into(uint32_t& field, const Option& option, std::string_view text) {
  std::string_view digits = text;
  const int base = option.type == kMode ? 8 : 10;
  // "0o700" is how TOML writes octal numbers.
  if (base == 8 && digits.starts_with("0o")) digits.remove_prefix(2);
  uint32_t value = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (ec != std::errc() || end != digits.data() + digits.size() || !in_range(option, value)) {
    return must_be(option, text);
  }
  field = value;
  return std::nullopt;
}

std::optional<Error> read_into(uint64_t& field, const Option& option, std::string_view text) {
  const Result<uint64_t> size = parse_size(text);
  if (!size) return because(option, size.error());
  if (!in_range(option, static_cast<int64_t>(*size))) return must_be(option, text);
  field = *size;
  return std::nullopt;
}

template <typename Duration>
std::optional<Error> read_duration(Duration& field, const Option& option, std::string_view text) {
  if (option.min < 0 && (text == kOff || text == "-1")) {
    field = Duration(-1);
    return std::nullopt;
  }
  const Result<Microseconds> parsed = parse_duration(text);
  if (!parsed) {
    return because(option, parsed.error() + (option.min < 0 ? "; \"off\" is possible too" : ""));
  }
  const auto value = std::chrono::duration_cast<Duration>(*parsed);
  if (value != *parsed) return because(option, quote(text) + " is finer than a millisecond");
  if (!in_range(option, value.count())) return must_be(option, text);
  field = value;
  return std::nullopt;
}

std::optional<Error> read_into(Milliseconds& field, const Option& option, std::string_view text) {
  return read_duration(field, option, text);
}

std::optional<Error> read_into(Microseconds& field, const Option& option, std::string_view text) {
  return read_duration(field, option, text);
}

std::optional<Error> read_into(std::string& field, const Option& option, std::string_view text) {
  if (option.type == kChoice &&
      std::find(option.choices.begin(), option.choices.end(), text) == option.choices.end()) {
    return must_be(option, text);
  }
  if (option.type != kPassword && has_control_character(text)) {
    return because(option, quote(text) + " holds a control character, which is surely a mistake");
  }
  field = text;
  return std::nullopt;
}

std::optional<Error> read_into(Address& field, const Option& option, std::string_view text) {
  const Result<Address> address = parse_address(text);
  if (!address) return because(option, address.error());
  if (address->is_unix()) {
    return because(option, quote(text) + " is a unix socket; only host:port is served here");
  }
  field = *address;
  return std::nullopt;
}

// What stands between commas, without spaces around it; nothing for an empty text.
std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.push_back(part);
    // A comma at the end is followed by an empty part.
    if (comma + 1 == text.size()) parts.emplace_back();
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::optional<Error> read_into(std::vector<Address>& field, const Option& option,
                               std::string_view text) {
  std::vector<Address> addresses;
  for (const std::string_view part : split_list(text)) {
    const Result<Address> address = parse_address(part);
    if (!address) return because(option, address.error());
    addresses.push_back(*address);
  }
  if (addresses.empty()) return because(option, "at least one address is needed");
  field = std::move(addresses);
  return std::nullopt;
}

bool is_host_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  });
}

std::optional<Error> read_into(std::vector<std::string>& field, const Option& option,
                               std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view part : split_list(text)) {
    if (!is_host_name(part)) {
      return because(option, quote(part) +
                                 " is not a host name: write it without a port, such as "
                                 "\"proxy1.example\"");
    }
    names.emplace_back(part);
  }
  field = std::move(names);
  return std::nullopt;
}

template <Enumeration Enum>
std::optional<Error> read_into(Enum& field, const Option& option, std::string_view text) {
  const auto found = std::find(option.choices.begin(), option.choices.end(), text);
  if (found == option.choices.end()) return must_be(option, text);
  field = static_cast<Enum>(found - option.choices.begin());
  return std::nullopt;
}

std::string text_of(bool value, const Option&) {
  return value ? "true" : "false";
}
std::string text_of(uint32_t value, const Option& option) {
  return option.type == kMode ? octal(value) : std::to_string(value);
}
std::string text_of(uint64_t value, const Option&) {
  return format_size(value);
}
std::string text_of(Microseconds value, const Option&) {
  return value.count() < 0 ? std::string(kOff) : format_duration(value);
}
std::string text_of(const std::string& value, const Option&) {
  return value;
}
std::string text_of(const Address& value, const Option&) {
  return value.to_string();
}
std::string text_of(const std::vector<Address>& value, const Option&) {
  std::string text;
  for (const Address& address : value) {
    if (!text.empty()) text += ',';
    text += address.to_string();
  }
  return text;
}
std::string text_of(const std::vector<std::string>& value, const Option&) {
  const std::vector<std::string_view> names(value.begin(), value.end());
  return join(names, ",");
}
template <Enumeration Enum>
std::string text_of(Enum value, const Option& option) {
  return std::string(option.choices[static_cast<size_t>(value)]);
}

}  // namespace

std::span<const Option> options() noexcept {
  return kOptions;
}

const Option* find_option(std::string_view name) noexcept {
  for (const Option& option : kOptions) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

std::span<const std::string_view> read_from_names() noexcept {
  return kReadFrom;
}

std::span<const std::string_view> option_names() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const Option& option : kOptions) all.push_back(option.name);
    return all;
  }();
  return names;
}

std::string get_option(const Config& config, const Option& option) {
  // The accessors only hand out a reference; nothing is written through it here.
  auto& readable = const_cast<Config&>(config);
  return std::visit([&](auto accessor) { return text_of(accessor(readable), option); },
                    option.field);
}

std::string option_toml(const Config& config, const Option& option) {
  std::string text = get_option(config, option);
  if (option.type == kBool || option.type == kInteger) return text;
  if (!option.is_list()) return toml_string(text);
  std::string list;
  for (const std::string_view part : split_list(text)) {
    if (!list.empty()) list += ", ";
    list += toml_string(part);
  }
  return "[" + list + "]";
}

std::optional<Error> set_option(Config& config, const Option& option, std::string_view text) {
  return std::visit([&](auto accessor) { return read_into(accessor(config), option, text); },
                    option.field);
}

std::string environment_name(const Option& option) {
  std::string name = "PIKAPROXY_";
  for (const char c : option.name) {
    name += c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return name;
}

std::string describe_values(const Option& option) {
  switch (option.type) {
    case kBool:
      return "true or false";
    case kChoice:
      return join(option.choices, " | ");
    case kText:
      return "text";
    case kPassword:
      return "a password";
    case kSecretFile:
      return "the path of a file";
    case kAddress:
      return "host:port";
    case kAddressList:
      return "addresses";
    case kHostList:
      return "host names";
    default:
      break;
  }
  std::string range = limit_text(option, std::max<int64_t>(option.min, 0)) + " to " +
                      limit_text(option, option.max);
  if (option.or_zero) range = "0 or " + range;
  if (option.min < 0) range += " or \"off\"";
  return range;
}

}  // namespace pikaproxy
