#include "common/file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "common/text.h"

namespace pikaproxy {
namespace {

constexpr size_t kSecretBytesMax = 4096;
constexpr size_t kSecretFileBytesMax = 64 << 10;

Error failed(const std::string& path, std::string_view why) {
  return Error{quote(path) + " cannot be read: " + std::string(why)};
}

Error failed(const std::string& path, int error) {
  return failed(path, std::generic_category().message(error));
}

struct Descriptor {
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

}  // namespace

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  if (path.find('\0') != std::string::npos) return failed(path, "the name holds a zero byte");
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.fd < 0) return failed(path, errno);
  struct stat about;
  if (::fstat(file.fd, &about) != 0) return failed(path, errno);
  if (!S_ISREG(about.st_mode)) return failed(path, "it is not a regular file");
  std::string bytes;
  char chunk[16384];
  while (true) {
    const ssize_t size = ::read(file.fd, chunk, sizeof chunk);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed(path, errno);
    if (size == 0) return bytes;
    bytes.append(chunk, static_cast<size_t>(size));
    if (bytes.size() > bytes_max) {
      return failed(path, "it is larger than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

Result<std::string> read_secret_file(const std::string& path) {
  Result<std::string> bytes = read_file(path, kSecretFileBytesMax);
  if (!bytes) return bytes;
  std::string line = bytes->substr(0, bytes->find('\n'));
  if (line.ends_with('\r')) line.pop_back();
  if (line.empty()) return failed(path, "its first line, the password, is empty");
  if (line.size() > kSecretBytesMax) {
    return failed(path, "its first line, the password, is longer than 4096 bytes");
  }
  return line;
}

}  // namespace pikaproxy
