#include "dashboard/cluster/cluster_store.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/text.h"

namespace pikaproxy {
namespace {

using Json = nlohmann::json;
using Transaction = Database::Transaction;

[[noreturn]] void damaged(const std::string& what) {
  throw StoreError{"store: " + what + ": put a backup in its place"};
}

int64_t number(uint64_t value) {
  return static_cast<int64_t>(value);
}

// ---- Documents ----

Json document_of(const Migration& migration) {
  Json movers = Json::array();
  for (const auto& [way, mover] : migration.movers) {
    movers.push_back({way.first, way.second, static_cast<int>(mover)});
  }
  return {{"movers", std::move(movers)},
          {"keys_per_second", migration.limits.keys_per_second},
          {"bytes_per_second", migration.limits.bytes_per_second},
          {"parallel_slots", migration.parallel_slots},
          {"rollback", migration.rollback},
          {"plan_id", migration.plan_id},
          {"created_by", migration.created_by},
          {"created_at", migration.created_at},
          {"started_at", migration.started_at},
          {"ended_at", migration.ended_at},
          {"error", migration.error},
          {"warnings", migration.warnings},
          {"keys_moved", migration.keys_moved},
          {"bytes_moved", migration.bytes_moved}};
}

Migration migration_of(uint64_t id, const std::string& state, const Json& document) {
  Migration migration;
  migration.id = id;
  const auto named = migration_state_named(state);
  if (!named) damaged("migration " + std::to_string(id) + " has the unknown state " + state);
  migration.state = *named;
  for (const Json& mover : document.at("movers")) {
    migration.movers[{mover.at(0).get<uint32_t>(), mover.at(1).get<uint32_t>()}] =
        static_cast<MoverKind>(mover.at(2).get<int>());
  }
  document.at("keys_per_second").get_to(migration.limits.keys_per_second);
  document.at("bytes_per_second").get_to(migration.limits.bytes_per_second);
  document.at("parallel_slots").get_to(migration.parallel_slots);
  document.at("rollback").get_to(migration.rollback);
  document.at("plan_id").get_to(migration.plan_id);
  document.at("created_by").get_to(migration.created_by);
  document.at("created_at").get_to(migration.created_at);
  document.at("started_at").get_to(migration.started_at);
  document.at("ended_at").get_to(migration.ended_at);
  document.at("error").get_to(migration.error);
  document.at("warnings").get_to(migration.warnings);
  document.at("keys_moved").get_to(migration.keys_moved);
  document.at("bytes_moved").get_to(migration.bytes_moved);
  return migration;
}

Json document_of(const Promotion& promotion) {
  Json excluded = Json::array();
  for (const Promotion::Excluded& each : promotion.excluded) {
    excluded.push_back({each.server.to_string(), each.reason});
  }
  return {{"group", promotion.group},
          {"server", promotion.server.to_string()},
          {"old_master", promotion.old_master.to_string()},
          {"force", promotion.force},
          {"pause_migrations", promotion.pause_migrations},
          {"created_by", promotion.created_by},
          {"created_at", promotion.created_at},
          {"ended_at", promotion.ended_at},
          {"error", promotion.error},
          {"warnings", promotion.warnings},
          {"excluded", std::move(excluded)}};
}

Address address_of(const std::string& text) {
  auto address = parse_address(text);
  if (!address) damaged(quote(text) + " is no address");
  return *address;
}

Promotion promotion_of(uint64_t id, const std::string& step, const Json& document) {
  Promotion promotion;
  promotion.id = id;
  const auto named = promotion_step_named(step);
  if (!named) damaged("promotion " + std::to_string(id) + " has the unknown step " + step);
  promotion.step = *named;
  document.at("group").get_to(promotion.group);
  promotion.server = address_of(document.at("server").get<std::string>());
  promotion.old_master = address_of(document.at("old_master").get<std::string>());
  document.at("force").get_to(promotion.force);
  promotion.pause_migrations = document.value("pause_migrations", false);
  document.at("created_by").get_to(promotion.created_by);
  document.at("created_at").get_to(promotion.created_at);
  document.at("ended_at").get_to(promotion.ended_at);
  document.at("error").get_to(promotion.error);
  document.at("warnings").get_to(promotion.warnings);
  for (const Json& each : document.at("excluded")) {
    promotion.excluded.push_back(
        {address_of(each.at(0).get<std::string>()), each.at(1).get<std::string>()});
  }
  return promotion;
}

Json share_of(const std::map<uint32_t, GroupShare>& shares) {
  Json list = Json::array();
  for (const auto& [id, share] : shares) {
    list.push_back({id, share.slots, share.keys, share.bytes, share.ops_per_second});
  }
  return list;
}

std::map<uint32_t, GroupShare> shares_of(const Json& list) {
  std::map<uint32_t, GroupShare> shares;
  for (const Json& each : list) {
    shares[each.at(0).get<uint32_t>()] = {each.at(1).get<uint64_t>(), each.at(2).get<uint64_t>(),
                                          each.at(3).get<uint64_t>(), each.at(4).get<uint64_t>()};
  }
  return shares;
}

Json document_of(const Plan& plan) {
  Json moves = Json::array();
  for (const PlanMove& move : plan.moves) {
    moves.push_back({{"from", move.from},
                     {"to", move.to},
                     {"slots", move.slots},
                     {"keys", move.keys},
                     {"bytes", move.bytes}});
  }
  return {{"topology_version", plan.topology_version},
          {"kind", static_cast<int>(plan.kind)},
          {"strategy", static_cast<int>(plan.strategy)},
          {"moves", std::move(moves)},
          {"before", share_of(plan.before)},
          {"after", share_of(plan.after)},
          {"warnings", plan.warnings},
          {"created_by", plan.created_by},
          {"created_at", plan.created_at},
          {"expires_at", plan.expires_at}};
}

Plan plan_of(uint64_t id, const Json& document) {
  Plan plan;
  plan.id = id;
  document.at("topology_version").get_to(plan.topology_version);
  plan.kind = static_cast<PlanKind>(document.at("kind").get<int>());
  plan.strategy = static_cast<PlanStrategy>(document.at("strategy").get<int>());
  for (const Json& move : document.at("moves")) {
    plan.moves.push_back({move.at("from").get<uint32_t>(), move.at("to").get<uint32_t>(),
                          move.at("slots").get<std::vector<SlotId>>(),
                          move.at("keys").get<uint64_t>(), move.at("bytes").get<uint64_t>()});
  }
  plan.before = shares_of(document.at("before"));
  plan.after = shares_of(document.at("after"));
  document.at("warnings").get_to(plan.warnings);
  document.at("created_by").get_to(plan.created_by);
  document.at("created_at").get_to(plan.created_at);
  document.at("expires_at").get_to(plan.expires_at);
  return plan;
}

// Names and texts come from operators and servers, whose bytes need not be UTF-8.
std::string dump(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// ---- Reading ----

std::optional<std::string> read_meta(Transaction& transaction, std::string_view name) {
  Statement statement = transaction.prepare("SELECT value FROM meta WHERE name = ?");
  statement.bind(name);
  if (!statement.step()) return std::nullopt;
  return statement.text(0);
}

uint64_t read_number(Transaction& transaction, std::string_view name, uint64_t missing) {
  const auto text = read_meta(transaction, name);
  return text ? std::stoull(*text) : missing;
}

ClusterTopology read_topology(Transaction& transaction) {
  ClusterTopology topology;
  topology.version = read_number(transaction, "topology_version", 1);
  Statement groups = transaction.prepare("SELECT id, name, username, password, weight FROM groups");
  while (groups.step()) {
    const auto id = static_cast<uint32_t>(groups.integer(0));
    topology.groups[id] = {id,
                           groups.text(1),
                           groups.text(2),
                           groups.text(3),
                           static_cast<uint32_t>(groups.integer(4)),
                           {}};
  }
  Statement servers =
      transaction.prepare("SELECT addr, group_id, is_master FROM servers ORDER BY position");
  while (servers.step()) {
    const auto address = parse_address(servers.text(0));
    if (!address) damaged("the server " + servers.text(0) + " has no address");
    topology.groups.at(static_cast<uint32_t>(servers.integer(1)))
        .servers.push_back({*address, servers.integer(2) != 0});
  }
  Statement slots = transaction.prepare("SELECT slot, state, group_id, target_id FROM slots");
  while (slots.step()) {
    const auto state = slot_state_named(slots.text(1));
    if (!state) damaged("a slot has the unknown state " + slots.text(1));
    topology.slots.at(static_cast<size_t>(slots.integer(0))) = {
        *state, static_cast<uint32_t>(slots.integer(2)),
        slots.is_null(3) ? 0 : static_cast<uint32_t>(slots.integer(3))};
  }
  return topology;
}

ClusterState read_state(Transaction& transaction) {
  ClusterState state;
  state.topology = read_topology(transaction);
  state.next_migration_id = read_number(transaction, "next_migration_id", 1);
  state.next_plan_id = read_number(transaction, "next_plan_id", 1);
  std::map<uint64_t, Migration> migrations;
  Statement rows = transaction.prepare("SELECT id, state, document FROM migrations");
  while (rows.step()) {
    const auto id = static_cast<uint64_t>(rows.integer(0));
    migrations[id] = migration_of(id, rows.text(1), Json::parse(rows.text(2)));
  }
  Statement slots = transaction.prepare(
      "SELECT migration_id, slot, source_id, target_id, step, back FROM migration_slots "
      "ORDER BY migration_id, slot");
  while (slots.step()) {
    const auto step = slot_step_named(slots.text(4));
    if (!step) damaged("a slot of a migration has the unknown step " + slots.text(4));
    migrations.at(static_cast<uint64_t>(slots.integer(0)))
        .slots.push_back({static_cast<SlotId>(slots.integer(1)),
                          static_cast<uint32_t>(slots.integer(2)),
                          static_cast<uint32_t>(slots.integer(3)), *step, slots.integer(5) != 0});
  }
  for (auto& [id, migration] : migrations) {
    state.migrations[id] = std::make_shared<const Migration>(std::move(migration));
  }
  state.next_promotion_id = read_number(transaction, "next_promotion_id", 1);
  Statement promotions = transaction.prepare("SELECT id, step, document FROM promotions");
  while (promotions.step()) {
    const auto id = static_cast<uint64_t>(promotions.integer(0));
    state.promotions[id] = std::make_shared<const Promotion>(
        promotion_of(id, promotions.text(1), Json::parse(promotions.text(2))));
  }
  Statement plans = transaction.prepare("SELECT id, document FROM plans");
  while (plans.step()) {
    const auto id = static_cast<uint64_t>(plans.integer(0));
    state.plans[id] = std::make_shared<const Plan>(plan_of(id, Json::parse(plans.text(1))));
  }
  return state;
}

// ---- Writing ----

void write_meta(Transaction& transaction, std::string_view name, uint64_t before, uint64_t after) {
  if (before == after) return;
  transaction.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")
      .bind(name)
      .bind(std::to_string(after))
      .run();
}

void write_groups(Transaction& transaction, const ClusterTopology& before,
                  const ClusterTopology& after) {
  if (before.groups == after.groups) return;
  // All anew: names and servers may have been swapped, which row by row would break their
  // uniqueness. Slots refer to groups; that is looked at when the transaction ends.
  transaction.run("PRAGMA defer_foreign_keys = ON");
  transaction.run("DELETE FROM servers");
  transaction.run("DELETE FROM groups");
  for (const auto& [id, group] : after.groups) {
    transaction
        .prepare("INSERT INTO groups (id, name, username, password, weight) VALUES (?, ?, ?, ?, ?)")
        .bind(number(id))
        .bind(group.name)
        .bind(group.username)
        .bind(group.password)
        .bind(number(group.weight))
        .run();
    for (size_t position = 0; position < group.servers.size(); ++position) {
      transaction
          .prepare("INSERT INTO servers (addr, group_id, position, is_master) VALUES (?, ?, ?, ?)")
          .bind(group.servers[position].address.to_string())
          .bind(number(id))
          .bind(number(position))
          .bind(group.servers[position].is_master ? int64_t{1} : int64_t{0})
          .run();
    }
  }
}

void write_slots(Transaction& transaction, const ClusterTopology& before,
                 const ClusterTopology& after) {
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    const ClusterSlot& entry = after.slots[slot];
    if (entry == before.slots[slot]) continue;
    if (entry.state == SlotState::kUnassigned) {
      transaction.prepare("DELETE FROM slots WHERE slot = ?").bind(number(slot)).run();
      continue;
    }
    Statement statement = transaction.prepare(
        "INSERT OR REPLACE INTO slots (slot, state, group_id, target_id) VALUES (?, ?, ?, ?)");
    statement.bind(number(slot)).bind(slot_state_name(entry.state)).bind(number(entry.group));
    if (entry.target == 0) {
      statement.bind_null();
    } else {
      statement.bind(number(entry.target));
    }
    statement.run();
  }
}

// `before`: nullptr if it is new.
void write_migration(Transaction& transaction, const Migration* before, const Migration& after) {
  transaction
      .prepare(
          "INSERT INTO migrations (id, state, document) VALUES (?, ?, ?) "
          "ON CONFLICT (id) DO UPDATE SET state = excluded.state, document = excluded.document")
      .bind(number(after.id))
      .bind(migration_state_name(after.state))
      .bind(dump(document_of(after)))
      .run();
  for (size_t i = 0; i < after.slots.size(); ++i) {
    const MigrationSlot& entry = after.slots[i];
    // The slots of a migration stay the same ones.
    if (before != nullptr && entry == before->slots[i]) continue;
    transaction
        .prepare(
            "INSERT OR REPLACE INTO migration_slots "
            "(migration_id, slot, source_id, target_id, step, back) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(number(after.id))
        .bind(number(entry.slot))
        .bind(number(entry.source))
        .bind(number(entry.target))
        .bind(slot_step_name(entry.step))
        .bind(entry.back ? int64_t{1} : int64_t{0})
        .run();
  }
}

void write_migrations(Transaction& transaction, const ClusterState& before,
                      const ClusterState& after) {
  for (const auto& [id, migration] : after.migrations) {
    const Migration* old = before.migration(id);
    if (old != migration.get()) write_migration(transaction, old, *migration);
  }
  for (const auto& [id, migration] : before.migrations) {
    if (after.migrations.count(id) > 0) continue;
    transaction.prepare("DELETE FROM migration_slots WHERE migration_id = ?")
        .bind(number(id))
        .run();
    transaction.prepare("DELETE FROM migrations WHERE id = ?").bind(number(id)).run();
  }
}

void write_promotions(Transaction& transaction, const ClusterState& before,
                      const ClusterState& after) {
  for (const auto& [id, promotion] : after.promotions) {
    const auto old = before.promotions.find(id);
    if (old != before.promotions.end() && old->second == promotion) continue;
    transaction.prepare("INSERT OR REPLACE INTO promotions (id, step, document) VALUES (?, ?, ?)")
        .bind(number(id))
        .bind(promotion_step_name(promotion->step))
        .bind(dump(document_of(*promotion)))
        .run();
  }
  for (const auto& [id, promotion] : before.promotions) {
    if (after.promotions.count(id) > 0) continue;
    transaction.prepare("DELETE FROM promotions WHERE id = ?").bind(number(id)).run();
  }
}

void write_plans(Transaction& transaction, const ClusterState& before, const ClusterState& after) {
  for (const auto& [id, plan] : after.plans) {
    if (before.plans.count(id) > 0) continue;
    transaction.prepare("INSERT INTO plans (id, document) VALUES (?, ?)")
        .bind(number(id))
        .bind(dump(document_of(*plan)))
        .run();
  }
  for (const auto& [id, plan] : before.plans) {
    if (after.plans.count(id) > 0) continue;
    transaction.prepare("DELETE FROM plans WHERE id = ?").bind(number(id)).run();
  }
}

}  // namespace

ClusterState load_cluster(Database& database) {
  ClusterState state;
  try {
    database.transact([&](Transaction& transaction) { state = read_state(transaction); });
  } catch (const std::exception& error) {
    // Of the JSON reader, or of a row that refers to one that is missing.
    damaged(std::string("what is stored cannot be understood (") + error.what() + ")");
  }
  if (const std::string found = find_contradiction(state); !found.empty()) damaged(found);
  return state;
}

void save_cluster(Database& database, const ClusterState& before, const ClusterState& after) {
  database.transact([&](Transaction& transaction) {
    write_groups(transaction, before.topology, after.topology);
    write_slots(transaction, before.topology, after.topology);
    write_migrations(transaction, before, after);
    write_plans(transaction, before, after);
    write_promotions(transaction, before, after);
    write_meta(transaction, "topology_version", before.topology.version, after.topology.version);
    write_meta(transaction, "next_migration_id", before.next_migration_id, after.next_migration_id);
    write_meta(transaction, "next_plan_id", before.next_plan_id, after.next_plan_id);
    write_meta(transaction, "next_promotion_id", before.next_promotion_id, after.next_promotion_id);
  });
}

}  // namespace pikaproxy
