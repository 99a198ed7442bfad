#include "dashboard/store/database.h"

#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

namespace pikaproxy {
namespace {

std::string reason_of(sqlite3* connection, int code) {
  switch (code & 0xFF) {
    case SQLITE_FULL:
      return "the disk is full: free some space, then try again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return std::string("the file cannot be written (") + sqlite3_errmsg(connection) +
             "): check its owner and permissions and those of its directory";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has it open: one dashboard only may use a store";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return std::string("the file is damaged (") + sqlite3_errmsg(connection) +
             "): put a backup in its place";
    default:
      return sqlite3_errmsg(connection);
  }
}

void execute(sqlite3* connection, const char* sql) {
  const int code = sqlite3_exec(connection, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw StoreError{"store: " + reason_of(connection, code)};
}

int64_t single_integer(sqlite3* connection, std::string_view sql) {
  Statement statement(connection, sql);
  return statement.step() ? statement.integer(0) : 0;
}

void check_integrity(sqlite3* connection) {
  Statement statement(connection, "PRAGMA integrity_check(1)");
  if (!statement.step() || statement.text(0) != "ok") {
    throw StoreError{"store: the file is damaged (" + statement.text(0) +
                     "): put a backup in its place"};
  }
}

void upgrade(sqlite3* connection, std::span<const char* const> upgrades) {
  const int64_t version = single_integer(connection, "PRAGMA user_version");
  if (version > static_cast<int64_t>(upgrades.size())) {
    throw StoreError{"store: its schema has version " + std::to_string(version) +
                     ", this program knows versions up to " + std::to_string(upgrades.size()) +
                     ": use the newer program that made it, or another store"};
  }
  for (auto next = static_cast<size_t>(version); next < upgrades.size(); ++next) {
    execute(connection, "BEGIN IMMEDIATE");
    try {
      execute(connection, upgrades[next]);
      execute(connection, ("PRAGMA user_version = " + std::to_string(next + 1)).c_str());
      execute(connection, "COMMIT");
    } catch (const StoreError&) {
      sqlite3_exec(connection, "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }
}

}  // namespace

Statement::Statement(sqlite3* connection, std::string_view sql) : connection_(connection) {
  if (sqlite3_prepare_v2(connection, sql.data(), static_cast<int>(sql.size()), &statement_,
                         nullptr) != SQLITE_OK) {
    fail();
  }
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

void Statement::fail() const {
  throw StoreError{"store: " + reason_of(connection_, sqlite3_extended_errcode(connection_))};
}

Statement& Statement::bind(int64_t value) {
  if (sqlite3_bind_int64(statement_, ++bound_, value) != SQLITE_OK) fail();
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  // An empty view may have a null pointer, which SQLite would take for NULL.
  const char* data = text.data() == nullptr ? "" : text.data();
  if (sqlite3_bind_text(statement_, ++bound_, data, static_cast<int>(text.size()),
                        SQLITE_TRANSIENT) != SQLITE_OK) {
    fail();
  }
  return *this;
}

Statement& Statement::bind_null() {
  if (sqlite3_bind_null(statement_, ++bound_) != SQLITE_OK) fail();
  return *this;
}

bool Statement::step() {
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      fail();
  }
}

void Statement::run() {
  while (step()) {
  }
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return data == nullptr
             ? std::string()
             : std::string(data, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path,
                                                 std::span<const char* const> upgrades) {
  // It holds passwords of servers: nobody else reads it, from its first byte on.
  if (path != ":memory:") {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return Error{"cannot open " + path + ": " + std::strerror(errno)};
    ::close(fd);
  }
  sqlite3* connection = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &connection,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  std::unique_ptr<Database> database(new Database(connection));
  if (code != SQLITE_OK) return Error{"cannot open " + path + ": " + reason_of(connection, code)};
  try {
    sqlite3_busy_timeout(connection, 0);
    // A rollback journal with an exclusive lock: releases of SQLite up to 3.51 can damage a WAL
    // file with more than one connection, and the lock is what keeps a second process out.
    execute(connection,
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE;"
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;");
    // The lock is taken with the first write, and kept.
    execute(connection, "BEGIN EXCLUSIVE; COMMIT");
    check_integrity(connection);
    upgrade(connection, upgrades);
  } catch (const StoreError& error) {
    return Error{path + ": " + error.message};
  }
  return database;
}

Database::~Database() {
  sqlite3_close_v2(connection_);
}

int64_t Database::Transaction::last_insert_id() const {
  return sqlite3_last_insert_rowid(connection_);
}

int64_t Database::Transaction::changes() const {
  return sqlite3_changes64(connection_);
}

void Database::transact(const std::function<void(Transaction&)>& work) {
  const std::lock_guard lock(mutex_);
  try {
    execute(connection_, "BEGIN IMMEDIATE");
    Transaction transaction(connection_);
    work(transaction);
    execute(connection_, "COMMIT");
  } catch (const StoreError& error) {
    sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr);
    const std::lock_guard problem_lock(problem_mutex_);
    write_problem_ = error.message;
    throw;
  } catch (...) {
    sqlite3_exec(connection_, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
  const std::lock_guard problem_lock(problem_mutex_);
  write_problem_.clear();
}

Result<uint64_t> Database::back_up(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Error{"cannot create " + path + ": " + std::strerror(errno)};
  ::close(fd);
  sqlite3* copy = nullptr;
  int code = sqlite3_open_v2(path.c_str(), &copy, SQLITE_OPEN_READWRITE, nullptr);
  if (code == SQLITE_OK) {
    const std::lock_guard lock(mutex_);
    if (sqlite3_backup* backup = sqlite3_backup_init(copy, "main", connection_, "main")) {
      sqlite3_backup_step(backup, -1);
      code = sqlite3_backup_finish(backup);
    } else {
      code = sqlite3_errcode(copy);
    }
  }
  const std::string reason = code == SQLITE_OK ? "" : reason_of(copy, code);
  sqlite3_close_v2(copy);
  struct stat file {};
  if (code != SQLITE_OK || ::stat(path.c_str(), &file) != 0) {
    ::unlink(path.c_str());
    return Error{"cannot write " + path + ": " + reason};
  }
  return static_cast<uint64_t>(file.st_size);
}

std::string Database::write_problem() const {
  const std::lock_guard lock(problem_mutex_);
  return write_problem_;
}

}  // namespace pikaproxy
