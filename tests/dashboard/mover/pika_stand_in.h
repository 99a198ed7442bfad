#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/resp.h"
#include "tests/dashboard/mover/server_stand_in.h"

namespace pikaproxy {

// Answers what a COPY asks of a source as Pika 4.0.0 does, with what is peculiar about that: its
// cache, its TYPE of what is gone, its empty streams, its ZRANGE, its list of clients. Has lists,
// sorted sets and streams.
class PikaStandIn : public ServerStandIn {
 public:
  ~PikaStandIn() override {
    go_on();
    stop();
  }

  void add_list(const std::string& key, size_t elements) {
    const std::lock_guard lock(mutex_);
    types_[key] = "list";
    for (size_t i = 0; i < elements; ++i) lists_[key].push_back("element " + std::to_string(i));
  }
  // Pairs of member and score.
  void add_zset(const std::string& key, std::vector<std::pair<std::string, std::string>> members) {
    const std::lock_guard lock(mutex_);
    types_[key] = "zset";
    zsets_[key] = std::move(members);
  }
  void add_empty_stream(const std::string& key) {
    const std::lock_guard lock(mutex_);
    types_[key] = "streams";
    streams_[key] = "5-5";
  }
  // As if a client had read it.
  void warm_up(const std::string& key) {
    const std::lock_guard lock(mutex_);
    cache_[key] = lists_[key];
  }
  // As expiry does: the cache keeps it.
  void expire(const std::string& key) {
    const std::lock_guard lock(mutex_);
    forget(key);
  }
  size_t list_length(const std::string& key) {
    const std::lock_guard lock(mutex_);
    return lists_.count(key) == 0 ? 0 : lists_[key].size();
  }
  // A command of this name waits from now on, until go_on().
  void hold(const std::string& command) {
    const std::lock_guard lock(mutex_);
    held_ = command;
  }
  void go_on() {
    const std::lock_guard lock(mutex_);
    held_.clear();
    changed_.notify_all();
  }

 private:
  std::string answer(const Args& args, Client& client) override {
    const std::string& name = args[0];
    const std::string key = args.size() > 1 ? args[1] : "";
    if (name == "CLIENT") return client_command(args);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return name != held_; });
    if (name == "SELECT") {
      client.db = static_cast<uint32_t>(std::atoi(key.c_str()));
      return std::string(resp::kOk);
    }
    if (name == "PING") return "+PONG\r\n";
    if (name == "INFO") return resp::bulk("# Server\r\npika_version:4.0.0\r\n");
    if (name == "CACHE") {
      cache_.erase(args[2]);
      return std::string(resp::kOk);
    }
    // Whatever became of the key.
    if (name == "TYPE") {
      return "+" + (types_.count(key) ? types_[key] : std::string("none")) + "\r\n";
    }
    if (name == "PTTL") {
      if (lists_.count(key) != 0 || zsets_.count(key) != 0) return resp::integer(-1);
      return resp::integer(types_.count(key) == 0 || types_[key] == "streams" ? 0 : -2);
    }
    if (name == "EXISTS") return resp::integer(types_.count(key) != 0);
    if (name == "DEL" || name == "UNLINK") {
      if (name == "DEL") cache_.erase(key);
      return resp::integer(forget(key));
    }
    if (types_[key] == "list") return list_command(args);
    if (types_[key] == "zset") return zset_command(args);
    if (types_[key] == "streams") return stream_command(args);
    return resp::error("ERR unknown command \"" + name + "\"");
  }

  std::string client_command(const Args& args) {
    if (args[1] == "SETNAME") return std::string(resp::kOk);
    if (args[1] == "KILL") {
      return kill(args[2]) ? std::string(resp::kOk) : resp::error("ERR No such client");
    }
    if (args[1] != "LIST") return resp::error("ERR Syntax error, try CLIENT (LIST | KILL ip:port)");
    std::string list;
    for (const std::string& addr : client_addrs()) list += "addr=" + addr + " fd=9 idle=0\n";
    return resp::bulk(list);
  }

  std::string list_command(const Args& args) {
    // What is cached is not looked for anywhere else.
    const auto cached = cache_.find(args[1]);
    const std::vector<std::string>& list =
        cached != cache_.end() ? cached->second : lists_[args[1]];
    if (args[0] == "LLEN") return resp::integer(static_cast<int64_t>(list.size()));
    if (args[0] != "LRANGE") return resp::error("ERR unknown command \"" + args[0] + "\"");
    const auto from = static_cast<size_t>(std::atoll(args[2].c_str()));
    const int64_t last = std::atoll(args[3].c_str());
    const size_t to = last < 0 ? list.size() : std::min(list.size(), static_cast<size_t>(last) + 1);
    std::vector<std::string> range;
    for (size_t i = from; i < to; ++i) range.push_back(list[i]);
    cache_[args[1]] = list;
    return array(range);
  }

  std::string zset_command(const Args& args) {
    const auto& members = zsets_[args[1]];
    if (args[0] == "ZCARD") return resp::integer(static_cast<int64_t>(members.size()));
    std::vector<std::string> flat;
    for (const auto& [member, score] : members) {
      if (args[0] == "ZRANGE" && score == "-inf") continue;
      flat.push_back(member);
      flat.push_back(score);
    }
    return args[0] == "ZSCAN" ? "*2\r\n" + resp::bulk("0") + array(flat) : array(flat);
  }

  std::string stream_command(const Args& args) {
    if (args[0] == "XLEN") return resp::integer(0);
    if (args[0] == "XRANGE") return array({});
    if (args[0] != "XINFO") return resp::error("ERR unknown command \"" + args[0] + "\"");
    return "*4\r\n" + resp::bulk("length") + resp::integer(0) + resp::bulk("last-generated-id") +
           resp::bulk(streams_[args[2]]);
  }

  static std::string array(const std::vector<std::string>& texts) {
    std::string out = "*" + std::to_string(texts.size()) + "\r\n";
    for (const std::string& text : texts) out += resp::bulk(text);
    return out;
  }

  // With mutex_ held. Of a stream without entries, Pika says 0 and keeps it.
  int64_t forget(const std::string& key) {
    return static_cast<int64_t>(lists_.erase(key) + zsets_.erase(key));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::map<std::string, std::string> types_;
  std::map<std::string, std::vector<std::string>> lists_;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> zsets_;
  std::map<std::string, std::string> streams_;  // Last ids.
  std::map<std::string, std::vector<std::string>> cache_;
  std::string held_;
};

}  // namespace pikaproxy
