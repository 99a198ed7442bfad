#pragma once

#include <map>
#include <mutex>
#include <string>

#include "common/resp.h"
#include "common/slot.h"
#include "tests/dashboard/mover/server_stand_in.h"

namespace pikaproxy {

// Answers what the engine asks of a codis-server, with keys in memory. Its two migrating commands
// hand keys to another one of these.
//   Source: codis extern/redis-3.2.11/src/slots.c.
class CodisStandIn : public ServerStandIn {
 public:
  ~CodisStandIn() override { stop(); }

  void send_to(CodisStandIn& target) { target_ = &target; }
  // The answer to migrating commands from now on; empty: they work.
  void refuse_with(std::string error) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(error);
  }
  void set(uint32_t db, const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    dbs_[db][key] = value;
  }
  size_t keys(uint32_t db = 0) {
    const std::lock_guard lock(mutex_);
    return dbs_[db].size();
  }

 private:
  std::string answer(const Args& args, Client& client) override {
    uint32_t& db = client.db;
    const std::string& name = args[0];
    if (name == "SELECT") {
      db = static_cast<uint32_t>(std::atoi(args[1].c_str()));
      return std::string(resp::kOk);
    }
    if (name == "CLIENT") {
      if (args[1] == "SETNAME") return std::string(resp::kOk);
      if (args[1] == "ID") return resp::error("ERR Syntax error, try CLIENT (LIST | KILL)");
      if (args[1] == "LIST") return resp::bulk("");
      return resp::integer(0);
    }
    if (name == "PING") return "+PONG\r\n";
    const std::lock_guard lock(mutex_);
    auto& keys = dbs_[db];
    if (name == "INFO") {
      std::string text = "# Server\r\nredis_version:3.2.11\r\nrole:master\r\n# Keyspace\r\n";
      for (const auto& [number, map] : dbs_) {
        if (map.empty()) continue;
        text += "db" + std::to_string(number) + ":keys=" + std::to_string(map.size()) +
                ",expires=0,avg_ttl=0\r\n";
      }
      return resp::bulk(text);
    }
    if (name == "TYPE") return keys.count(args[1]) ? "+string\r\n" : "+none\r\n";
    if (name == "STRLEN") return resp::integer(static_cast<int64_t>(keys[args[1]].size()));
    if (name == "EXISTS") return resp::integer(static_cast<int64_t>(keys.count(args[1])));
    if (name == "SLOTSMGRTTAGONE" && args.size() == 5) {
      if (!refusal_.empty()) return resp::error(refusal_);
      return resp::integer(move(db, args[4]));
    }
    if (name == "SLOTSMGRTTAGSLOT" && args.size() == 5) {
      if (!refusal_.empty()) return resp::error(refusal_);
      const auto slot = static_cast<SlotId>(std::atoi(args[4].c_str()));
      int64_t moved = 0;
      int64_t left = 0;
      std::string one;
      for (const auto& [key, value] : keys) {
        if (slot_of(key) != slot) continue;
        if (left++ == 0) one = key;
      }
      if (left > 0) moved = move(db, one);
      return "*2\r\n" + resp::integer(moved) + resp::integer(left - moved);
    }
    if (name.starts_with("SLOTS")) return resp::error("ERR wrong number of arguments");
    return resp::error("ERR unknown command '" + name + "'");
  }

  // With mutex_ held: the key and all with its tag.
  int64_t move(uint32_t db, const std::string& key) {
    auto& keys = dbs_[db];
    int64_t moved = 0;
    for (auto it = keys.begin(); it != keys.end();) {
      const bool goes =
          it->first == key || (hash_part(key) != key && hash_part(it->first) == hash_part(key));
      if (!goes) {
        ++it;
        continue;
      }
      target_->set(db, it->first, it->second);
      it = keys.erase(it);
      ++moved;
    }
    return moved;
  }

  CodisStandIn* target_ = nullptr;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::map<uint32_t, std::map<std::string, std::string>> dbs_;
  std::string refusal_;
};

}  // namespace pikaproxy
