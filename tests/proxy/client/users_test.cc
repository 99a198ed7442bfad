#include "proxy/client/users.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

UserConfig user(std::string name, std::string password, bool admin = false) {
  UserConfig user;
  user.name = std::move(name);
  user.passwords = {hash_password(password)};
  user.admin = admin;
  return user;
}

}  // namespace

TEST_SUITE("proxy/users") {
  TEST_CASE("without passwords nobody has to say who they are, and everybody may do everything") {
    const RedisUsers users({}, {});
    CHECK(users.default_user()->is_open);
    CHECK(users.default_user()->config.admin);
    CHECK(!users.default_user()->rights);
    CHECK(users.log_in("default", "anything") == users.default_user());
    CHECK(users.log_in("default", "") != nullptr);
    CHECK(users.log_in("ann", "anything") == nullptr);
    CHECK(users.log_in("", "") == nullptr);
  }

  TEST_CASE("the default user has the one password, and is an administrator") {
    Config config;
    config.auth.password = "secret";
    const RedisUsers users(config, {});
    CHECK(!users.default_user()->is_open);
    REQUIRE(users.log_in("default", "secret") != nullptr);
    CHECK(users.log_in("default", "secret")->config.admin);
    for (const char* wrong : {"", "secre", "secrets", "Secret", "secretsecret"}) {
      CAPTURE(wrong);
      CHECK(users.log_in("default", wrong) == nullptr);
    }
    CHECK(users.log_in("Default", "secret") == nullptr);
    CHECK(users.log_in("", "secret") == nullptr);
  }

  TEST_CASE("users have names, passwords and rights of their own") {
    Config config;
    config.users = {user("ann", "a", true), user("bob", "b")};
    const RedisUsers users(config, {});
    CHECK(users.log_in("ann", "a")->config.admin);
    CHECK(!users.log_in("bob", "b")->config.admin);
    CHECK(users.log_in("bob", "b")->name() == "bob");
    CHECK(users.log_in("ann", "b") == nullptr);
    CHECK(users.log_in("carol", "a") == nullptr);
    CHECK(users.log_in("ANN", "a") == nullptr);
  }

  TEST_CASE("with users in the configuration and no password for it the default user is nobody") {
    Config config;
    config.users = {user("ann", "a", true)};
    const RedisUsers users(config, {});
    CHECK(!users.default_user()->is_open);
    CHECK(users.log_in("default", "") == nullptr);
    CHECK(users.log_in("default", "a") == nullptr);
  }

  TEST_CASE("the default user may be a [[user]], with rights and without a password") {
    Config config;
    config.users = {user("ann", "a", true), UserConfig()};
    config.users[1].name = "default";
    config.users[1].read_only = true;
    const RedisUsers users(config, {});
    CHECK(users.default_user()->is_open);
    CHECK(!users.default_user()->config.admin);
    CHECK(users.default_user()->rights.has_value());
    SUBCASE("with the password of [auth]") {
      config.auth.password = "secret";
      const RedisUsers with_password(config, {});
      CHECK(!with_password.default_user()->is_open);
      CHECK(with_password.log_in("default", "secret") == with_password.default_user());
      CHECK(with_password.default_user()->rights.has_value());
    }
  }

  TEST_CASE("two passwords are right at the same time") {
    Config config;
    config.users = {user("ann", "old")};
    config.users[0].passwords.push_back(hash_password("new"));
    const RedisUsers users(config, {});
    CHECK(users.log_in("ann", "old") != nullptr);
    CHECK(users.log_in("ann", "new") != nullptr);
    CHECK(users.log_in("ann", "older") == nullptr);
    CHECK(users.log_in("ann", config.users[0].passwords[0]) == nullptr);
  }

  TEST_CASE("nobody can log in as a user that is switched off") {
    Config config;
    config.users = {user("ann", "a")};
    config.users[0].enabled = false;
    CHECK(RedisUsers(config, {}).log_in("ann", "a") == nullptr);
  }

  TEST_CASE("users of the store are there beside those of the configuration, which come first") {
    Config config;
    config.auth.password = "secret";
    config.users = {user("ann", "file")};
    const RedisUsers users(config,
                           {user("ann", "store"), user("bob", "b"), user("default", "store")});
    CHECK(users.log_in("ann", "file") != nullptr);
    CHECK(users.log_in("ann", "store") == nullptr);
    CHECK(users.log_in("bob", "b") != nullptr);
    CHECK(users.log_in("default", "store") == nullptr);
    CHECK(users.all().size() == 3);
  }

  TEST_CASE("users of the store do not shut out the default user, unless they are that one") {
    CHECK(RedisUsers({}, {user("bob", "b")}).default_user()->is_open);
    const RedisUsers users({}, {user("default", "secret")});
    CHECK(!users.default_user()->is_open);
    CHECK(users.log_in("default", "secret") != nullptr);
  }

  TEST_CASE("passwords may hold any bytes") {
    Config config;
    config.auth.password = std::string("a\0b\xFF", 4);
    const RedisUsers users(config, {});
    CHECK(users.log_in("default", std::string_view("a\0b\xFF", 4)) != nullptr);
    CHECK(users.log_in("default", std::string_view("a\0c\xFF", 4)) == nullptr);
    CHECK(users.log_in("default", "a") == nullptr);
  }

  TEST_CASE("what is described is what can be run") {
    for (const bool admin : {false, true}) {
      for (const bool read_only : {false, true}) {
        UserConfig config = user("ann", "a", admin);
        config.commands = "+@all -keys -@transaction +multi";
        config.read_only = read_only;
        const RedisUser ann(config);
        const auto described = parse_command_rules(describe_commands(ann), Scripts::kWithAll);
        REQUIRE(described.ok());
        for (size_t index = 0; index < command_count(); ++index) {
          const Command& command = command_at(index);
          CAPTURE(command.name);
          if ((command.flags & kFlagNoAuth) != 0) continue;
          CHECK(described->contains(command) ==
                (ann.rights->may_run(command) && (admin || !command.proxy_admin)));
        }
      }
    }
  }
}
