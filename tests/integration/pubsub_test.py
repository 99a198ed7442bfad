#!/usr/bin/python3
"""Publish and subscribe through the proxy as with one Redis: replies and messages byte by byte, several workers,
servers that die or hang, slots that move, clients that do not read."""

import json
import os
import random
import select
import signal
import socket
import sys
import threading

import redis

from admin_api import AdminApi
from checks import keys_of_group, read_raw, run_tests
from fake_server import FakeServer
from resp import Push, Resp, encode
from servers import PikaProxy, RedisServer, wait_until

QUICK = {"backend.request_timeout": "2s", "backend.connect_timeout": "2s", "backend.reconnect_max": "50ms"}


class Cluster:
    """Servers that share the slots evenly, a proxy with two workers, and a plain server to compare with."""

    def __init__(self, t, options=None, servers=3, server_options=()):
        self.servers = [RedisServer(*server_options) for _ in range(servers)]
        self.plain = RedisServer(*server_options)
        self.proxy = PikaProxy(t.pikaproxy, self.servers, {"proxy.workers": 2, **(options or {})})
        self.proxy.wait_for_servers()

    def client(self, **kwargs):
        return self.proxy.client(**kwargs)

    def channel(self, group, number=0):
        """The number-th channel of a group."""
        return keys_of_group(group, len(self.servers), number + 1, "c")[number]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.proxy, self.plain, *self.servers):
            process.stop()


def message(channel, text):
    return [b"message", as_bytes(channel), as_bytes(text)]


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def subscribed(client, *channels, verb="SUBSCRIBE"):
    """Subscribes and reads the confirmations."""
    client.send(verb, *channels)
    return [client.read() for _ in channels]


def nothing_came(client):
    """Whether the client, which speaks RESP2 and is subscribed, has nothing else to read before its PING's answer."""
    client.send("PING", "nothing else")
    return client.read() == [b"pong", b"nothing else"]


def conversation(address, lines):
    """All bytes of the replies to `lines`: per line the number of replies to read and the words. Words may begin
    with "@": then another connection says them."""
    got = []
    with Resp(*address) as one, Resp(*address) as other:
        for replies, *words in lines:
            if words[0].startswith("@"):
                other.send(words[0][1:], *words[1:])
                got.append(read_raw(other.reader))
            else:
                one.send(*words)
            for _ in range(replies):
                got.append(read_raw(one.reader))
    return got


def test_same_bytes(t):
    """What a client gets is what a redis-server sends, byte by byte."""
    odd = [b"", b"a b", b"cr\r\nlf", b"\x00\xff", b"*", b"[x", b"\\", b"h?llo", b"x" * 5000]
    lines = [
        (1, "UNSUBSCRIBE"), (1, "PUNSUBSCRIBE"), (1, "SUNSUBSCRIBE"), (1, "UNSUBSCRIBE", "never"),
        (2, "UNSUBSCRIBE", "never", "ever"),
        (4, "SUBSCRIBE", "a", "a", "b", "c"), (1, "PSUBSCRIBE", "p*"), (1, "SSUBSCRIBE", "s1"),
        (1, "GET", "k"), (1, "CLIENT", "LIST"), (1, "HELLO", "2"), (1, "MULTI"), (1, "NOSUCH"), (1, "GET"),
        (1, "PUBLISH", "a", "x"), (1, "PUBSUB", "CHANNELS"), (1, "SELECT", "1"), (1, "AUTH", "x"),
        (1, "PING"), (1, "PING", "text"), (1, "PING", "a", "b"), (1, "SUBSCRIBE"), (1, "PSUBSCRIBE"),
        (1, "@PUBLISH", "a", "one"), (1, "@PUBLISH", "b", ""), (0, "@PUBLISH", "nobody", "x"),
        (1, "@PUBLISH", "p1", "by pattern"), (0, "@SPUBLISH", "a", "another kind"), (1, "@SPUBLISH", "s1", "sharded"),
        (1, "PSUBSCRIBE", "a"), (2, "@PUBLISH", "a", "twice"), (1, "PUNSUBSCRIBE", "a"),
        (1, "UNSUBSCRIBE", "a"), (0, "@PUBLISH", "a", "late"), (1, "UNSUBSCRIBE", "a"), (1, "UNSUBSCRIBE", "b"),
        (1, "UNSUBSCRIBE"), (1, "PUNSUBSCRIBE"), (1, "GET", "k"), (1, "SUNSUBSCRIBE"), (1, "GET", "k"),
        (0, "@PUBSUB", "CHANNELS"), (0, "@PUBSUB", "NUMSUB", "a", "a"), (0, "@PUBSUB", "NUMPAT"),
        (0, "@PUBSUB", "NUMSUB"), (0, "@PUBSUB", "SHARDCHANNELS"), (0, "@PUBSUB", "SHARDNUMSUB", "s1"),
        (0, "@PUBSUB", "NUMPAT", "x"), (0, "@PUBSUB", "CHANNELS", "x", "y"), (0, "@PUBSUB", "NOSUCH"),
        (0, "@PUBSUB"), (0, "@PUBLISH", "a"), (0, "@SPUBLISH", "a"),
        (1, "SUBSCRIBE", "d"), (0, "@PUBSUB", "CHANNELS"), (0, "@PUBSUB", "CHANNELS", "?"),
        (0, "@PUBSUB", "CHANNELS", "x*"), (0, "@PUBSUB", "NUMSUB", "d", "e"), (1, "PSUBSCRIBE", "d*"),
        (0, "@PUBSUB", "NUMPAT"), (2, "@PUBLISH", "d", "both"),
        (1, "RESET"), (0, "@PUBLISH", "d", "after RESET"), (1, "GET", "k"), (1, "SUBSCRIBE", "d"), (1, "QUIT"),
        (0, "@PUBSUB", "CHANNELS"),
    ]
    for name in odd:
        lines[-2:-2] = [(1, "SUBSCRIBE", name), (1, "@PUBLISH", name, b"m\r\n" + name), (1, "UNSUBSCRIBE", name)]
    for pattern, channel in ((b"h[ae]llo", b"hallo"), (b"h[^e]llo", b"hbllo"), (b"h\\*llo", b"h*llo"),
                             (b"[a-c]\r\n*", b"b\r\nx"), (b"*", b"x"), (b"??", b"ab")):
        lines[-2:-2] = [(1, "PSUBSCRIBE", pattern), (1, "@PUBLISH", channel, "m"), (0, "@PUBLISH", b"~~~~", "m")
                        if pattern != b"*" else (1, "@PUBLISH", b"~~~~", "m"), (1, "PUNSUBSCRIBE", pattern)]
    with Cluster(t) as cluster:
        ours = conversation((cluster.proxy.host, cluster.proxy.port), lines)
        plain = conversation((cluster.plain.host, cluster.plain.port), lines)
        t.equal(len(ours), len(plain), "as many replies")
        for number, (mine, theirs) in enumerate(zip(ours, plain)):
            t.equal(mine, theirs, "reply %d" % number)


def test_order(t):
    """Confirmations come in their turn, and what follows SUBSCRIBE in a pipeline is answered after it."""
    with Cluster(t) as cluster, cluster.client() as client, cluster.client() as other:
        names = [cluster.channel(group) for group in range(3)]
        client.send_bytes(b"".join(encode("SET", name, "v") for name in names) + encode("SUBSCRIBE", *names) +
                          encode("GET", "k") + encode("UNSUBSCRIBE", *names) + encode("GET", names[1]))
        t.equal([client.read() for _ in range(3)], ["OK"] * 3, "what came before")
        t.equal([client.read() for _ in names],
                [[b"subscribe", as_bytes(name), number + 1] for number, name in enumerate(names)], "confirmations")
        t.error(client.read(), "ERR Can't execute 'get'", "a request that is not allowed now")
        t.equal([client.read() for _ in names],
                [[b"unsubscribe", as_bytes(name), 2 - number] for number, name in enumerate(names)], "ends")
        t.equal(client.read(), b"v", "what comes after")
        for round in range(50):  # A message published after the confirmation is never missed.
            name = "round%d" % round
            subscribed(client, name)
            t.equal(other.call("PUBLISH", name, "m"), 1, "one receiver")
            t.equal(client.read(), message(name, "m"), "its message")
            t.equal(client.call("UNSUBSCRIBE", name), [b"unsubscribe", as_bytes(name), 0], "the end")
        client.call("MULTI")
        t.equal(client.call("PUBLISH", "{k}c", "in MULTI"), "QUEUED", "PUBLISH in MULTI")
        t.equal(client.call("SET", "{k}", "v"), "QUEUED", "with a key of its slot")
        subscribed(other, "{k}c")
        t.equal(client.call("EXEC")[1], "OK", "EXEC")
        t.equal(other.read(), message("{k}c", "in MULTI"), "the message")


# Per line the number of replies to read and the words, as in conversation(). Where an array says less than comes, as
# with several channels of one SUBSCRIBE, the rest is read as further replies.
TRANSACTIONS = {
    "mixed": [(1, "MULTI"), (1, "SET", "{t}a", "1"), (1, "SUBSCRIBE", "c"), (1, "GET", "{t}a"), (1, "UNSUBSCRIBE", "c"),
              (1, "PSUBSCRIBE", "p*"), (1, "EXEC"), (1, "PING"), (1, "@PUBLISH", "p1", "m"), (0, "@PUBLISH", "c", "m"),
              (1, "PUNSUBSCRIBE"), (1, "GET", "{t}a")],
    "nothing for a server": [(1, "MULTI"), (1, "SUBSCRIBE", "c"), (1, "EXEC"), (1, "@PUBLISH", "c", "m"),
                             (0, "@PUBSUB", "NUMSUB", "c")],
    "several channels": [(1, "MULTI"), (1, "SUBSCRIBE", "a", "b", "a"), (1, "ECHO", "x"), (1, "UNSUBSCRIBE", "a", "b"), (4, "EXEC"),
                         (1, "GET", "k")],
    "shard channels": [(1, "MULTI"), (1, "SSUBSCRIBE", "s"), (1, "SUNSUBSCRIBE", "s"), (1, "SUNSUBSCRIBE"), (1, "EXEC")],
    "discarded": [(1, "MULTI"), (1, "SUBSCRIBE", "c"), (1, "DISCARD"), (0, "@PUBLISH", "c", "m"), (1, "GET", "k")],
    "aborted": [(1, "MULTI"), (1, "SUBSCRIBE", "c"), (1, "SUBSCRIBE"), (1, "EXEC"), (0, "@PUBLISH", "c", "m"), (1, "GET", "k")],
    "watched": [(1, "WATCH", "{t}w"), (1, "MULTI"), (1, "SUBSCRIBE", "c"), (1, "INCR", "{t}w"), (1, "EXEC"),
                (1, "UNSUBSCRIBE", "c"), (1, "WATCH", "{t}w"), (0, "@INCR", "{t}w"), (1, "MULTI"), (1, "SUBSCRIBE", "c"),
                (1, "GET", "{t}w"), (1, "EXEC"), (0, "@PUBLISH", "c", "m"), (1, "GET", "{t}w")],
    "an error within": [(1, "MULTI"), (1, "SET", "{t}s", "x"), (1, "LPUSH", "{t}s", "y"), (1, "SUBSCRIBE", "c"), (1, "EXEC"),
                        (1, "@PUBLISH", "c", "m")],
}


def test_transactions(t):
    """SUBSCRIBE and its like within MULTI: the bytes are those of a redis-server."""
    with Cluster(t) as cluster:
        for version in ("2", "3"):
            for name, lines in TRANSACTIONS.items():
                lines = [(1, "HELLO", version)] + lines
                ours = conversation((cluster.proxy.host, cluster.proxy.port), lines)
                plain = conversation((cluster.plain.host, cluster.plain.port), lines)
                t.equal(ours[1:], plain[1:], "RESP%s, %s" % (version, name))
        with cluster.client() as client, cluster.client() as other:
            large = "x" * 300_000  # More than what is passed on before a reply is whole.
            other.call("SET", "{t}large", large)
            client.call("MULTI"), client.call("GET", "{t}large"), client.call("SUBSCRIBE", "c")
            t.check(client.call("EXEC") == [large.encode(), [b"subscribe", b"c", 1]], "behind a large reply")
            t.equal(client.call("RESET"), "RESET", "RESET")
            for round in range(50):  # All at once, and what is published after EXEC's reply is never missed.
                name = "round%d" % round
                client.send_bytes(encode("SET", "k", round) + encode("MULTI") + encode("SUBSCRIBE", name) +
                                  encode("SET", "{t}a", round) + encode("EXEC") + encode("PING", "x"))
                t.equal([client.read() for _ in range(6)],
                        ["OK", "OK", "QUEUED", "QUEUED", [[b"subscribe", as_bytes(name), 1], "OK"], [b"pong", b"x"]],
                        "a pipeline")
                t.equal(other.call("PUBLISH", name, "m"), 1, "one receiver")
                t.equal(client.read(), message(name, "m"), "its message")
                client.call("RESET")
            for round in range(20):  # Clients that go away in the middle leave nothing behind.
                with cluster.client() as hasty:
                    hasty.send_bytes(encode("MULTI") + encode("SUBSCRIBE", "gone%d" % round) + encode("SET", "{t}a", 1) +
                                     encode("PSUBSCRIBE", "g*") + encode("EXEC"))
            wait_until(lambda: client.call("PUBSUB", "CHANNELS") == [] and client.call("PUBSUB", "NUMPAT") == 0, 20,
                       "nobody to subscribe to anything")
            t.check(cluster.proxy.is_running(), "the proxy runs")
    with Cluster(t, {"proxy.client_subscriptions_max": 3}) as cluster, cluster.client() as client:
        for words in (["MULTI"], ["SUBSCRIBE", "a", "b", "c", "d"], ["SUBSCRIBE", "a"]):
            client.call(*words)
        replies = client.call("EXEC")
        t.error(replies[0], "ERR too many subscriptions", "more than a client may")
        t.equal(replies[1], [b"subscribe", b"a", 1], "the next one holds")


def test_shared(t):
    """Clients of a worker share one subscription; numbers are of clients."""
    with Cluster(t) as cluster:
        clients = [cluster.client() for _ in range(20)]
        with cluster.client() as other:
            channel = cluster.channel(1)
            for client in clients:
                subscribed(client, channel)
            server = cluster.servers[1].client()
            t.equal(server.call("PUBSUB", "NUMSUB", channel)[1], 2, "the server sees a subscription per worker")
            t.equal(cluster.servers[0].client().call("PUBSUB", "CHANNELS"), [], "other groups see none")
            t.equal(other.call("PUBSUB", "NUMSUB", channel), [as_bytes(channel), 20], "the proxy counts clients")
            t.equal(other.call("PUBLISH", channel, "m"), 20, "as PUBLISH does")
            for client in clients:
                t.equal(client.read(), message(channel, "m"), "each gets the message")
            direct = cluster.servers[1].client()
            direct.call("SUBSCRIBE", channel)
            t.equal(other.call("PUBLISH", channel, "m"), 21, "and those at the server itself")
            t.equal(server.call("PUBLISH", channel, "direct"), 3, "what is published at the server")
            for client in clients:
                t.equal([client.read(), client.read()], [message(channel, "m"), message(channel, "direct")], "arrives")
            subscribed(clients[0], "c*", verb="PSUBSCRIBE")
            for server in cluster.servers:
                t.equal(server.client().call("PUBSUB", "NUMPAT"), 1, "a pattern is at every group")
            t.equal(other.call("PUBLISH", channel, "m"), 22, "and counts")
            t.equal([clients[0].read(), clients[0].read()],
                    [message(channel, "m"), [b"pmessage", b"c*", as_bytes(channel), b"m"]], "both")
            lines = other.call("CLIENT", "LIST").decode().splitlines()
            t.equal(sum(" flags=P " in line and " sub=1 " in line for line in lines), 20, "CLIENT LIST")
            t.equal(sum(" psub=1 " in line for line in lines), 1, "CLIENT LIST's patterns")
            t.equal(other.call("CLIENT", "LIST", "TYPE", "pubsub").count(b"\n"), 20, "CLIENT LIST TYPE pubsub")
            t.check(b" sub=0 " in other.call("CLIENT", "LIST", "TYPE", "normal"), "CLIENT LIST TYPE normal")
            info = other.call("INFO", "stats").decode()
            t.check("pubsub_channels:1\r\npubsub_patterns:1\r\npubsubshard_channels:0\r\n" in info, "INFO", info)
            for client in clients[1:]:
                client.close()
            t.check(nothing_came(clients[0]), "nothing came twice")
            clients[0].close()
            wait_until(lambda: other.call("CLIENT", "LIST", "TYPE", "pubsub") == b"", 20, "nobody to subscribe")
            wait_until(lambda: cluster.servers[1].client().call("PUBSUB", "NUMSUB", channel)[1] == 1 and
                       cluster.servers[1].client().call("PUBSUB", "NUMPAT") == 0, 20, "the subscriptions' end")
            t.equal(other.call("PUBSUB", "CHANNELS"), [], "no channel is left")
            t.error(other.call("SSUBSCRIBE", "{a}1", "{b}1"), "CROSSSLOT ", "shard channels of several slots")


def test_everywhere(t):
    """Patterns and keyspace notifications come from all groups, once each."""
    with Cluster(t, server_options=("--notify-keyspace-events", "KEA")) as cluster, cluster.client() as client, \
            cluster.client() as other:
        names = [cluster.channel(group) for group in range(3)]
        subscribed(client, "c*", verb="PSUBSCRIBE")
        for name in names:
            t.equal(other.call("PUBLISH", name, "m"), 1, "one receiver")
            t.equal(client.read(), [b"pmessage", b"c*", as_bytes(name), b"m"], "its message")
        client.call("PUNSUBSCRIBE")
        subscribed(client, "__keyevent@0__:set", *("__keyspace@0__:" + name for name in names))
        for name in names:
            other.call("SET", name, "v")
            got = sorted([client.read(), client.read()])
            t.equal(got, [message("__keyevent@0__:set", name), message("__keyspace@0__:" + name, "set")],
                    "the events of a key")
        t.equal(other.call("PUBLISH", "__keyevent@0__:set", "by hand"), 1, "published by hand")
        t.equal(client.read(), message("__keyevent@0__:set", "by hand"), "comes once")
        t.check(nothing_came(client), "nothing else")


def test_resp3(t):
    """With RESP3 everything is a push, anything may be asked meanwhile, and no push breaks a large reply."""
    with Cluster(t) as cluster, cluster.client(timeout=30) as client, cluster.client() as other:
        t.equal(client.call("HELLO", 3)[b"proto"], 3, "HELLO 3")
        with cluster.plain.client() as plain:
            plain.call("HELLO", 3)
            for words in (["SUBSCRIBE", "a", "b"], ["PSUBSCRIBE", "x*"], ["SSUBSCRIBE", "s"], ["PING"], ["PING", "x"],
                          ["GET", "k"], ["UNSUBSCRIBE", "a"], ["UNSUBSCRIBE"], ["UNSUBSCRIBE"], ["PUNSUBSCRIBE"],
                          ["SUNSUBSCRIBE"], ["SUBSCRIBE", "c"]):
                for _ in words[1:] if "SUBSCRIBE" in words[0] and len(words) > 1 else [0]:
                    replies = []
                    for each in (client, plain):
                        if words:
                            each.send(*words)
                        replies.append(each.read())
                    words = []
                    t.equal(replies[0], replies[1], "a reply")
                    t.equal(isinstance(replies[0], Push), isinstance(replies[1], Push), "a push or not")
        client.send("PUBLISH", "c", "to myself")
        got = [client.read(), client.read()]
        t.check(1 in got and Push(message("c", "to myself")) in got, "a message to oneself and its number", got)
        client.send("BLPOP", "list", "0")
        wait_until(lambda: b"flags=b" in b"".join(server.client().call("CLIENT", "LIST") for server in cluster.servers),
                   20, "a wait")
        other.call("PUBLISH", "c", "while waiting")
        t.equal(client.read(), Push(message("c", "while waiting")), "a message while waiting")
        other.call("RPUSH", "list", "v")
        t.equal(client.read(), [b"list", b"v"], "the end of the wait")
        value = os.urandom(20_000_000)
        other.call("SET", "large", value)
        client.send("GET", "large")
        client.send("GET", "large")
        for number in range(200):
            other.call("PUBLISH", "c", number)
        other.call("PUBLISH", "c", "x" * 100_000)
        pushes, replies = [], []
        while len(pushes) < 201 or len(replies) < 2:
            got = client.read()
            (pushes if isinstance(got, Push) else replies).append(got)
        t.check(replies == [value, value], "large replies are whole")
        t.equal([words[2] for words in pushes[:200]], [b"%d" % number for number in range(200)], "pushes in order")
        t.equal(client.call("RESET"), "RESET", "RESET")
        t.equal(other.call("PUBLISH", "c", "m"), 0, "ends it")


def receivers_at(server, channel):
    with server.client() as client:
        return client.call("PUBSUB", "NUMSUB", channel)[1]


def test_server_restarts(t):
    """Subscriptions survive their server's death; those at other servers do not notice."""
    with Cluster(t, QUICK) as cluster, cluster.client() as client, cluster.client() as other:
        dying, living = cluster.channel(0), cluster.channel(1)
        subscribed(client, dying, living)
        subscribed(client, "c*", verb="PSUBSCRIBE")
        port = cluster.servers[0].port
        cluster.servers[0].kill()
        t.equal(other.call("PUBLISH", living, "m"), 2, "the others go on")
        t.equal([client.read(), client.read()], [message(living, "m"), [b"pmessage", b"c*", as_bytes(living), b"m"]],
                "their messages")
        with cluster.client() as third:
            t.error(third.call("SUBSCRIBE", living, dying), "ERR server .* is not reachable", "SUBSCRIBE at a dead server")
            t.equal(third.call("SUBSCRIBE", living), [b"subscribe", as_bytes(living), 1], "nothing of it holds")
            t.equal(third.call("PSUBSCRIBE", "c*"), [b"psubscribe", b"c*", 2], "a pattern does without it")
        cluster.servers[0] = RedisServer(port=port)
        wait_until(lambda: receivers_at(cluster.servers[0], dying) == 1, 20, "the subscription to be back")
        cluster.proxy.wait_for_servers()
        wait_until(lambda: other.call("PUBLISH", dying, "back") == 2, 20, "the pattern, too")
        got = client.read()
        while got != message(dying, "back"):
            got = client.read()
        while got != [b"pmessage", b"c*", as_bytes(dying), b"back"]:
            got = client.read()
        t.check(nothing_came(client), "nothing else")


def test_server_hangs(t):
    """A server that stops answering is found out, and subscribed to again when it goes on."""
    with Cluster(t, QUICK) as cluster, cluster.client() as client, cluster.client() as other:
        channel = cluster.channel(0)
        subscribed(client, channel)
        cluster.servers[0].send_signal(signal.SIGSTOP)
        with cluster.client() as third:
            third.send("SUBSCRIBE", channel + "x{" + channel + "}")
            t.error(third.read(), "ERR server .* is not reachable", "SUBSCRIBE at a hung server")
        cluster.proxy.wait_for_log("subscri")
        cluster.servers[0].send_signal(signal.SIGCONT)
        cluster.proxy.wait_for_servers()
        published = []

        def message_came():
            # The server may still count the connection that was given up.
            published.append(b"%d" % len(published))
            other.call("PUBLISH", channel, published[-1])
            return select.select([client.socket], [], [], 0.02)[0]

        wait_until(message_came, 20, "a message")
        client.send("PING", "end")
        got = []
        while not got or got[-1] != [b"pong", b"end"]:
            got.append(client.read())
        numbers = [int(words[2]) for words in got[:-1]]
        t.equal(numbers, sorted(set(numbers)), "nothing came twice")
        wait_until(lambda: receivers_at(cluster.servers[0], channel) == 1, 20, "one connection")


def test_slow_subscriber(t):
    """Who does not take messages is disconnected; the others and the proxy's memory are not concerned."""
    with Cluster(t, {"proxy.client_output_max": "1mb"}) as cluster, cluster.client() as fast, cluster.client() as other:
        channel = cluster.channel(0)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((cluster.proxy.host, cluster.proxy.port))
        slow.sendall(encode("SUBSCRIBE", channel))
        wait_until(lambda: other.call("PUBSUB", "NUMSUB", channel)[1] == 1, 20, "the slow one")
        subscribed(fast, channel)
        text = b"x" * 50_000
        for number in range(400):
            other.call("PUBLISH", channel, text)
            if fast.read() != message(channel, text):
                t.check(False, "message %d" % number)
            if other.call("PUBSUB", "NUMSUB", channel)[1] == 1:
                break
        t.equal(other.call("PUBSUB", "NUMSUB", channel)[1], 1, "the slow one was disconnected")
        t.check(number > 10, "not before its buffer was full", number)
        wait_until(lambda: cluster.proxy.metric("pikaproxy_client_disconnects_total", reason="output_buffer") == 1, 20,
                   "it to be counted")
        slow.close()
        large = os.urandom(5_000_000)
        other.call("PUBLISH", channel, large)
        t.check(fast.read() == message(channel, large), "one message may be larger than the bound")


def test_many(t):
    """1,000 channels of one client, 200 clients of one channel, and hostile names."""
    with Cluster(t) as cluster, cluster.client(timeout=30) as client, cluster.client(timeout=30) as other:
        at_rest = cluster.proxy.metric("pikaproxy_queued_bytes")
        names = ["many%d" % number for number in range(1000)]
        client.send("SUBSCRIBE", *names)
        t.equal([client.read() for _ in names],
                [[b"subscribe", as_bytes(name), number + 1] for number, name in enumerate(names)], "confirmations")
        t.equal(other.call_many([("PUBLISH", name, "m") for name in names]), [1] * len(names), "receivers")
        t.equal(sorted(client.read() for _ in names), sorted(message(name, "m") for name in names), "messages")
        t.equal(len(other.call("PUBSUB", "CHANNELS")), 1000, "PUBSUB CHANNELS")
        wait_until(lambda: cluster.proxy.metric("pikaproxy_subscribed_names", kind="channel") == 1000, 20, "the metric")
        client.send("UNSUBSCRIBE")
        t.equal(sorted(client.read()[1] for _ in names), sorted(map(as_bytes, names)), "ends")
        clients = [cluster.client() for _ in range(200)]
        for each in clients:
            each.send("SUBSCRIBE", "all")
        for each in clients:
            each.read()
        t.equal(other.call("PUBLISH", "all", "m"), 200, "receivers of one channel")
        t.check(all(each.read() == message("all", "m") for each in clients), "each gets it")
        for each in clients:
            each.close()
        huge = os.urandom(2_000_000)
        subscribed(client, huge)
        t.equal(other.call("PUBLISH", huge, huge), 1, "a huge name")
        t.check(client.read() == message(huge, huge), "its message")
        subscribed(client, "*" * 200 + "x", verb="PSUBSCRIBE")
        t.equal(other.call("PUBLISH", "*" * 5000, "m"), 0, "a costly pattern")
        other.call("CONFIG", "SET", "proxy.client_subscriptions_max", "3")
        with cluster.client() as bounded:
            t.error(bounded.call("SUBSCRIBE", "a", "b", "c", "d"), "ERR too many subscriptions", "four at once")
            t.equal(bounded.call("PSUBSCRIBE", "a"), [b"psubscribe", b"a", 1], "nothing of it holds")
            subscribed(bounded, "a", "b")
            t.error(bounded.call("SSUBSCRIBE", "c"), "ERR too many subscriptions", "a fourth one")
            bounded.call("UNSUBSCRIBE", "b")
            t.equal(bounded.call("SSUBSCRIBE", "c"), [b"ssubscribe", b"c", 1], "in the place of another")
        other.call("CONFIG", "SET", "proxy.client_subscriptions_max", "2000")
        client.send("SUBSCRIBE", *["gone%d" % number for number in range(1000)])
        client.close()
        wait_until(lambda: other.call("PUBSUB", "CHANNELS") == [] and all(
            server.client().call("PUBSUB", "CHANNELS") == [] for server in cluster.servers), 20, "nothing to be left")
        wait_until(lambda: cluster.proxy.metric("pikaproxy_queued_bytes") <= at_rest, 20, "no memory to be left")


def test_like_redis(t):
    """Random requests and messages: three clients get from the proxy what they would from a redis-server."""
    rng = t.rng()
    names = [b"a", b"ab", b"abc", b"b", b"{a}x", b"*", b"\r\n"]
    patterns = [b"a*", b"*b", b"?", b"[a-b]c", b"{a}*", b"\\*", b"\r*"]
    with Cluster(t) as cluster:
        ours = [cluster.client() for _ in range(3)]
        theirs = [cluster.plain.client() for _ in range(3)]
        publishers = cluster.client(), cluster.plain.client()
        for step in range(600):
            who = rng.randrange(3)
            pair = ours[who], theirs[who]
            verb = rng.choice(("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE",
                               "PUBLISH", "PUBLISH", "SPUBLISH", "ALL", "RESET"))
            if verb in ("PUBLISH", "SPUBLISH"):
                words = [verb, rng.choice(names), b"message %d" % step]
                receivers = [publisher.call(*words) for publisher in publishers]
                t.equal(receivers[0], receivers[1], "receivers of %r" % words)
                for mine, other in zip(ours, theirs):
                    expected = read_until_pong(other)
                    t.equal(sorted(mine.read() for _ in expected), sorted(expected), "messages of %r" % words)
                continue
            if verb == "ALL":
                words = [rng.choice(("UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"))]
            elif verb == "RESET":
                words = [verb] if rng.random() < 0.2 else ["NOSUCH"]
            else:
                words = [verb] + rng.choices(patterns if verb[0] == "P" else names[:1] if verb[0] == "S" and
                                             verb[1] in "SU" and verb != "SUBSCRIBE" else names, k=rng.randint(1, 3))
            replies = []
            for client in pair:
                client.send(*words)
                replies.append(read_until_pong(client))
            if verb == "ALL":  # In any order.
                for reply in replies:
                    reply.sort(key=lambda words: words[1] or b"")
                    reply[:] = [words[:2] for words in reply]
            if not t.equal(replies[0], replies[1], "step %d: %r" % (step, words)):
                break


def read_until_pong(client):
    """What there is to read before the answer to a PING."""
    client.send("PING", "the end")
    got = []
    while not got or got[-1] not in ([b"pong", b"the end"], b"the end"):
        got.append(client.read())
    return got[:-1]


def test_libraries(t):
    """redis-py's own idea of a subscriber, also when its server dies."""
    with Cluster(t, QUICK) as cluster:
        connection = redis.Redis(port=cluster.proxy.port)
        subscriber = connection.pubsub(ignore_subscribe_messages=True)
        seen = []
        names = [cluster.channel(group) for group in range(3)]
        subscriber.subscribe(**{name: lambda message: seen.append(message["data"]) for name in names})
        subscriber.psubscribe(**{"c*": lambda message: seen.append(message["pattern"])})
        thread = subscriber.run_in_thread(sleep_time=0.01, daemon=True)
        wait_until(lambda: connection.pubsub_numpat() == 1, 20, "the pattern")
        for name in names:
            t.equal(connection.publish(name, "m"), 2, "receivers")
        wait_until(lambda: sorted(seen) == sorted([b"m", b"c*"] * 3), 20, "all messages: %r" % seen)
        t.equal(connection.pubsub_numsub(*names), [(as_bytes(name), 1) for name in names], "pubsub_numsub()")
        t.equal(sorted(connection.pubsub_channels()), sorted(map(as_bytes, names)), "pubsub_channels()")
        thread.stop()
        thread.join(20)
        subscriber.close()
        wait_until(lambda: connection.pubsub_channels() == [], 20, "its end")
        connection.close()


def test_strange_servers(t):
    """What servers may say instead of a confirmation, and messages in pieces."""
    server = FakeServer()
    confirmation = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    text = os.urandom(300)
    pieces = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$300\r\n" + text + b"\r\n"

    def behave(answer):
        def answered(connection, args):
            if args[0].lower() != b"subscribe":
                return server.healthy(args)
            answer(connection)
        server.behave = answered

    with PikaProxy(t.pikaproxy, [server], {"proxy.workers": 1, **QUICK}) as proxy:
        behave(lambda connection: connection.send(b"-NOPERM not for this user\r\n"))
        with proxy.client() as client:
            t.error(client.call("SUBSCRIBE", "c"), "NOPERM not for this user", "refused")
            t.error(client.call("SUBSCRIBE", "c"), "NOPERM not for this user", "again")
            for answer in (b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", b"*3\r\n:1\r\n:1\r\n:1\r\n", b"garbage\r\n",
                           confirmation.replace(b"subscribe", b"something"), b"*-1\r\n", b"*1\r\n*1\r\n*0\r\n"):
                behave(lambda connection: connection.send(answer))
                t.error(client.call("SUBSCRIBE", "c"), "ERR server .* is not reachable", "%r" % answer)
            behave(lambda connection: connection.close())
            t.error(client.call("SUBSCRIBE", "c"), "ERR server .* is not reachable", "closed")
            behave(lambda connection: None)
            t.error(client.call("SUBSCRIBE", "c"), "ERR server .* is not reachable", "no answer")

            def in_pieces(connection):
                connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.send(pieces)  # Not asked for yet.
                connection.send(pieces.replace(b"c\r\n", b"d\r\n"))
                for byte in confirmation + pieces:
                    connection.send(bytes([byte]))
                connection.send(pieces + pieces[:100])
                connection.send(pieces[100:])

            behave(in_pieces)
            wait_until(lambda: client.call("SUBSCRIBE", "c") == [b"subscribe", b"c", 1], 20, "the server to be back")
            t.check([client.read() for _ in range(3)] == [message("c", text)] * 3, "messages in pieces")
        wait_until(lambda: proxy.metric("pikaproxy_messages_received_total") == 5, 20, "messages, wanted or not")
        wait_until(lambda: proxy.metric("pikaproxy_messages_delivered_total") == 3, 20, "those that somebody wanted")
    server.stop()


def test_reload(t):
    """Slots that the configuration file gives to another group take their subscriptions along."""
    with Cluster(t, servers=2) as cluster, cluster.client() as client, cluster.client() as other:
        channel = cluster.channel(0)
        subscribed(client, channel)
        first, second = cluster.servers
        cluster.proxy.groups[:] = [{"name": "g0", "server": first.address, "slots": "512-1023"},
                                   {"name": "g1", "server": second.address, "slots": "0-511"}]
        cluster.proxy.reload()
        wait_until(lambda: receivers_at(second, channel) == 1 and receivers_at(first, channel) == 0, 20,
                   "the subscription to have moved")
        wait_until(lambda: other.call("PUBLISH", channel, "m") == 1, 20, "publishers to have moved")
        t.equal(client.read(), message(channel, "m"), "the message")
        t.check(nothing_came(client), "once")


def test_churn(t):
    """Clients come, subscribe, publish, leave and die at random; each that stays gets each message once."""
    rng = t.rng()
    with Cluster(t) as cluster:
        failures = []

        def work(number, seed):
            rng = random.Random(seed)
            own = "own%d" % number
            with cluster.client() as publisher:
                for round in range(60):
                    client = cluster.client()
                    names = rng.sample(["s1", "s2", "s3", "s4"], rng.randint(1, 3)) + [own]
                    client.send("SUBSCRIBE", *names)
                    for _ in names:
                        while client.read()[0] != b"subscribe":
                            pass
                    text = "%d-%d" % (number, round)
                    receivers = publisher.call("PUBLISH", own, text)
                    publisher.call("PUBLISH", rng.choice(names), "noise")
                    while True:
                        got = client.read()
                        if got[1] == as_bytes(own):
                            break
                    if got != message(own, text) and got[2] != b"noise":
                        failures.append((got, text))
                    if receivers < 1:
                        failures.append("%s receivers of %s" % (receivers, own))
                    if rng.random() < 0.5:
                        client.send("UNSUBSCRIBE", own)
                    client.close()

        threads = [threading.Thread(target=work, args=(number, rng.random())) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        t.equal(failures, [], "all rounds")
        with cluster.client() as other:
            wait_until(lambda: other.call("PUBSUB", "CHANNELS") == [] and all(
                server.client().call("PUBSUB", "CHANNELS") == [] for server in cluster.servers), 20, "nothing to be left")


class Moving:
    """Two groups under the dashboard, all slots with the first one; move() takes slots to the other group."""

    def __init__(self, t, options=None):
        self.servers = [RedisServer(), RedisServer()]
        self.proxy = PikaProxy(t.pikaproxy, [], {"proxy.workers": 2, **(options or {})})
        password = os.path.join(self.proxy.directory, "pikaproxy-data", "admin-password")
        wait_until(lambda: os.path.exists(password) and open(password).read().strip(), 20, "the first password")
        self.api = AdminApi("http://127.0.0.1:%d" % self.proxy.admin_port)
        self.api.log_in("admin", open(password).read().strip())
        self.groups = [self.api.add_group([server.address]) for server in self.servers]
        self.api.assign(0, 1023, self.groups[0])
        self.at = 0

    def move(self, first, last):
        self.at = 1 - self.at
        self.api.await_migration(self.api.migrate(first, last, self.groups[self.at]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.proxy, *self.servers):
            process.stop()


def test_slots_move(t):
    """While their slots go back and forth under constant publishing, subscribers of both workers get each message
    exactly once and in order."""
    moves = 6
    with Moving(t) as cluster:
        channels = ["m%d" % number for number in range(8)]
        sharded = channels[6:]
        ended = threading.Event()
        published = {channel: 0 for channel in channels}
        got = [{channel: [] for channel in channels} for _ in range(4)]
        by_pattern = {channel: [] for channel in channels[:6]}
        wrong = []

        def publish(mine):
            with cluster.proxy.client(timeout=30) as client:
                while not ended.is_set():
                    for channel in mine:
                        is_sharded = channel in sharded
                        reply = client.call("SPUBLISH" if is_sharded else "PUBLISH", channel, published[channel])
                        if reply != (4 if is_sharded else 5):
                            wrong.append((channel, published[channel], reply))
                        published[channel] += 1

        def listen(client, lists):
            ends = 0
            while ends < len(lists):
                words = client.read()
                if words[-1] == b"end":
                    ends += 1
                    continue
                lists[words[-2].decode()].append(int(words[-1]))

        clients = [cluster.proxy.client(timeout=60) for _ in range(5)]
        for client in clients[:4]:
            subscribed(client, *channels[:6])
            for channel in sharded:
                subscribed(client, channel, verb="SSUBSCRIBE")
        subscribed(clients[4], "m*", verb="PSUBSCRIBE")
        listeners = [threading.Thread(target=listen, args=pair) for pair in zip(clients, got + [by_pattern])]
        publishers = [threading.Thread(target=publish, args=(channels[number::2],)) for number in range(2)]
        for thread in listeners + publishers:
            thread.start()
        for _ in range(moves):
            cluster.move(0, 1023)
        ended.set()
        for thread in publishers:
            thread.join(60)
        with cluster.proxy.client() as client:
            for channel in channels:
                client.call("SPUBLISH" if channel in sharded else "PUBLISH", channel, "end")
        for thread in listeners:
            thread.join(60)
        for name, lists in [("client %d" % number, each) for number, each in enumerate(got)] + [("pattern", by_pattern)]:
            for channel in lists:
                expected = list(range(published[channel]))
                mine = lists[channel]
                t.check(len(set(mine)) == len(mine), "no duplicate: %s, %s" % (name, channel))
                t.check(mine == expected, "no loss: %s, %s" % (name, channel),
                        "%d of %d" % (len(mine), len(expected)), sorted(set(expected) - set(mine))[:20])
        t.equal(wrong[:5], [], "PUBLISH always tells the number of clients")
        t.note("%d messages during %d moves of all slots" % (sum(published.values()), moves))
        wait_until(lambda: all(server.client().call("PUBSUB", "CHANNELS") +
                               server.client().call("PUBSUB", "SHARDCHANNELS") == []
                               for number, server in enumerate(cluster.servers) if number != cluster.at), 20,
                   "nothing to be subscribed to where no slot is")
        for client in clients:
            client.close()


def test_promotion(t):
    """When a replica becomes the master under constant publishing nothing comes twice, and soon everything again."""
    with Moving(t) as cluster, RedisServer() as replica:
        master = cluster.servers[0]
        cluster.api.post("/groups/%s/servers" % cluster.groups[0], {"addr": replica.address}, versioned=True)
        wait_until(lambda: '"lag_bytes": 0' in json.dumps(cluster.api.get("/groups/%s" % cluster.groups[0])), 60,
                   "the replica to be in step")
        ended = threading.Event()
        got = []
        published = []

        def publish():
            with cluster.proxy.client(timeout=30) as client:
                while not ended.is_set():
                    client.call("PUBLISH", "c", len(published))
                    published.append(len(published))

        with cluster.proxy.client(timeout=30) as client, cluster.proxy.client() as other:
            subscribed(client, "c")
            publisher = threading.Thread(target=publish)
            publisher.start()
            begun = cluster.api.post("/groups/%s/promote" % cluster.groups[0],
                                     {"server": replica.address, "mode": "graceful", "expected_master": master.address})
            wait_until(lambda: cluster.api.get("/groups/%s/promotions/%s" % (cluster.groups[0], begun["id"]))["state"]
                       == "succeeded", 60, "the promotion")
            wait_until(lambda: receivers_at(replica, "c") == 1, 20, "the subscription at the new master")
            ended.set()
            publisher.join(60)
            t.equal(other.call("PUBLISH", "c", "end"), 1, "it is subscribed to")
            words = client.read()
            while words != message("c", "end"):
                got.append(int(words[2]))
                words = client.read()
            t.check(got == sorted(set(got)), "nothing came twice, all in order")
            t.note("%d of %d messages lost" % (len(published) - len(got), len(published)))


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
