#include "dashboard/acl/acl_users.h"

#include <doctest/doctest.h>

#include "common/user_rules.h"
#include "dashboard/store/schema.h"
#include "tests/common/temporary_directory.h"

using namespace pikaproxy;

namespace {

// What the proxy has been told.
struct Proxy : ProxyUsers {
  std::vector<UserConfig> configured_users() const override { return configured; }
  void set_stored_users(std::vector<UserConfig> users, std::function<void()> installed) override {
    given.push_back(std::move(users));
    installed();
  }

  std::vector<UserConfig> configured;
  std::vector<std::vector<UserConfig>> given;
};

AclUser everything(std::string name) {
  AclUser user;
  user.config.name = std::move(name);
  user.config.passwords = {hash_password("a"), hash_password("b")};
  user.config.admin = true;
  user.config.enabled = false;
  user.config.commands = "+@read -get";
  user.config.keys = {"%R~a*", "b \"\\ \xC3\xA9"};
  user.config.channels = {};
  user.config.read_only = true;
  user.config.reads = {ReadFrom::kNearest, Milliseconds(1234)};
  user.created_at_ms = 5;
  user.updated_at_ms = 6;
  return user;
}

AclUsers::Decide put(AclUser wanted) {
  return [wanted](const AclUsers::All&, std::optional<AclUser>& user) -> std::optional<ApiProblem> {
    user = wanted;
    return std::nullopt;
  };
}

}  // namespace

TEST_SUITE("dashboard/acl/acl_users") {
  TEST_CASE("what was put is what is there after a new start, and the proxy has it at once") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("pikaproxy.db");
    const AclUser ann = everything("ann");
    AclUser bob;
    bob.config.name = "bob";
    {
      Proxy proxy;
      const auto database = std::move(*Database::open(path, schema_upgrades()));
      AclUsers users(*database, proxy);
      REQUIRE(proxy.given.size() == 1);
      CHECK(proxy.given[0].empty());
      CHECK(!users.change("ann", false, put(ann)));
      CHECK(!users.change("bob", false, put(bob)));
      CHECK(proxy.given.back() == std::vector<UserConfig>{ann.config, bob.config});
      CHECK(!users.change("bob", false, [](const auto&, std::optional<AclUser>& user) {
        user.reset();
        return std::optional<ApiProblem>();
      }));
      CHECK(proxy.given.back() == std::vector<UserConfig>{ann.config});
    }
    Proxy proxy;
    const auto database = std::move(*Database::open(path, schema_upgrades()));
    AclUsers users(*database, proxy);
    REQUIRE(proxy.given.size() == 1);
    CHECK(proxy.given[0] == std::vector<UserConfig>{ann.config});
    CHECK(users.all() == AclUsers::All{{"ann", ann}});
  }

  TEST_CASE("what is refused, only tried, or cannot be written changes nothing") {
    Proxy proxy;
    const auto database = std::move(*Database::open(":memory:", schema_upgrades()));
    AclUsers users(*database, proxy);
    SUBCASE("refused") {
      const auto problem =
          users.change("ann", false, [](const auto&, std::optional<AclUser>& user) {
            user = everything("ann");
            return std::optional<ApiProblem>(ApiProblem{409, "no", "No."});
          });
      CHECK(problem->code == "no");
    }
    SUBCASE("only tried") {
      CHECK(!users.change("ann", true, put(everything("ann"))));
    }
    SUBCASE("not writable") {
      database->transact([](Database::Transaction& transaction) {
        transaction.run(
            "CREATE TRIGGER refuse BEFORE INSERT ON acl_users BEGIN SELECT RAISE(ABORT, 'no'); "
            "END");
      });
      CHECK_THROWS_AS(users.change("ann", false, put(everything("ann"))), StoreError);
    }
    CHECK(users.all().empty());
    CHECK(proxy.given.size() == 1);
  }

  TEST_CASE("a store of the first version gets the table of users") {
    const TemporaryDirectory directory;
    const std::string path = directory.path("pikaproxy.db");
    {
      const auto database = std::move(*Database::open(path, schema_upgrades().first(1)));
      database->transact([](Database::Transaction& transaction) {
        transaction.run("INSERT INTO settings (name, value) VALUES ('kept', '1')");
      });
    }
    Proxy proxy;
    const auto database = std::move(*Database::open(path, schema_upgrades()));
    AclUsers users(*database, proxy);
    CHECK(!users.change("ann", false, put(everything("ann"))));
    CHECK(users.all().size() == 1);
    database->transact([](Database::Transaction& transaction) {
      Statement select = transaction.prepare("SELECT value FROM settings WHERE name = 'kept'");
      REQUIRE(select.step());
      CHECK(select.text(0) == "1");
    });
  }

  TEST_CASE("a row that cannot be read stops the start") {
    Proxy proxy;
    const auto database = std::move(*Database::open(":memory:", schema_upgrades()));
    database->transact([](Database::Transaction& transaction) {
      transaction.run("INSERT INTO acl_users VALUES ('ann', '{\"admin\": 1', 0, 0)");
    });
    CHECK_THROWS_AS(AclUsers(*database, proxy), StoreError);
  }
}
