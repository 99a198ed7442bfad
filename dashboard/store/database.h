#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace pikaproxy {

// Thrown by Database and Statement when SQLite refuses (disk full, I/O error, broken file). What a
// transaction had done is undone. Caught where a decision is made: by the controller and by the
// API, which answer with a problem and change nothing.
struct StoreError {
  std::string message;  // A sentence for the operator.
};

// A prepared statement; short-lived, used under the transaction that made it.
class Statement {
 public:
  Statement(sqlite3* connection, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters in the order of the "?".
  Statement& bind(int64_t value);
  Statement& bind(std::string_view text);
  Statement& bind_null();
  // True: a row is there to be read. False: done.
  bool step();
  // Runs it to its end.
  void run();

  int64_t integer(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  [[noreturn]] void fail() const;

  sqlite3* const connection_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

// The SQLite file with everything that must survive. One connection in one process: the file is
// locked for as long as it is open, a second process is refused. synchronous=FULL: what a
// transaction wrote is on disk when it returns. Any thread; transactions are serialized by a mutex.
class Database {
 public:
  // Opens or creates `path` (":memory:" in tests), checks its integrity, and brings its schema up
  // to date: `upgrades[n]` takes schema version n to n + 1. Errors: locked by another process,
  // damaged, made by a newer version, not writable - each with what to do.
  static Result<std::unique_ptr<Database>> open(const std::string& path,
                                                std::span<const char* const> upgrades);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // What a transaction works with.
  class Transaction {
   public:
    Statement prepare(std::string_view sql) { return {connection_, sql}; }
    void run(std::string_view sql) { Statement(connection_, sql).run(); }
    int64_t last_insert_id() const;
    // Rows that the last statement changed.
    int64_t changes() const;

   private:
    friend class Database;
    explicit Transaction(sqlite3* connection) : connection_(connection) {}
    sqlite3* const connection_;
  };

  // Runs `work` between BEGIN IMMEDIATE and COMMIT; rolls back if it throws. Throws StoreError.
  // Not from within another transaction of this thread.
  void transact(const std::function<void(Transaction&)>& work);

  // A consistent copy, made by SQLite's backup API, as a new file that only its owner can read.
  Result<uint64_t> back_up(const std::string& path);

  // Empty while writing works; otherwise why the last write failed.
  std::string write_problem() const;

 private:
  explicit Database(sqlite3* connection) : connection_(connection) {}

  std::mutex mutex_;
  sqlite3* const connection_;  // Guarded by mutex_.
  mutable std::mutex problem_mutex_;
  std::string write_problem_;  // Guarded by problem_mutex_.
};

}  // namespace pikaproxy
