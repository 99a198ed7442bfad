#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pikaproxy {

// Bodies of the scripts that clients have shown us, by SHA-1, shared by all workers. Bounded: the
// oldest are forgotten. Any thread; the lock is taken by scripting commands only.
class ScriptCache {
 public:
  // Remembers a body; those beyond the size bound are not kept.
  void add(std::string_view body);
  // Null if it is not known. `sha` as normalize() returns it.
  std::shared_ptr<const std::string> find(const std::string& sha) const;
  void clear();

  // Lower case, as SCRIPT LOAD returns it.
  static std::string normalize(std::string_view sha);
  static std::string sha1_hex(std::string_view body);

 private:
  struct Entry {
    std::shared_ptr<const std::string> body;
    std::list<std::string>::iterator age;
  };

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> scripts_;  // Guarded by mutex_.
  std::list<std::string> by_age_;                   // Guarded by mutex_. Oldest first.
  size_t bytes_ = 0;                                // Guarded by mutex_.
};

}  // namespace pikaproxy
