#include "dashboard/http/tcp_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

Peer peer_v4(const char* text) {
  sockaddr_storage from{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(from);
  v4.sin_family = AF_INET;
  REQUIRE(::inet_pton(AF_INET, text, &v4.sin_addr) == 1);
  return describe_peer(from);
}

Peer peer_v6(const char* text) {
  sockaddr_storage from{};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(from);
  v6.sin6_family = AF_INET6;
  REQUIRE(::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
  return describe_peer(from);
}

}  // namespace

TEST_SUITE("dashboard/http/tcp_listener") {
  TEST_CASE("an IPv4 address is one peer, also where IPv6 carries it") {
    CHECK(peer_v4("10.1.2.3").address == "10.1.2.3");
    CHECK(peer_v6("::ffff:10.1.2.3").address == "10.1.2.3");
    CHECK(peer_v6("::ffff:10.1.2.3").network == peer_v4("10.1.2.3").network);
    CHECK(peer_v4("10.1.2.3").network != peer_v4("10.1.2.4").network);
  }

  TEST_CASE("the addresses of one IPv6 /64 are one peer, as one machine may use all of them") {
    CHECK(peer_v6("2001:db8::1").address == "2001:db8::1");
    CHECK(peer_v6("2001:db8::1").network == peer_v6("2001:db8::ffff:1").network);
    CHECK(peer_v6("2001:db8::1").network != peer_v6("2001:db8:0:1::1").network);
  }

  TEST_CASE("a name can be listened on, and the port chosen by the kernel is told") {
    const auto listener = listen_tcp(Address{"localhost", 0, ""});
    REQUIRE(listener.ok());
    CHECK(listener->port != 0);
  }
}
