#include "proxy/credentials.h"

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

bool is_admin(const Config& config, std::string_view user, std::string_view password) {
  const auto identity = check_credentials(config, user, password);
  REQUIRE(identity.has_value());
  return identity->admin;
}

}  // namespace

TEST_SUITE("proxy/credentials") {
  TEST_CASE("without passwords nobody has to say who they are, and everybody may do everything") {
    const Config config;
    CHECK(!needs_credentials(config));
    CHECK(is_admin(config, "default", "anything"));
    CHECK(is_admin(config, "default", ""));
    CHECK(!check_credentials(config, "ann", "anything"));
    CHECK(!check_credentials(config, "", ""));
  }

  TEST_CASE("the default user's password opens everything") {
    Config config;
    config.auth.password = "secret";
    CHECK(needs_credentials(config));
    CHECK(is_admin(config, "default", "secret"));
    CHECK(check_credentials(config, "default", "secret")->name == "");
    for (const std::string_view wrong :
         {"", "s", "secre", "secretsecret", "secretx", "Secret", "secret\n"}) {
      CAPTURE(wrong);
      CHECK(!check_credentials(config, "default", wrong));
    }
    CHECK(!check_credentials(config, "Default", "secret"));
    CHECK(!check_credentials(config, "", "secret"));
  }

  TEST_CASE("further users have their own passwords and rights") {
    Config config;
    config.users = {{"ann", "a", true}, {"bob", "b", false}};
    CHECK(needs_credentials(config));
    CHECK(is_admin(config, "ann", "a"));
    CHECK(!is_admin(config, "bob", "b"));
    CHECK(check_credentials(config, "bob", "b")->name == "bob");
    CHECK(!check_credentials(config, "ann", "b"));
    CHECK(!check_credentials(config, "carol", "a"));
    CHECK(!check_credentials(config, "ANN", "a"));
  }

  TEST_CASE("the default user without a password is shut out once others have one") {
    Config config;
    config.users = {{"ann", "a", true}};
    CHECK(!check_credentials(config, "default", ""));
    CHECK(!check_credentials(config, "default", "a"));
  }

  TEST_CASE("a password may hold any bytes") {
    Config config;
    config.auth.password = std::string("a\0b\xFF", 4);
    CHECK(check_credentials(config, "default", std::string_view("a\0b\xFF", 4)).has_value());
    CHECK(!check_credentials(config, "default", std::string_view("a\0c\xFF", 4)));
    CHECK(!check_credentials(config, "default", "a"));
  }
}
