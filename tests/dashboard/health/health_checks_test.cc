#include "dashboard/health/health_checks.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

const Address kMaster{"10.0.0.1", 6379, ""};
const Address kReplica{"10.0.0.2", 6379, ""};

// A group whose servers are as they should be.
HealthInputs healthy() {
  HealthInputs inputs;
  inputs.now = 100'000;
  inputs.topology.version = 5;
  ClusterGroup& group = inputs.topology.groups[1];
  group.id = 1;
  group.name = "cache";
  group.servers = {{kMaster, true}, {kReplica, false}};
  inputs.topology.slots.fill({SlotState::kNormal, 1, 0});
  ServerFacts facts;
  facts.engine = "redis";
  facts.replication_id = "a1";
  ServerStatus master;
  master.address = kMaster;
  inputs.servers[kMaster] = after_answer(master, facts, 99'000, 99'001);
  facts.is_master = false;
  facts.master_addr = kMaster.to_string();
  ServerStatus replica;
  replica.address = kReplica;
  inputs.servers[kReplica] = after_answer(replica, facts, 99'100, 99'101);
  inputs.proxies = {{"local", 5, ""}};
  return inputs;
}

// The one problem that there is.
HealthFinding only_problem(const HealthInputs& inputs) {
  const auto found = find_problems(inputs);
  REQUIRE(found.size() == 1);
  const auto names = health_check_names();
  CHECK(std::find(names.begin(), names.end(), found[0].check) != names.end());
  CHECK(found[0].detail.ends_with('.'));
  CHECK(found[0].hint.ends_with('.'));
  CHECK_FALSE(found[0].objects.empty());
  return found[0];
}

ServerStatus failed(ServerStatus status, int times) {
  for (int i = 0; i < times; ++i) {
    status = after_failure(status, "it refuses connections.", 90'000 + 2000 * i, 91'000 + 2000 * i);
  }
  return status;
}

}  // namespace

TEST_SUITE("dashboard/health/health_checks") {
  TEST_CASE("a healthy cluster has no problem") {
    CHECK(find_problems(healthy()).empty());
    HealthInputs empty;
    CHECK(find_problems(empty).empty());
  }

  TEST_CASE("servers that do not answer") {
    HealthInputs inputs = healthy();
    SUBCASE("a master that is down is critical, and the way out is named") {
      inputs.servers[kMaster] = failed(inputs.servers[kMaster], 3);
      const auto problem = only_problem(inputs);
      CHECK(problem.check == "server_down");
      CHECK(problem.severity == HealthSeverity::kCritical);
      CHECK(problem.detail ==
            "Master 10.0.0.1:6379 of group 1 (cache) has not answered for 10 seconds: it refuses "
            "connections.");
      CHECK(problem.hint.find("/api/v1/groups/1/promote") != std::string::npos);
      CHECK(problem.objects == std::vector<std::string>{"groups/1", "servers/10.0.0.1:6379"});
    }
    SUBCASE("one missed question is a warning") {
      inputs.servers[kMaster] = failed(inputs.servers[kMaster], 1);
      CHECK(only_problem(inputs).severity == HealthSeverity::kWarning);
    }
    SUBCASE("a replica that is down is a warning") {
      inputs.servers[kReplica] = failed(inputs.servers[kReplica], 3);
      CHECK(only_problem(inputs).severity == HealthSeverity::kWarning);
    }
    SUBCASE("servers not asked yet are no problem") {
      inputs.servers.clear();
      CHECK(find_problems(inputs).empty());
    }
  }

  TEST_CASE("roles that contradict the topology") {
    HealthInputs inputs = healthy();
    SUBCASE("two masters") {
      inputs.servers[kReplica].facts.is_master = true;
      CHECK(only_problem(inputs).detail ==
            "Server 10.0.0.2:6379 of group 1 (cache) is a master, as is 10.0.0.1:6379: who writes "
            "to it directly writes what nobody else sees.");
    }
    SUBCASE("a master that is a replica") {
      inputs.servers[kMaster].facts.is_master = false;
      inputs.servers[kMaster].facts.master_addr = "10.0.0.9:6379";
      CHECK(only_problem(inputs).detail.find("says that it is a replica of 10.0.0.9:6379") !=
            std::string::npos);
    }
    SUBCASE("a replica of another group's master") {
      inputs.servers[kReplica].facts.master_addr = "10.0.0.9:6379";
      inputs.servers[kReplica].facts.replication_id = "b2";
      CHECK(only_problem(inputs).detail.find("instead of 10.0.0.1:6379") != std::string::npos);
    }
    const auto problem = only_problem(inputs);
    CHECK(problem.check == "role_conflict");
    CHECK(problem.severity == HealthSeverity::kCritical);
  }

  TEST_CASE("replication that does not keep up") {
    HealthInputs inputs = healthy();
    SUBCASE("no link") {
      inputs.servers[kReplica].facts.link_up = false;
      CHECK(only_problem(inputs).check == "replication_link");
    }
    SUBCASE("far behind") {
      inputs.servers[kMaster].facts.replication_offset = 17ull << 20;
      const auto problem = only_problem(inputs);
      CHECK(problem.check == "replication_lag");
      CHECK(problem.detail.find("17 MiB behind") != std::string::npos);
    }
    SUBCASE("a little behind is what every busy replica is") {
      inputs.servers[kMaster].facts.replication_offset = 16ull << 20;
      CHECK(find_problems(inputs).empty());
    }
  }

  TEST_CASE("memory") {
    HealthInputs inputs = healthy();
    ServerFacts& facts = inputs.servers[kMaster].facts;
    facts.memory_policy = "noeviction";
    facts.memory_max_bytes = 1000'000;
    facts.memory_bytes = 850'000;
    CHECK(find_problems(inputs).empty());
    facts.memory_bytes = 930'000;
    CHECK(only_problem(inputs).severity == HealthSeverity::kWarning);
    facts.memory_bytes = 999'999;
    CHECK(only_problem(inputs).severity == HealthSeverity::kCritical);
    CHECK(only_problem(inputs).check == "memory_full");
    facts.memory_policy = "allkeys-lru";
    CHECK(only_problem(inputs).check == "eviction");
    CHECK(only_problem(inputs).severity == HealthSeverity::kInfo);
    facts.memory_max_bytes = 0;
    CHECK(find_problems(inputs).empty());
  }

  TEST_CASE("loading, and engines that do not say what they are") {
    HealthInputs inputs = healthy();
    inputs.servers[kReplica].facts.loading = true;
    CHECK(only_problem(inputs).check == "server_loading");
    inputs = healthy();
    inputs.servers[kMaster].facts.engine = "unknown";
    CHECK(only_problem(inputs).check == "unknown_engine");
  }

  TEST_CASE("a proxy may take its time before it is out of step") {
    HealthInputs inputs = healthy();
    inputs.proxies[0].topology_version = 4;
    inputs.proxies[0].problem = "server 10.0.0.1:6379 does not answer";
    inputs.topology_since = inputs.now - 1000;
    CHECK(find_problems(inputs).empty());
    inputs.topology_since = inputs.now - 5000;
    const auto problem = only_problem(inputs);
    CHECK(problem.check == "proxy_out_of_step");
    CHECK(problem.detail ==
          "Proxy local has slot table 4 in force, the newest is 5: server "
          "10.0.0.1:6379 does not answer.");
  }

  TEST_CASE("a store that cannot be written, migrations with problems, slots without owner") {
    HealthInputs inputs = healthy();
    inputs.store_problem = "the disk is full.";
    CHECK(only_problem(inputs).check == "store_write");
    inputs = healthy();
    inputs.migration_problems = {{3, "server 10.0.0.1:6379 refuses MIGRATE."}};
    CHECK(only_problem(inputs).objects == std::vector<std::string>{"migrations/3"});
    inputs = healthy();
    for (const int slot : {0, 1, 2, 900}) inputs.topology.slots[slot] = {};
    CHECK(only_problem(inputs).detail.starts_with("4 slots belong to no group (0-2,900)"));
  }

  TEST_CASE("a server that a promotion took out is worse while it can be written to") {
    HealthInputs inputs = healthy();
    const Address old{"10.0.0.3", 6379, ""};
    inputs.excluded = {{old, 1, 7, "it does not answer."}};
    CHECK(only_problem(inputs).severity == HealthSeverity::kWarning);
    ServerStatus status;
    status.address = old;
    inputs.servers[old] = after_answer(status, {}, 1, 2);
    CHECK(only_problem(inputs).severity == HealthSeverity::kCritical);
  }
}
