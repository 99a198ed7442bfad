#include "common/address.h"

#include <random>
#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("common/address") {
  TEST_CASE("host, IPv6 and unix addresses are read and written alike") {
    for (const std::string text :
         {"127.0.0.1:19000", "redis-1.example.com:6379", "localhost:0", "[::1]:65535",
          "[2001:db8::3]:9221", "[fe80::1%eth0]:1", "unix:/run/pikaproxy.sock"}) {
      CAPTURE(text);
      const Result<Address> address = parse_address(text);
      REQUIRE(address.ok());
      CHECK(address->to_string() == text);
      CHECK(address->is_unix() == text.starts_with("unix:"));
    }
  }

  TEST_CASE("the parts end up where they belong") {
    const Result<Address> v6 = parse_address("[::1]:80");
    REQUIRE(v6.ok());
    CHECK(v6->host == "::1");
    CHECK(v6->port == 80);
    const Result<Address> local = parse_address("unix:/a:b");
    REQUIRE(local.ok());
    CHECK(local->path == "/a:b");
    CHECK(local->port == 0);
  }

  TEST_CASE("a missing host is this machine, never every interface") {
    const Result<Address> address = parse_address(":19000");
    REQUIRE(address.ok());
    CHECK(address->host == "127.0.0.1");
  }

  TEST_CASE("what is no address is refused with the part that is wrong") {
    struct Case {
      std::string text;
      std::string part;
    };
    const Case cases[] = {{"", "port"},
                          {"host", "port"},
                          {"host:", "port"},
                          {"host:65536", "port"},
                          {"host:-1", "port"},
                          {"host:+1", "port"},
                          {"host:1x", "port"},
                          {"host: 1", "port"},
                          {"::1:80", "brackets"},
                          {"[::1", "]"},
                          {"[::1]", "port"},
                          {"[::1]80", "port"},
                          {"[]:80", "brackets"},
                          {"[:]:80", "brackets"},
                          {"[10.0.0.1]:80", "brackets"},
                          {"[::g]:80", "brackets"},
                          {"two words:80", "space"},
                          {"a\nb:80", "control"},
                          {std::string("unix:/a\0b", 9), "control"},
                          {"unix:", "path"},
                          {"unix:/" + std::string(107, 'x'), "path"},
                          {std::string(254, 'x') + ":80", "host"}};
    for (const Case& bad : cases) {
      CAPTURE(bad.text);
      const Result<Address> address = parse_address(bad.text);
      REQUIRE_FALSE(address.ok());
      CAPTURE(address.error());
      CHECK(address.error().find(bad.part) != std::string::npos);
      CHECK(address.error().find('\n') == std::string::npos);
    }
  }

  TEST_CASE("what is read from any bytes can be written and read again") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    constexpr std::string_view kAlphabet = "[]:%.0159abunix/ ";
    for (int round = 0; round < 50'000; ++round) {
      std::string text = round % 3 == 0 ? "unix:" : (round % 3 == 1 ? "[" : "");
      for (size_t size = random() % 12; size > 0; --size) {
        text += kAlphabet[random() % kAlphabet.size()];
      }
      const Result<Address> address = parse_address(text);
      if (!address) continue;
      CAPTURE(text);
      const Result<Address> again = parse_address(address->to_string());
      REQUIRE(again.ok());
      REQUIRE(*again == *address);
    }
  }
}
