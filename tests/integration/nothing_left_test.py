#!/usr/bin/env python3
"""Clients vanish in mid-request, connections are killed on both sides and servers hang: afterwards the proxy holds no
byte, no request and no client of it.

    nothing_left_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import random
import signal
import socket
import struct
import sys
import time

from checks import Background, keys_of_group, run_tests
from resp import encode
from servers import PikaProxy, RedisServer, wait_until

GROUPS = 3
CLIENTS = 10
SECONDS = 6
SETTLE_S = 20
# Values from 100 bytes to 1 MB: kept in the task, kept outside of it, streamed.
SIZES = [10 ** digits for digits in range(2, 7)]
KEYS = [keys_of_group(group, GROUPS, len(SIZES)) for group in range(GROUPS)]
ALL_KEYS = [key for keys in KEYS for key in keys]


def some_request(rng):
    kind = rng.randrange(9)
    if kind == 0:
        return encode("MGET", *rng.sample(ALL_KEYS, 8))
    if kind == 1:
        return encode("SET", "{%s}copy" % rng.choice(ALL_KEYS), b"y" * rng.choice((10, 5000, 60000)))
    if kind == 2:
        return encode("KEYS", "*")
    if kind == 3:
        return b"GET %s\r\n" % rng.choice(ALL_KEYS).encode()
    if kind == 4:
        return encode("CLIENT", "REPLY", rng.choice(("ON", "OFF", "SKIP")))
    if kind == 5:
        return encode("SCAN", "0")
    if kind == 6:
        return encode("EVAL", "return redis.call('GET', KEYS[1])", "1", rng.choice(ALL_KEYS))
    if kind == 7:
        return encode("RANDOMKEY")
    return encode("GET", rng.choice(ALL_KEYS))


def vanishing_client(port, seed, deadline):
    """Connects, asks, reads some of the answers and goes, politely or not."""
    rng = random.Random(seed)
    connections = 0
    while time.monotonic() < deadline:
        connections += 1
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.settimeout(0.2)
                for _ in range(rng.randint(1, 4)):
                    raw = b"".join(some_request(rng) for _ in range(rng.randint(1, 30)))
                    if rng.random() < 0.2:
                        raw = raw[:rng.randrange(len(raw))]
                    connection.sendall(raw)
                    try:
                        for _ in range(rng.randrange(20)):
                            if not connection.recv(rng.choice((10, 65536))):
                                break
                    except socket.timeout:
                        pass
                if rng.random() < 0.3:  # A reset instead of an end.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    return connections


def trouble(proxy, servers, rng, deadline):
    """One thing after the other goes wrong."""
    with proxy.client() as admin:
        while time.monotonic() < deadline:
            kind = rng.randrange(4)
            server = rng.choice(servers)
            if kind == 0:
                admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            elif kind == 1:
                with server.client() as client:
                    client.call("CLIENT", "KILL", "TYPE", "normal")
            elif kind == 2:
                server.send_signal(signal.SIGSTOP)
                time.sleep(rng.choice((0.05, 0.3, 1.5)))  # The last one is beyond the time-out.
                server.send_signal(signal.SIGCONT)
            else:
                admin.call("CONFIG", "SET", "proxy.client_pipeline_max", rng.choice((1, 100, 4096)))
            time.sleep(0.1)


def test_nothing_is_left(t):
    rng = t.rng()
    options = {"proxy.client_output_max": "4mb", "backend.request_timeout": "1s"}
    servers = [RedisServer() for _ in range(GROUPS)]
    try:
        with PikaProxy(t.pikaproxy, servers, options) as proxy:
            with proxy.client() as client:
                for keys in KEYS:
                    for key, size in zip(keys, SIZES):
                        t.equal(client.call("SET", key, b"x" * size), "OK", "SET")
            deadline = time.monotonic() + SECONDS
            clients = [Background(vanishing_client, proxy.port, rng.random(), deadline) for _ in range(CLIENTS)]
            trouble(proxy, servers, rng, deadline)
            t.note("%d connections" % sum(client.result() for client in clients))

            def left():
                found = {"clients": proxy.metric("pikaproxy_client_connections"),
                         "queued_bytes": proxy.metric("pikaproxy_queued_bytes")}
                for group in range(GROUPS):
                    found["inflight g%d" % group] = proxy.metric("pikaproxy_backend_inflight_requests",
                                                                 group="g%d" % group)
                return found

            try:
                wait_until(lambda: set(left().values()) == {0.0}, SETTLE_S, "the proxy to be empty")
            except TimeoutError:
                pass
            t.equal({name: value for name, value in left().items() if value != 0}, {}, "what is left")
            with proxy.client() as client:
                for keys in KEYS:
                    wait_until(lambda: client.call("STRLEN", keys[0]) == SIZES[0], SETTLE_S, "a group to answer again")
                values = client.call("MGET", *ALL_KEYS)
            t.equal([len(value) for value in values], SIZES * GROUPS, "the values afterwards")
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
