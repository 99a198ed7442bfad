#include "dashboard/cluster/promoter.h"

#include <atomic>
#include <shared_mutex>

#include <doctest/doctest.h>

#include "dashboard/api/time_text.h"
#include "dashboard/cluster/cluster_store.h"
#include "dashboard/store/schema.h"
#include "tests/dashboard/mover/redis_process.h"

using namespace pikaproxy;
using namespace std::chrono_literals;

namespace {

bool wait_for(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

// What a proxy does with slot tables, with clients of its own: they write as long as slot 0 is not
// locked, and a table is in force when all writes under the one before have been answered.
class WritingProxy : public ProxyControl {
 public:
  explicit WritingProxy(int writers = 0) : acknowledged_(static_cast<size_t>(writers)) {
    for (int i = 0; i < writers; ++i) threads_.emplace_back([this, i] { write(i); });
  }
  ~WritingProxy() override { stop(); }

  void stop() {
    stopped_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // Of writer i: the last number that was answered with OK.
  int64_t acknowledged(size_t i) const { return acknowledged_[i]; }
  size_t writers() const { return acknowledged_.size(); }
  int errors() const { return errors_; }
  void never_acknowledge() { is_stuck_ = true; }

  void install(std::shared_ptr<const SlotTable> table, Installed done) override {
    const uint64_t epoch = table->epoch;
    {
      // Readers that come all the time would keep a writer out for ever.
      is_changing_ = true;
      const std::unique_lock lock(mutex_);
      table_ = std::move(table);
      is_changing_ = false;
    }
    if (is_stuck_) return;
    std::thread([done = std::move(done), epoch] { done(epoch); }).detach();
  }
  uint64_t epoch() const override {
    const std::shared_lock lock(mutex_);
    return table_ == nullptr ? 0 : table_->epoch;
  }

 private:
  void write(int i) {
    std::map<Address, std::unique_ptr<ServerLink>> links;
    for (int64_t n = 1; !stopped_;) {
      if (is_changing_) {
        std::this_thread::sleep_for(100us);
        continue;
      }
      std::shared_lock lock(mutex_);
      if (table_ == nullptr || table_->slots[0].state != SlotState::kNormal) {
        lock.unlock();
        std::this_thread::sleep_for(100us);
        continue;
      }
      const TableGroup& group = table_->groups[table_->slots[0].group];
      auto& link = links[group.master];
      if (link == nullptr) {
        auto made = ServerLink::connect({group.master, "", group.password}, "", 10s);
        if (!made) continue;
        link = std::move(*made);
      }
      const Reply reply =
          link->call({"SET", "writer:" + std::to_string(i), std::to_string(n)}, 10s);
      if (reply.is_ok()) {
        acknowledged_[static_cast<size_t>(i)] = n++;
      } else {
        ++errors_;
        link.reset();
      }
    }
  }

  mutable std::shared_mutex mutex_;
  std::shared_ptr<const SlotTable> table_;  // Guarded by mutex_.
  std::vector<std::atomic<int64_t>> acknowledged_;
  std::atomic<int> errors_{0};
  std::atomic<bool> is_changing_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> is_stuck_{false};
  std::vector<std::thread> threads_;
};

PromoterOptions fast() {
  PromoterOptions options;
  options.approach_timeout = 20s;
  options.retry_pause = 20ms;
  options.ask_timeout = 5s;
  options.catch_up_timeout = 20s;
  options.lock_timeout = 20s;
  options.demote_timeout = 200ms;
  return options;
}

// Three real servers as group 1, which has all slots: a master and two replicas.
struct Cluster {
  // Replication begins at once instead of waiting for more replicas.
  RedisProcess a{{"--repl-diskless-sync-delay", "0"}}, b{{"--repl-diskless-sync-delay", "0"}},
      c{{"--repl-diskless-sync-delay", "0"}};
  std::unique_ptr<Database> database = std::move(*Database::open(":memory:", schema_upgrades()));
  ServerTools tools = real_server_tools();
  std::unique_ptr<WritingProxy> proxy;
  std::unique_ptr<Controller> controller;
  std::unique_ptr<Promoter> promoter;

  explicit Cluster(int writers = 0) : proxy(std::make_unique<WritingProxy>(writers)) {
    for (RedisProcess* server : {&b, &c}) (*server)(follow(a));
    REQUIRE(wait_for([&] { return is_replica_of(b, a) && is_replica_of(c, a); }));
    ClusterTopology topology;
    topology.version = 1;
    GroupSpec spec;
    spec.master = address(a);
    spec.replicas = {address(b), address(c)};
    topology = *create_group(topology, spec);
    std::vector<SlotAssignment> all;
    for (size_t slot = 0; slot < kSlotCount; ++slot) all.push_back({static_cast<SlotId>(slot), 1});
    topology = *assign_slots(topology, all, false);
    ClusterState before = load_cluster(*database), after = before;
    after.topology = topology;
    save_cluster(*database, before, after);
  }
  ~Cluster() {
    if (promoter != nullptr) promoter->stop();
    if (controller != nullptr) controller->stop();
    proxy->stop();
  }

  static Args follow(const RedisProcess& master) {
    return {"REPLICAOF", "127.0.0.1", std::to_string(address(master).port)};
  }
  static const Address& address(const RedisProcess& server) { return server.access().address; }
  static bool is_master(const RedisProcess& server) {
    const auto facts = ask_server(server.access(), 5s);
    return facts.ok() && facts->is_master;
  }
  static bool is_replica_of(const RedisProcess& server, const RedisProcess& master) {
    const auto facts = ask_server(server.access(), 5s);
    return facts.ok() && !facts->is_master && facts->link_up &&
           facts->master_addr == address(master).to_string();
  }

  void start(PromoterOptions options = fast()) {
    ControllerOptions controller_options;
    controller_options.now = now_ms;
    controller_options.push_retry_pause = 20ms;
    auto started = Controller::start(
        controller_options,
        {.database = *database,
         .proxies = {{"local", proxy.get()}},
         .make_engine = [](MoveObserver& observer) { return MoveEngine::make("test", observer); },
         .tools = tools});
    REQUIRE(started.ok());
    controller = std::move(*started);
    promoter = std::make_unique<Promoter>(*controller, options, nullptr);
  }
  PromotionRequest request(const RedisProcess& server, bool force) {
    return {1,     address(server), controller->state()->topology.group(1)->master(),
            force, "ann",           false};
  }
  Promotion promote(const RedisProcess& server, bool force = false) {
    const auto id = promoter->start(request(server, force), {});
    REQUIRE(id.ok());
    return result(*id);
  }
  Promotion result(uint64_t id) {
    REQUIRE(wait_for([&] { return controller->state()->promotions.at(id)->ended(); }));
    return *controller->state()->promotions.at(id);
  }
  ClusterGroup group() { return controller->state()->topology.groups.at(1); }
  bool all_slots_normal() {
    const auto state = controller->state();
    return std::all_of(state->topology.slots.begin(), state->topology.slots.end(),
                       [](const ClusterSlot& slot) {
                         return slot == ClusterSlot{SlotState::kNormal, 1, 0};
                       });
  }
  // What a process that ended in this step leaves behind.
  void leave_behind(PromotionStep step, const RedisProcess& server) {
    ClusterState before = load_cluster(*database);
    ClusterState state =
        *create_promotion(before, {1, address(server), address(a), false, "ann"}, 1000);
    if (step > PromotionStep::kChecking) state = *begin_pausing(state, 1);
    if (step > PromotionStep::kPausing) state = *lock_promotion(state, 1);
    if (step == PromotionStep::kPromoting) state = *begin_promoting(state, 1);
    CHECK(find_contradiction(state) == "");
    save_cluster(*database, before, state);
    CHECK(*load_cluster(*database).promotions.at(1) == *state.promotions.at(1));
  }
};

}  // namespace

TEST_SUITE("dashboard/cluster/promoter") {
  TEST_CASE("a replica becomes the master while clients write, and no write is lost") {
    Cluster cluster(4);
    cluster.start();
    const auto all_wrote = [&](int64_t more) {
      std::vector<int64_t> before;
      for (size_t i = 0; i < 4; ++i) before.push_back(cluster.proxy->acknowledged(i));
      return wait_for([&] {
        for (size_t i = 0; i < 4; ++i) {
          if (cluster.proxy->acknowledged(i) < before[i] + more) return false;
        }
        return true;
      });
    };
    // There and back, several times.
    const RedisProcess* masters[] = {&cluster.b, &cluster.c, &cluster.a, &cluster.b};
    for (const RedisProcess* server : masters) {
      REQUIRE(all_wrote(100));
      const Promotion promotion = cluster.promote(*server);
      CHECK(promotion.step == PromotionStep::kSucceeded);
      CHECK(promotion.error == "");
      CHECK(promotion.excluded.empty());
      CHECK(cluster.group().master() == Cluster::address(*server));
      CHECK(cluster.all_slots_normal());
      CHECK(find_contradiction(*cluster.controller->state()) == "");
    }
    REQUIRE(all_wrote(100));
    cluster.proxy->stop();
    CHECK(cluster.proxy->errors() == 0);
    for (size_t i = 0; i < 4; ++i) {
      CHECK(cluster.b({"GET", "writer:" + std::to_string(i)}).text ==
            std::to_string(cluster.proxy->acknowledged(i)));
    }
    CHECK(wait_for([&] {
      return Cluster::is_replica_of(cluster.a, cluster.b) &&
             Cluster::is_replica_of(cluster.c, cluster.b);
    }));
    CHECK(load_cluster(*cluster.database).topology == cluster.controller->state()->topology);
  }

  TEST_CASE("a replica that never catches up changes nothing, and the figures are told") {
    Cluster cluster;
    std::atomic<uint64_t> lag{1000};
    const auto ask = cluster.tools.ask;
    const std::string name = Cluster::address(cluster.b).to_string();
    cluster.tools.ask = [&](const ServerAccess& server, std::chrono::milliseconds timeout) {
      auto facts = ask(server, timeout);
      if (facts && server.address.to_string() == name && !facts->is_master) {
        facts->replication_offset -= std::min<uint64_t>(lag, facts->replication_offset);
      }
      return facts;
    };
    cluster.a({"SET", "big", std::string(10'000, 'x')});
    PromoterOptions options = fast();
    options.catch_up_timeout = 3s;
    SUBCASE("far behind, so slots are not even locked") {
      options.near_bytes = 10;
      options.approach_timeout = 3s;
    }
    SUBCASE("near, but not all of it: slots are unlocked again") {
      options.near_bytes = 5000;
    }
    cluster.start(options);
    const uint64_t version = cluster.controller->state()->topology.version;
    const Promotion promotion = cluster.promote(cluster.b);
    CHECK(promotion.step == PromotionStep::kFailed);
    CHECK(promotion.error.find("behind") != std::string::npos);
    CHECK(promotion.error.find("within 3000 ms") != std::string::npos);
    CHECK(cluster.controller->state()->topology.version ==
          version + (options.near_bytes == 10 ? 0 : 2));
    CHECK(cluster.all_slots_normal());
    CHECK(cluster.group().master() == Cluster::address(cluster.a));
    CHECK(Cluster::is_master(cluster.a));
    CHECK(Cluster::is_replica_of(cluster.b, cluster.a));
    lag = 0;
    CHECK(cluster.promote(cluster.b).step == PromotionStep::kSucceeded);
  }

  TEST_CASE("a proxy that does not come to an end with the slots changes nothing") {
    Cluster cluster;
    PromoterOptions options = fast();
    options.lock_timeout = 50ms;
    cluster.start(options);
    REQUIRE(wait_for([&] { return cluster.controller->publisher().acknowledged(1); }));
    cluster.proxy->never_acknowledge();
    const Promotion promotion = cluster.promote(cluster.b);
    CHECK(promotion.step == PromotionStep::kFailed);
    CHECK(promotion.error.find("proxy local") != std::string::npos);
    CHECK(cluster.all_slots_normal());
    CHECK(Cluster::is_replica_of(cluster.b, cluster.a));
  }

  TEST_CASE("graceful is refused where it cannot be") {
    Cluster cluster;
    cluster.start();
    std::string why;
    SUBCASE("the master is dead") {
      cluster.a.end(SIGKILL);
      why = "force";
    }
    SUBCASE("the server is a master of its own") {
      cluster.b({"REPLICAOF", "NO", "ONE"});
      why = "is a master itself";
    }
    SUBCASE("the master says it is a replica") {
      cluster.a(Cluster::follow(cluster.c));
      why = "says that it is a replica";
    }
    const Promotion promotion = cluster.promote(cluster.b);
    CHECK(promotion.step == PromotionStep::kFailed);
    CHECK(promotion.error.find(why) != std::string::npos);
    CHECK(cluster.group().master() == Cluster::address(cluster.a));
    CHECK(cluster.all_slots_normal());
  }

  TEST_CASE("force makes a replica the master when the old one is dead") {
    Cluster cluster;
    PromoterOptions options = fast();
    options.ask_timeout = 500ms;
    cluster.start(options);
    cluster.a({"SET", "k", "v"});
    REQUIRE(wait_for([&] { return cluster.b({"GET", "k"}).text == "v"; }));
    cluster.a.end(SIGKILL);
    const Promotion promotion = cluster.promote(cluster.b, true);
    CHECK(promotion.step == PromotionStep::kSucceeded);
    REQUIRE(promotion.warnings.size() == 2);
    CHECK(promotion.warnings[0].find("does not answer, so what it had acknowledged") !=
          std::string::npos);
    CHECK(promotion.warnings[1].find("stays in the group") != std::string::npos);
    CHECK(cluster.group().master() == Cluster::address(cluster.b));
    CHECK(cluster.group().servers.size() == 3);
    CHECK(cluster.all_slots_normal());
    CHECK(wait_for([&] { return Cluster::is_replica_of(cluster.c, cluster.b); }));
    CHECK(cluster.b({"GET", "k"}).text == "v");

    // It comes back as a master, and is made a replica when an operator says so.
    cluster.a.start();
    CHECK(Cluster::is_master(cluster.a));
    REQUIRE(cluster.promoter->replicate(1, Cluster::address(cluster.a), true).ok());
    CHECK(Cluster::is_master(cluster.a));
    const auto replicated = cluster.promoter->replicate(1, Cluster::address(cluster.a), false);
    REQUIRE(replicated.ok());
    CHECK_FALSE(replicated->is_master);
    CHECK(wait_for([&] { return Cluster::is_replica_of(cluster.a, cluster.b); }));
    CHECK(cluster.promoter->replicate(1, Cluster::address(cluster.b), false).refusal().code ==
          "is_master");
  }

  TEST_CASE("force tells a master that became a replica that it is one again") {
    Cluster cluster;
    cluster.start();
    cluster.a({"REPLICAOF", "127.0.0.1", "1"});
    const Promotion promotion = cluster.promote(cluster.a, true);
    CHECK(promotion.step == PromotionStep::kSucceeded);
    CHECK(Cluster::is_master(cluster.a));
    CHECK(cluster.group().master() == Cluster::address(cluster.a));
  }

  TEST_CASE("a server that cannot be made a replica leaves the group") {
    Cluster cluster;
    const auto replicate = cluster.tools.replicate;
    const std::string name = Cluster::address(cluster.a).to_string();
    cluster.tools.replicate = [&](const ServerAccess& server, const Address* master,
                                  std::chrono::milliseconds timeout) -> Result<bool> {
      if (server.address.to_string() == name) return Error{"it refuses."};
      return replicate(server, master, timeout);
    };
    cluster.start();
    const Promotion promotion = cluster.promote(cluster.c);
    CHECK(promotion.step == PromotionStep::kSucceeded);
    REQUIRE(promotion.excluded.size() == 1);
    CHECK(promotion.excluded[0] == Promotion::Excluded{Cluster::address(cluster.a), "it refuses."});
    CHECK(cluster.group().servers.size() == 2);
    CHECK(cluster.group().find(Cluster::address(cluster.a)) == nullptr);
    CHECK(wait_for([&] { return Cluster::is_replica_of(cluster.b, cluster.c); }));
  }

  TEST_CASE("an old master that follows nobody while others follow it becomes a replica at last") {
    Cluster cluster;
    const auto replicate = cluster.tools.replicate;
    // As Pika does, which also notices late that a replica has gone.
    int late = 10;
    cluster.tools.replicate = [&](const ServerAccess& server, const Address* master,
                                  std::chrono::milliseconds timeout) -> Result<bool> {
      if (server.address == Cluster::address(cluster.a) &&
          (Cluster::is_replica_of(cluster.c, cluster.a) || --late > 0)) {
        return Error{"already master of others"};
      }
      return replicate(server, master, timeout);
    };
    PromoterOptions options = fast();
    options.demote_timeout = 30s;
    cluster.start(options);
    const auto promotion = cluster.promote(cluster.b);
    CHECK(promotion.step == PromotionStep::kSucceeded);
    CHECK(promotion.excluded.empty());
    CHECK(wait_for([&] { return Cluster::is_replica_of(cluster.a, cluster.b); }));
    CHECK(wait_for([&] { return Cluster::is_replica_of(cluster.c, cluster.b); }));
  }

  TEST_CASE("the process may end in every step") {
    Cluster cluster;
    SUBCASE("checking: nothing has happened") {
      cluster.leave_behind(PromotionStep::kChecking, cluster.b);
      cluster.start();
      CHECK(cluster.result(1).step == PromotionStep::kFailed);
      CHECK(cluster.group().master() == Cluster::address(cluster.a));
    }
    SUBCASE("pausing: nothing has happened either") {
      cluster.leave_behind(PromotionStep::kPausing, cluster.b);
      cluster.start();
      CHECK(cluster.result(1).step == PromotionStep::kFailed);
      CHECK(cluster.group().master() == Cluster::address(cluster.a));
    }
    SUBCASE("locking: the locks are taken back") {
      cluster.leave_behind(PromotionStep::kLocking, cluster.b);
      cluster.start();
      CHECK(cluster.result(1).step == PromotionStep::kFailed);
      CHECK(cluster.group().master() == Cluster::address(cluster.a));
      CHECK(Cluster::is_replica_of(cluster.b, cluster.a));
    }
    SUBCASE("promoting, and the replica has not been told") {
      cluster.leave_behind(PromotionStep::kPromoting, cluster.b);
      cluster.start();
      CHECK(cluster.result(1).step == PromotionStep::kSucceeded);
      CHECK(cluster.group().master() == Cluster::address(cluster.b));
    }
    SUBCASE("promoting, and both are masters") {
      cluster.leave_behind(PromotionStep::kPromoting, cluster.b);
      cluster.b({"REPLICAOF", "NO", "ONE"});
      cluster.start();
      CHECK(cluster.result(1).step == PromotionStep::kSucceeded);
      CHECK(wait_for([&] { return Cluster::is_replica_of(cluster.a, cluster.b); }));
    }
    SUBCASE("promoting, and the replica has died since: the old master goes on") {
      cluster.leave_behind(PromotionStep::kPromoting, cluster.b);
      SUBCASE("it is still the master") {}
      SUBCASE("it has been made a replica") {
        cluster.a(Cluster::follow(cluster.b));
      }
      cluster.b.end(SIGKILL);
      cluster.start();
      CHECK(cluster.result(1).step == PromotionStep::kFailed);
      CHECK(cluster.group().master() == Cluster::address(cluster.a));
      CHECK(Cluster::is_master(cluster.a));
    }
    SUBCASE("promoting, and both have died: slots stay locked until one is back") {
      cluster.leave_behind(PromotionStep::kPromoting, cluster.b);
      cluster.a.end(SIGKILL);
      cluster.b.end(SIGKILL);
      PromoterOptions options = fast();
      options.attempts = 1;
      cluster.start(options);
      REQUIRE(wait_for([&] { return cluster.promoter->problem(1) != ""; }));
      CHECK(cluster.promoter->problem(1).find("stay locked") != std::string::npos);
      CHECK_FALSE(cluster.all_slots_normal());
      cluster.a.start();
      CHECK(cluster.result(1).step == PromotionStep::kFailed);
    }
    CHECK(cluster.all_slots_normal());
    CHECK(find_contradiction(*cluster.controller->state()) == "");
  }

  TEST_CASE("what is asked for wrongly is refused, and nothing else touches the group meanwhile") {
    Cluster cluster;
    cluster.start();
    const auto code = [&](PromotionRequest request) {
      const auto outcome = create_promotion(*cluster.controller->state(), request, 1);
      return outcome.ok() ? std::string() : outcome.refusal().code;
    };
    PromotionRequest request = cluster.request(cluster.b, false);
    CHECK(code(request) == "");
    request.group = 2;
    CHECK(code(request) == "not_found");
    request = cluster.request(cluster.b, false);
    request.expected_master = Cluster::address(cluster.b);
    CHECK(code(request) == "unexpected_master");
    request = cluster.request(cluster.b, false);
    request.server.port = 1;
    CHECK(code(request) == "not_in_group");
    CHECK(code(cluster.request(cluster.a, false)) == "is_master");
    CHECK(code(cluster.request(cluster.a, true)) == "");

    MigrationRequest move;
    move.moves = {{0, 1, 2}};
    const ClusterState idle = *cluster.controller->state();
    const ClusterState busy = *create_promotion(idle, cluster.request(cluster.b, false), 1);
    const ClusterState locked = *lock_promotion(*begin_pausing(busy, 1), 1);
    for (const ClusterState& state : {busy, locked}) {
      const auto again = create_promotion(state, cluster.request(cluster.c, false), 1);
      CHECK(again.refusal().code == "group_busy");
      const auto removed = change_topology(state, [&](const ClusterTopology& topology) {
        return remove_server(topology, 1, Cluster::address(cluster.c));
      });
      CHECK(removed.refusal().code == "group_busy");
      const auto added = change_topology(state, [&](const ClusterTopology& topology) {
        GroupSpec spec;
        spec.master = {"127.0.0.1", 1, ""};
        return create_group(topology, spec);
      });
      REQUIRE(added.ok());
      const auto migration = create_migration(*added, move, 1);
      CHECK(migration.refusal().code == "group_busy");
    }
    const ClusterState added = *change_topology(idle, [&](const ClusterTopology& topology) {
      GroupSpec spec;
      spec.master = {"127.0.0.1", 1, ""};
      return create_group(topology, spec);
    });
    const ClusterState moving = *create_migration(added, move, 1);
    CHECK(create_promotion(moving, cluster.request(cluster.b, false), 1).refusal().code ==
          "group_busy");
  }
}
