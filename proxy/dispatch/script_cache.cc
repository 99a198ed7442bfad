#include "proxy/dispatch/script_cache.h"

#include <cctype>

#include <openssl/evp.h>

namespace pikaproxy {
namespace {

constexpr size_t kScriptMax = 1024 * 1024;
constexpr size_t kBytesMax = 16 * 1024 * 1024;
// What an entry takes beside the body: its key twice, the nodes of the map and the list.
constexpr size_t kEntryBytes = 256;

}  // namespace

std::string ScriptCache::sha1_hex(std::string_view body) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(body.data(), body.size(), digest, &size, EVP_sha1(), nullptr);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += kHex[digest[i] >> 4];
    out += kHex[digest[i] & 15];
  }
  return out;
}

std::string ScriptCache::normalize(std::string_view sha) {
  std::string out(sha);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

void ScriptCache::add(std::string_view body) {
  if (body.size() > kScriptMax) return;
  std::string sha = sha1_hex(body);
  const std::lock_guard lock(mutex_);
  if (scripts_.contains(sha)) return;
  by_age_.push_back(sha);
  scripts_.emplace(sha, Entry{std::make_shared<const std::string>(body), std::prev(by_age_.end())});
  bytes_ += body.size() + kEntryBytes;
  while (bytes_ > kBytesMax) {
    const auto oldest = scripts_.find(by_age_.front());
    bytes_ -= oldest->second.body->size() + kEntryBytes;
    scripts_.erase(oldest);
    by_age_.pop_front();
  }
}

std::shared_ptr<const std::string> ScriptCache::find(const std::string& sha) const {
  const std::lock_guard lock(mutex_);
  const auto found = scripts_.find(sha);
  return found == scripts_.end() ? nullptr : found->second.body;
}

void ScriptCache::clear() {
  const std::lock_guard lock(mutex_);
  scripts_.clear();
  by_age_.clear();
  bytes_ = 0;
}

}  // namespace pikaproxy
