#include "common/log.h"

#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fcntl.h>
#include <mutex>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

namespace pikaproxy {
namespace {

// A longer line is cut: a log line is for reading, and one write keeps lines whole.
constexpr size_t kLineMax = 4096;

struct Destination {
  std::mutex mutex;
  int fd = STDERR_FILENO;  // Guarded by mutex.
  std::string file;        // Guarded by mutex.
};

Destination& destination() {
  // Never destroyed: other threads may still log while the process exits.
  static Destination& instance = *new Destination;
  return instance;
}

std::atomic<LogLevel> current_level{LogLevel::kInfo};
std::atomic<LogFormat> current_format{LogFormat::kText};

constexpr std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7F || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

// A JSON string, also used for text values that hold spaces or quotes. Bytes outside ASCII are
// written as \u00XX, so the line is valid JSON whatever the bytes were.
void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20 || byte >= 0x7F) {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\u%04x", byte);
          out += escape;
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append_time(std::string& out) {
  timeval now;
  gettimeofday(&now, nullptr);
  tm utc;
  gmtime_r(&now.tv_sec, &utc);
  char text[64];
  const size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  out.append(text, size);
  std::snprintf(text, sizeof text, ".%03dZ", static_cast<int>(now.tv_usec / 1000));
  out += text;
}

int open_file(const std::string& file) {
  return ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

}  // namespace

bool log_configure(const LogConfig& config) {
  int fd = STDERR_FILENO;
  if (!config.file.empty()) {
    fd = open_file(config.file);
    if (fd < 0) return false;
  }
  Destination& to = destination();
  const std::lock_guard lock(to.mutex);
  if (to.fd != STDERR_FILENO) ::close(to.fd);
  to.fd = fd;
  to.file = config.file;
  current_format.store(config.format, std::memory_order_relaxed);
  log_set_level(config.level);
  return true;
}

void log_set_level(LogLevel level) noexcept {
  current_level.store(level, std::memory_order_relaxed);
}

LogLevel log_level() noexcept {
  return current_level.load(std::memory_order_relaxed);
}

void log_reopen() {
  Destination& to = destination();
  const std::lock_guard lock(to.mutex);
  if (to.file.empty()) return;
  const int fd = open_file(to.file);
  if (fd < 0) return;
  ::close(to.fd);
  to.fd = fd;
}

namespace log_detail {

// JSON has no words for infinity and not-a-number: they become strings.
Value::Value(double value) noexcept : quoted_(!std::isfinite(value)) {
  const int size = std::snprintf(digits_, sizeof digits_, "%.6g", value);
  text_ = std::string_view(digits_, static_cast<size_t>(size));
}

void Value::set_signed(int64_t value) noexcept {
  const auto result = std::to_chars(digits_, digits_ + sizeof digits_, value);
  text_ = std::string_view(digits_, static_cast<size_t>(result.ptr - digits_));
  quoted_ = false;
}

void Value::set_unsigned(uint64_t value) noexcept {
  const auto result = std::to_chars(digits_, digits_ + sizeof digits_, value);
  text_ = std::string_view(digits_, static_cast<size_t>(result.ptr - digits_));
  quoted_ = false;
}

void write_line(LogLevel level, std::string_view event, std::initializer_list<Pair> pairs) {
  std::string line;
  line.reserve(256);
  if (current_format.load(std::memory_order_relaxed) == LogFormat::kJson) {
    line += "{\"time\":\"";
    append_time(line);
    line += "\",\"level\":\"";
    line += name_of(level);
    line += "\",\"event\":";
    append_quoted(line, event);
    for (const Pair& pair : pairs) {
      const std::string_view text = pair.value.text().substr(0, kLineMax / 4);
      line += ',';
      append_quoted(line, pair.key);
      line += ':';
      if (pair.value.is_string()) {
        append_quoted(line, text);
      } else {
        line += text;
      }
    }
    line += '}';
  } else {
    append_time(line);
    line += ' ';
    line += name_of(level);
    line += ' ';
    line += event;
    for (const Pair& pair : pairs) {
      const std::string_view text = pair.value.text().substr(0, kLineMax / 4);
      line += ' ';
      line += pair.key;
      line += '=';
      if (pair.value.is_string() && !is_plain(text)) {
        append_quoted(line, text);
      } else {
        line += text;
      }
    }
  }
  line += '\n';
  Destination& to = destination();
  const std::lock_guard lock(to.mutex);
  // A log that cannot be written must not stop the proxy.
  [[maybe_unused]] const ssize_t written = ::write(to.fd, line.data(), line.size());
}

void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1) {
  write_line(level, event, {{k1, v1}});
}
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1,
         std::string_view k2, const Value& v2) {
  write_line(level, event, {{k1, v1}, {k2, v2}});
}
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1,
         std::string_view k2, const Value& v2, std::string_view k3, const Value& v3) {
  write_line(level, event, {{k1, v1}, {k2, v2}, {k3, v3}});
}
void log(LogLevel level, std::string_view event, std::string_view k1, const Value& v1,
         std::string_view k2, const Value& v2, std::string_view k3, const Value& v3,
         std::string_view k4, const Value& v4) {
  write_line(level, event, {{k1, v1}, {k2, v2}, {k3, v3}, {k4, v4}});
}

}  // namespace log_detail
}  // namespace pikaproxy
