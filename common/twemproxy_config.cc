#include "common/twemproxy_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <set>
#include <string_view>

#include <yaml-cpp/yaml.h>

#include "common/text.h"
#include "common/twemproxy_names.h"

namespace pikaproxy {
namespace {

// Without a name of its own, a server on this port is hashed without its port.
constexpr uint16_t kMemcachedPort = 11211;
constexpr uint32_t kNumberMax = std::numeric_limits<int32_t>::max();

// "Line 7: sentence"; some nodes, such as an absent value, have no place.
std::string placed(const YAML::Mark& mark, const std::string& sentence) {
  return mark.is_null() ? sentence : "Line " + std::to_string(mark.line + 1) + ": " + sentence;
}

Error at(const YAML::Node& node, const std::string& sentence) {
  return Error{placed(node.Mark(), sentence)};
}

// yaml-cpp would replace what is not UTF-8, and so change a password or a server's name unseen.
bool is_utf8(std::string_view text) noexcept {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<uint8_t>(text[i]);
    const size_t size = first < 0x80             ? 1
                        : (first & 0xE0) == 0xC0 ? 2
                        : (first & 0xF0) == 0xE0 ? 3
                        : (first & 0xF8) == 0xF0 ? 4
                                                 : 0;
    if (size == 0 || i + size > text.size()) return false;
    uint32_t code = size == 1 ? first : first & (0x7Fu >> size);
    for (size_t k = 1; k < size; ++k) {
      const auto byte = static_cast<uint8_t>(text[i + k]);
      if ((byte & 0xC0) != 0x80) return false;
      code = code << 6 | (byte & 0x3F);
    }
    // The shortest form only, no surrogates, nothing beyond Unicode.
    constexpr std::array<uint32_t, 5> kFirst = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kFirst[size] || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) return false;
    i += size;
  }
  return true;
}

// The line, from 1, of the first "---" that begins a document; 0 if there is none.
size_t document_marker_line(std::string_view text) noexcept {
  size_t line = 1;
  for (size_t start = 0; start < text.size(); ++line) {
    if (text.substr(start).starts_with("---")) return line;
    const size_t end = text.find('\n', start);
    if (end == std::string_view::npos) break;
    start = end + 1;
  }
  return 0;
}

// Digits only, as twemproxy's nc_atoi, but without its overflow.
std::optional<uint32_t> parse_number(std::string_view text) noexcept {
  uint32_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc() || end != text.data() + text.size() || value > kNumberMax) {
    return std::nullopt;
  }
  return value;
}

// An address in our notation: IPv6 hosts get their brackets. twemproxy splits at the last colon.
Result<Address> parse_host_port(std::string_view host, std::string_view port) {
  const auto number = parse_number(port);
  if (!number || *number < 1 || *number > 65535) {
    return Error{quote(port) + " is not a port from 1 to 65535"};
  }
  std::string text(host);
  if (host.find(':') != std::string_view::npos && !host.starts_with('[')) text = "[" + text + "]";
  return parse_address(text + ":" + std::to_string(*number));
}

// "host:port:weight [name]" or "/path:weight [name]", from its end as twemproxy reads it.
Result<TwemproxyServer> parse_server(const YAML::Node& node) {
  const std::string text = node.Scalar();
  const auto bad = [&](const std::string& why) {
    return at(node, "the server " + quote(text) + " " + why +
                        ": write \"host:port:weight name\" or \"/path:weight name\"; the name may "
                        "be left out.");
  };
  TwemproxyServer server;
  std::string_view rest = text;
  const size_t space = rest.rfind(' ');
  if (space != std::string_view::npos) {
    server.name = rest.substr(space + 1);
    server.is_named = true;
    if (server.name.empty()) return bad("ends in a space");
    rest = rest.substr(0, space);
  }
  const size_t before_weight = rest.rfind(':');
  if (before_weight == std::string_view::npos) return bad("has no weight");
  const auto weight = parse_number(rest.substr(before_weight + 1));
  if (!weight || *weight == 0) return bad("has a weight that is not a number from 1 to 2147483647");
  server.weight = *weight;
  rest = rest.substr(0, before_weight);

  std::string hashed;
  if (rest.starts_with('/')) {
    if (rest.find(':') != std::string_view::npos) return bad("has a colon in its path");
    auto address = parse_address("unix:" + std::string(rest));
    if (!address) return at(node, address.error() + ".");
    server.address = *address;
    // Not a mistake of ours: twemproxy takes the colon for part of the name.
    hashed = std::string(rest) + ":";
  } else {
    const size_t before_port = rest.rfind(':');
    if (before_port == std::string_view::npos) return bad("lacks its port or its weight");
    const std::string_view host = rest.substr(0, before_port);
    const std::string_view port = rest.substr(before_port + 1);
    if (host.empty()) return bad("has no host");
    auto address = parse_host_port(host, port);
    if (!address) return bad("has a bad address (" + address.error() + ")");
    server.address = *address;
    // As written: "06379" is another name than "6379".
    hashed = server.address.port == kMemcachedPort ? host : rest;
  }
  if (!server.is_named) server.name = hashed;
  return server;
}

// A pool while it is read: one function per kind of value, each true if all is well.
class Reader {
 public:
  Result<TwemproxyPool> read(const std::string& name, const YAML::Node& options) {
    pool_.name = name;
    if (!options.IsMap()) {
      return at(options, "the pool " + quote(name) + " has no options below it.");
    }
    for (const auto& entry : options) {
      if (!option(entry.first, entry.second)) return *error_;
    }
    const std::string of_pool = "The pool " + quote(name) + " ";
    if (!redis_.value_or(false)) {
      return Error{of_pool +
                   "is for memcached (it does not say \"redis: true\"), which pikaproxy "
                   "does not speak: import a Redis pool."};
    }
    if (!seen_.contains("listen")) return Error{of_pool + "has no \"listen\": add it."};
    if (pool_.servers.empty()) return Error{of_pool + "has no \"servers\": add them."};
    return pool_;
  }

 private:
  bool fail(const YAML::Node& node, const std::string& sentence) {
    error_ = at(node, sentence);
    return false;
  }

  bool option(const YAML::Node& key_node, const YAML::Node& value) {
    if (!key_node.IsScalar()) return fail(key_node, "an option's name must be a word.");
    key_ = key_node.Scalar();
    if (!seen_.insert(key_).second) {
      return fail(key_node, "the option " + quote(key_) + " is there twice: keep one.");
    }
    if (key_ == "servers") return servers(value);
    if (!value.IsScalar() || value.Scalar().empty()) {
      return fail(key_node, "the option " + quote(key_) + " needs a value, one word or a text in " +
                                "quotes.");
    }
    if (key_ == "listen") return listen(value);
    if (key_ == "hash") return choice(value, pool_.hash, kTwemproxyHashes);
    if (key_ == "distribution") return choice(value, pool_.distribution, kTwemproxyDistributions);
    if (key_ == "hash_tag") return hash_tag(value);
    if (key_ == "redis") return boolean(value, redis_);
    if (key_ == "redis_auth") return pool_.redis_auth = value.Scalar(), true;
    if (key_ == "redis_db") return number(value, pool_.redis_db);
    if (key_ == "timeout") return number(value, pool_.timeout_ms);
    if (key_ == "backlog") return number(value, pool_.backlog);
    if (key_ == "client_connections") return number(value, pool_.client_connections);
    if (key_ == "server_connections") return number(value, pool_.server_connections);
    if (key_ == "server_retry_timeout") return number(value, pool_.server_retry_timeout_ms);
    if (key_ == "server_failure_limit") return number(value, pool_.server_failure_limit);
    if (key_ == "tcpkeepalive") return boolean(value, pool_.tcpkeepalive);
    if (key_ == "reuseport") return boolean(value, pool_.reuseport);
    if (key_ == "preconnect") return boolean(value, pool_.preconnect);
    if (key_ == "auto_eject_hosts") return boolean(value, pool_.auto_eject_hosts);
    return fail(key_node, "twemproxy has no option " + quote(key_) + ": correct or remove it.");
  }

  bool number(const YAML::Node& value, std::optional<uint32_t>& out) {
    out = parse_number(value.Scalar());
    return out || fail(value, key_ + " must be a whole number from 0 to 2147483647, not " +
                                  quote(value.Scalar()) + ".");
  }

  bool boolean(const YAML::Node& value, std::optional<bool>& out) {
    const std::string& text = value.Scalar();
    if (text != "true" && text != "false") {
      return fail(value, key_ + " must be true or false, not " + quote(text) + ".");
    }
    out = text == "true";
    return true;
  }

  template <size_t N>
  bool choice(const YAML::Node& value, std::string& out,
              const std::array<std::string_view, N>& choices) {
    out = value.Scalar();
    if (std::ranges::find(choices, out) != choices.end()) return true;
    return fail(value, key_ + " must be one of " + join(choices) + ", not " + quote(out) + ".");
  }

  bool hash_tag(const YAML::Node& value) {
    pool_.hash_tag = value.Scalar();
    return pool_.hash_tag.size() == 2 ||
           fail(value, "hash_tag must have two characters such as \"{}\", not " +
                           quote(pool_.hash_tag) + ".");
  }

  // "host:port", "/path" or "/path mode".
  bool listen(const YAML::Node& value) {
    const std::string_view text = value.Scalar();
    if (text.starts_with('/')) return listen_unix(value, text);
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
      return fail(value,
                  "listen must be \"host:port\" or \"/path mode\", not " + quote(text) + ".");
    }
    // Without a host twemproxy listens everywhere, parse_address() would not.
    const std::string_view host = colon == 0 ? "0.0.0.0" : text.substr(0, colon);
    auto address = parse_host_port(host, text.substr(colon + 1));
    if (!address) return fail(value, "listen: " + address.error() + ".");
    pool_.listen = *address;
    return true;
  }

  bool listen_unix(const YAML::Node& value, std::string_view text) {
    const size_t space = text.rfind(' ');
    if (space != std::string_view::npos) {
      const std::string_view mode = text.substr(space + 1);
      uint32_t bits = 0;
      const auto [end, ec] = std::from_chars(mode.data(), mode.data() + mode.size(), bits, 8);
      if (ec != std::errc() || end != mode.data() + mode.size() || bits > 0777) {
        return fail(value, "listen: " + quote(mode) + " is not a mode from 0 to 0777.");
      }
      // twemproxy takes 0 for "none given".
      if (bits != 0) pool_.unix_mode = bits;
      text = text.substr(0, space);
    }
    auto address = parse_address("unix:" + std::string(text));
    if (!address) return fail(value, "listen: " + address.error() + ".");
    pool_.listen = *address;
    return true;
  }

  bool servers(const YAML::Node& list) {
    if (!list.IsSequence()) {
      return fail(list, "servers must be a list: one \"- host:port:weight name\" per line.");
    }
    std::set<std::string> names;
    for (const auto& entry : list) {
      if (!entry.IsScalar()) return fail(entry, "a server must be one line of text.");
      auto server = parse_server(entry);
      if (!server) {
        error_ = Error{server.error()};
        return false;
      }
      if (!names.insert(server->name).second) {
        return fail(entry, "two servers have the name " + quote(server->name) +
                               ": twemproxy refuses that, too.");
      }
      pool_.servers.push_back(std::move(*server));
    }
    return true;
  }

  TwemproxyPool pool_;
  std::optional<bool> redis_;
  std::string key_;  // The option being read.
  std::set<std::string> seen_;
  std::optional<Error> error_;
};

Result<TwemproxyPool> read_file(const YAML::Node& file, const std::string& pool) {
  if (!file.IsMap() || file.size() == 0) {
    return Error{
        "This is not twemproxy's configuration: it must begin with a pool's name and a "
        "colon, with the pool's options indented below it."};
  }
  std::string names;
  for (const auto& entry : file) {
    if (!entry.first.IsScalar()) return at(entry.first, "a pool's name must be a word.");
    const std::string name = entry.first.Scalar();
    if (name == pool || (pool.empty() && file.size() == 1))
      return Reader().read(name, entry.second);
    names += (names.empty() ? "" : ", ") + quote(name);
  }
  if (pool.empty()) {
    return Error{"The file has several pools; say which one with --pool NAME: " + names + "."};
  }
  return Error{"The file has no pool " + quote(pool) + "; it has " + names + "."};
}

}  // namespace

Result<TwemproxyPool> parse_twemproxy_pool(const std::string& yaml_text, const std::string& pool) {
  if (!is_utf8(yaml_text)) {
    return Error{
        "The file is not UTF-8 text, which twemproxy's configuration has to be: save it "
        "as UTF-8."};
  }
  if (const size_t line = document_marker_line(yaml_text); line != 0) {
    return Error{"Line " + std::to_string(line) + ": \"---\" begins a YAML document, which " +
                 "twemproxy does not allow: remove it and what belongs to other documents."};
  }
  try {
    // Not LoadAll(): yaml-cpp 0.7 reads documents without end from a text that begins with ",".
    return read_file(YAML::Load(yaml_text), pool);
  } catch (const YAML::Exception& exception) {
    return Error{placed(exception.mark, "the file is not valid YAML: " + exception.msg + ".")};
  }
}

}  // namespace pikaproxy
