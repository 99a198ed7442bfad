#pragma once

#include <cstdint>
#include <string>
#include <sys/socket.h>

#include "common/address.h"
#include "common/result.h"
#include "dashboard/http/file_descriptor.h"

namespace pikaproxy {

// A non-blocking listening socket.
struct TcpListener {
  FileDescriptor fd;
  uint16_t port = 0;  // The real one when port 0 was asked for.
};

// Listens on a TCP address; a name is resolved and its first address that can be bound is taken.
// SO_REUSEADDR but not SO_REUSEPORT: while another process listens there this is an error instead
// of a port shared by accident. Errors name the address and say what to do.
Result<TcpListener> listen_tcp(const Address& address);

// Who connected.
struct Peer {
  std::string address;  // Without the port; an IPv4 address also where IPv6 carries it.
  std::string
      network;  // What counts as one peer: the IPv4 address, or the /64 of the IPv6 address.
};

Peer describe_peer(const sockaddr_storage& from);

}  // namespace pikaproxy
