#!/usr/bin/env python3
"""A server that is careless with its protocol, as Pika is, does no harm to clients that share a connection to it.

    careless_server_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]

The server is a small imitation of what was measured with Pika 4.0: an error repeats the key as it is, XREAD answers
too much, SCAN and KEYS show keys of its own, and its words for a lost login begin with ERR.
"""

import sys

from checks import keys_of_group, run_tests
from fake_server import FakeServer
from resp import RespError, encode
from servers import PikaProxy, RedisServer, wait_until

OPTIONS = {"proxy.workers": 1, "backend.reconnect_max": "100ms"}
LINE_BREAKS = (b"\r\n+FORGED\r\n", b"\r", b"\n", b"k\r\n")
OWN = [b"_internal:slotkey:4migrate:5", b"_internal:slottag:4migrate:123"]
REFUSED = r"ERR server 127\.0\.0\.1:\d+ of group g\d breaks its protocol, as Pika does"
STRAY = b"-ERR Invalid argument: WRONGTYPE, key: %s, expected type: streams, got type: string*-1\r\n\r\n"


def array(items):
    return b"*%d\r\n" % len(items) + b"".join(b"$%d\r\n%s\r\n" % (len(item), item) for item in items)


class Careless(FakeServer):
    """`keys`: what SCAN and KEYS show."""

    def __init__(self, keys=()):
        self.keys = list(keys)
        self.logged_out = False
        super().__init__(self.answer)

    def answer(self, connection, args):
        name = args[0].upper()
        if name == b"CLIENT":
            return b"-ERR Syntax error, try CLIENT (LIST [order by [addr|idle]| KILL ip:port)\r\n"
        if self.logged_out and name == b"GET":
            return b"-ERR NOAUTH Authentication required.\r\n"
        if name in (b"HGET", b"SADD", b"DEL"):
            return b"-ERR WRONGTYPE, key: %s, expect type: hash\r\n" % args[1]
        if name == b"XREAD":
            return STRAY % args[2]
        if name == b"XDEL":
            return b"-ERR no stream:0\r\n\r\n"
        if name == b"KEYS":
            return array(self.keys)
        if name == b"SCAN":
            return b"*2\r\n$1\r\n0\r\n" + array(self.keys)
        return self.healthy(args)


def check_in_order(t, client, what):
    """The connection that all share is where it should be."""
    for number in range(3):
        t.equal(client.call("SET", "order", number), "OK", "SET after %s" % what)
        t.equal(client.call("GET", "order"), b"%d" % number, "GET after %s" % what)


def settle(client):
    """The server is known from here on."""
    wait_until(lambda: not isinstance(client.call("GET", "x"), RespError), 10, "the server to be connected")


def forgeries(tail):
    key = b"{k}" + tail
    yield "one key", [("HGET", key, "f")]
    yield "several keys", [("DEL", b"{k}1", key)]
    yield "the last of three", [("SINTER", b"{k}1", b"{k}2", key)]
    yield "keys behind a number", [("EVAL", "return 1", 2, b"{k}1", key)]
    yield "a transaction", [("MULTI",), ("SET", b"{k}1", 1), ("HGET", key, "f"), ("EXEC",)]
    yield "WATCH", [("WATCH", key), ("UNWATCH",)]


def test_a_line_break_in_a_key_is_refused(t):
    with Careless() as server, PikaProxy(t.pikaproxy, [server.address], OPTIONS) as proxy, proxy.client() as client:
        settle(client)
        for tail in LINE_BREAKS:
            for what, requests in forgeries(tail):
                seen = len(server.seen)
                replies = [client.call(*request) for request in requests]
                what = "%s with %r" % (what, tail)
                answer = replies[0] if what.startswith("WATCH") else replies[-1]
                t.error(answer, REFUSED, what)
                sent = [args for args in server.seen[seen:] if args[0].upper() not in (b"CLIENT", b"PING", b"UNWATCH")]
                t.equal(sent, [], "what the server got of %s" % what)
                check_in_order(t, client, what)
        t.equal(client.call("SET", "value", "a\r\n+FORGED\r\n"), "OK", "a line break in a value")
        t.equal(client.call("GET", "value"), b"a\r\n+FORGED\r\n", "which comes back")


def test_split_requests_too(t):
    keys = [keys_of_group(group, 2, 2) for group in range(2)]
    with RedisServer() as redis, Careless() as server, \
            PikaProxy(t.pikaproxy, [redis.address, server.address], OPTIONS) as proxy, proxy.client() as client:
        wait_until(lambda: not isinstance(client.call("GET", keys[1][0]), RespError), 10, "the server to be connected")
        broken = b"{%s}\r\n+FORGED\r\n"
        there = broken % keys[1][0].encode()
        t.error(client.call("MGET", keys[0][0], there), REFUSED, "MGET over both")
        t.error(client.call("DEL", keys[0][0], keys[1][1], there), REFUSED, "DEL over both")
        # A Redis keeps its lines apart, so its keys may be what they like.
        here = broken % keys[0][0].encode()
        t.equal(client.call("SET", here, 1), "OK", "SET at the Redis")
        t.error(client.call("HGET", here, "f"), "WRONGTYPE", "HGET at the Redis")
        t.equal(client.call("MGET", here, keys[0][1]), [b"1", None], "MGET at the Redis")


def test_a_request_that_came_before_the_server_was_known(t):
    with Careless() as server:
        connected = []

        def accept(connection):
            connected.append(connection)
            wait_until(lambda: len(connected) > 9, 20, "the test to go on")

        server.on_accept = accept
        with PikaProxy(t.pikaproxy, [server.address],
                       {**OPTIONS, "backend.connect_timeout": "20s"}) as proxy, proxy.client() as client:
            wait_until(lambda: connected, 10, "the proxy to connect")
            client.send_bytes(encode("HGET", b"k\r\n+FORGED\r\n", "f"))
            wait_until(lambda: proxy.metric("pikaproxy_backend_inflight_requests", group="g0") == 1, 10,
                       "the request to wait")
            connected.extend([None] * 10)
            t.error(client.read(), REFUSED, "the request that waited")
            t.equal([args for args in server.seen if args[0] == b"HGET"], [], "what the server got")
            check_in_order(t, client, "it")


def test_an_empty_line_behind_an_error_is_skipped(t):
    with Careless() as server, PikaProxy(t.pikaproxy, [server.address], OPTIONS) as proxy, proxy.client() as client:
        settle(client)
        connections = len(server.connections)
        for request in (("XREAD", "STREAMS", "k", 0), ("XDEL", "k", "1-1")):
            t.error(client.call(*request), "ERR ", request[0])
            check_in_order(t, client, request[0])
        client.send_bytes((encode("XREAD", "STREAMS", "k", 0) + encode("GET", "order")) * 50)
        for number in range(50):
            t.error(client.read(), "ERR ", "XREAD %d of a pipeline" % number)
            t.equal(client.read(), b"2", "GET behind it")
        t.error(client.call("XREAD", "STREAMS", "{k}1", "{k}2", 0, 0), REFUSED, "XREAD of two streams")
        for request in (("XREAD", "STREAMS", "k", 0), ("XDEL", "k", "1-1")):
            client.call("MULTI")
            client.call(*request)
            t.error(client.call("EXEC"), REFUSED, "%s in a transaction" % request[0])
        check_in_order(t, client, "transactions")
        t.equal(len(server.connections), connections, "connections made")


def test_keys_of_the_server_are_not_shown(t):
    with Careless([b"a", *OWN, b"b"]) as server, \
            PikaProxy(t.pikaproxy, [server.address], OPTIONS) as proxy, proxy.client() as client:
        settle(client)
        t.equal(client.call("KEYS", "*"), [b"a", b"b"], "KEYS of one group")
        t.equal(client.call("SCAN", 0), [b"0", [b"a", b"b"]], "SCAN of one group")
    with Careless([*OWN]) as server, RedisServer() as redis, \
            PikaProxy(t.pikaproxy, [server.address, redis.address], OPTIONS) as proxy, proxy.client() as client:
        with redis.client() as direct:
            direct.call("SET", OWN[0], "a user's")
        wait_until(lambda: client.call("KEYS", "*") == [OWN[0]], 10, "both servers to be known")
        t.equal(client.call("SCAN", 0), [b"1", []], "SCAN of the first group")
        t.equal(client.call("SCAN", 1), [b"0", [OWN[0]]], "SCAN of the Redis")


def test_a_login_that_was_lost_is_noticed(t):
    with Careless() as server, PikaProxy(t.pikaproxy, [server.address], OPTIONS) as proxy, proxy.client() as client:
        settle(client)
        connections = len(server.connections)
        server.logged_out = True
        t.error(client.call("GET", "k"), r"ERR server \S+ of group g0 asks for a password", "GET without a login")
        server.logged_out = False
        wait_until(lambda: client.call("GET", "k") is None, 10, "a new connection")
        t.equal(len(server.connections), connections + 1, "connections made")


def test_an_idle_connection_that_the_server_closes_is_no_warning(t):
    with Careless() as server, PikaProxy(t.pikaproxy, [server.address], OPTIONS) as proxy, proxy.client() as client:
        settle(client)
        connections = len(server.connections)
        server.connections[-1].close()
        wait_until(lambda: len(server.connections) > connections, 10, "a new connection")
        settle(client)
        t.check("connection lost" not in proxy.log(), "no warning", proxy.log())
        # Pika closes connections that are idle for a minute, and is slow to do so.
        pings = server.seen.count([b"PING"])
        wait_until(lambda: server.seen.count([b"PING"]) > pings, 60, "a PING over the idle connection")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
