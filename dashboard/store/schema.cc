#include "dashboard/store/schema.h"

#include <iterator>

namespace pikaproxy {
namespace {

// Version 1. Times are milliseconds since 1970 UTC. Documents are JSON.
constexpr char kFirst[] = R"sql(
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- Groups, their servers in their order, and who owns which slot. meta.topology_version is the
  -- epoch.
  CREATE TABLE groups (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 9999),
    name TEXT NOT NULL UNIQUE,
    username TEXT NOT NULL DEFAULT '',
    password TEXT NOT NULL DEFAULT '',
    weight INTEGER NOT NULL DEFAULT 1) STRICT;
  CREATE TABLE servers (
    addr TEXT PRIMARY KEY,
    group_id INTEGER NOT NULL REFERENCES groups (id),
    position INTEGER NOT NULL,
    is_master INTEGER NOT NULL) STRICT;
  -- state: 'normal', 'locked', 'migrating'. No row: unassigned.
  CREATE TABLE slots (
    slot INTEGER PRIMARY KEY CHECK (slot BETWEEN 0 AND 1023),
    state TEXT NOT NULL,
    group_id INTEGER NOT NULL REFERENCES groups (id),
    target_id INTEGER REFERENCES groups (id)) STRICT;

  -- document: all of a migration but its slots. meta.next_migration_id is that of the next one.
  CREATE TABLE migrations (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    document TEXT NOT NULL) STRICT;
  -- step: as in docs/slot-migration.md. back: on the way from target to source.
  CREATE TABLE migration_slots (
    migration_id INTEGER NOT NULL REFERENCES migrations (id),
    slot INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    target_id INTEGER NOT NULL,
    step TEXT NOT NULL,
    back INTEGER NOT NULL,
    PRIMARY KEY (migration_id, slot)) STRICT, WITHOUT ROWID;
  CREATE TABLE plans (
    id INTEGER PRIMARY KEY,
    document TEXT NOT NULL) STRICT;

  CREATE TABLE promotions (
    id INTEGER PRIMARY KEY,
    step TEXT NOT NULL,
    document TEXT NOT NULL) STRICT;

  CREATE TABLE users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    must_change INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    last_login_at INTEGER) STRICT;
  -- Secrets are kept as SHA-256.
  CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    secret_hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER) STRICT;
  CREATE TABLE idempotency (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    status INTEGER,
    response TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (actor, key)) STRICT, WITHOUT ROWID;
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    peer TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    reason TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    dry_run INTEGER NOT NULL,
    before TEXT,
    after TEXT) STRICT;
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE backups (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL) STRICT;
)sql";

// Version 2: users of the Redis port that were made by the API. document: rights, and passwords as
// SHA-256.
constexpr char kSecond[] = R"sql(
  CREATE TABLE acl_users (
    name TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL) STRICT;
)sql";

constexpr const char* kUpgrades[] = {kFirst, kSecond};

}  // namespace

std::span<const char* const> schema_upgrades() noexcept {
  return kUpgrades;
}

}  // namespace pikaproxy
