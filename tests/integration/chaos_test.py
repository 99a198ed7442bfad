#!/usr/bin/env python3
"""Clients check every reply while servers hang, lose their connections and scripts, settings and topology are
reloaded, and other clients come, go, are killed or send nonsense.

Each key has one writer, which knows what it may read: the last value acknowledged or read, or one that was sent and
whose outcome is unknown. Such a request may be executed late: it can lie in the buffer of a server that hangs, while
the proxy has given the connection up. But not after a later request for the key over the same client connection has
been answered: the proxy has killed the connection that it gave up before that request was sent. (Another client
connection may belong to another worker, which has connections to servers of its own.) Everything else is a lost write,
an old value or somebody else's reply.

    chaos_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]
"""

import hashlib
import random
import signal
import socket
import sys
import threading
import time

from checks import Background, run_tests
from resp import RespError, encode
from servers import PikaProxy, RedisServer, wait_until

SECONDS = 25
GROUPS = 3
WRITERS = 8
KEYS_EACH = 12
SCRIPT = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"
SHA = hashlib.sha1(SCRIPT.encode()).hexdigest()
# What a request may be told while things fail.
EXPECTED_ERRORS = ("ERR server ", "OOM ", "NOSCRIPT ")


class WrongReply(Exception):
    pass


def short(value):
    return "nothing" if value is None else value[:value.find(b":")].decode("ascii", "replace")


class Writer:
    """One client after another, with keys of its own in all groups."""

    def __init__(self, proxy, number, rng, stop):
        self.proxy = proxy
        self.rng = rng
        self.stop = stop
        self.keys = ["w%d:%d" % (number, key) for key in range(KEYS_EACH)]
        self.known = dict.fromkeys(self.keys)
        # What may become the value, with the number of the client connection that it was sent over.
        self.unknown = {key: {} for key in self.keys}
        self.counter = 0
        self.requests = self.errors = self.connections = 0

    def run(self):
        while not self.stop.is_set():
            try:
                with self.proxy.client(timeout=30) as client:
                    self.connections += 1
                    for _ in range(self.rng.choice((1, 5, 50))):
                        self.pipeline(client)
                        if self.stop.is_set():
                            break
            except ConnectionError:
                pass  # Killed, or it left: what is unanswered is noted as unknown.
        return self

    def pipeline(self, client):
        """Some requests at once, then their replies."""
        steps = [self.step() for _ in range(self.rng.choice((1, 1, 3, 20, 100)))]
        unread = list(reversed(steps))
        try:
            client.send_bytes(b"".join(request for request, _, _ in steps))
            if self.rng.random() < 0.02:
                self.leave(client)
            while unread:
                # Not before its turn: what comes later in the pipeline may not be seen earlier.
                self.note_unknown(unread[-1])
                self.read_reply(client.read(), *unread.pop())
        finally:
            for step in unread:
                self.note_unknown(step)

    @staticmethod
    def leave(client):
        try:
            client.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It was killed before.

    def note_unknown(self, step):
        for key, value in step[1].items():
            self.unknown[key][value] = self.connections

    def read_reply(self, reply, request, writes, reads):
        self.requests += 1
        if isinstance(reply, RespError):
            self.errors += 1
            if not reply.startswith(EXPECTED_ERRORS):
                raise WrongReply("%r to %r" % (reply, request[:200]))
            return
        for key, value in writes.items():
            self.is_now(key, value)
        self.check(request, reads, reply)

    def is_now(self, key, value):
        self.known[key] = value
        # Later requests of a pipeline are not among the unknown yet.
        self.unknown[key] = {one: connection for one, connection in self.unknown[key].items()
                             if connection != self.connections and one != value}

    def may_be(self, key, value):
        return value == self.known[key] or value in self.unknown[key]

    def check(self, request, reads, reply):
        if reads is None:
            if reply != "OK":
                raise WrongReply("%r to %r" % (reply, request[:200]))
            return
        values = reply if len(reads) > 1 else [reply]
        if not isinstance(values, list) or len(values) != len(reads):
            raise WrongReply("%r to %r" % (reply, request[:200]))
        for key, value in zip(reads, values):
            if not self.may_be(key, value):
                raise WrongReply("%s is %s, but was %s, and of unknown outcome are %s (%r)" % (
                    key, short(value), short(self.known[key]), sorted(map(short, self.unknown[key])), request[:200]))
            self.is_now(key, value)

    def step(self):
        """(request, what it writes, the keys that its reply tells of or None for OK)."""
        rng = self.rng
        key = rng.choice(self.keys)
        kind = rng.randrange(10)
        if kind < 3:
            value = self.value()
            return encode("SET", key, value), {key: value}, None
        if kind < 6:
            return encode("GET", key), {}, [key]
        if kind == 6:
            keys = rng.sample(self.keys, rng.randrange(2, KEYS_EACH))
            return encode("MGET", *keys), {}, keys
        if kind == 7:
            keys = rng.sample(self.keys, rng.randrange(2, KEYS_EACH))
            values = {one: self.value() for one in keys}
            return encode("MSET", *(word for pair in values.items() for word in pair)), values, None
        value = self.value()
        if kind == 8:
            return encode("EVALSHA", SHA, 1, key, value), {key: value}, [key]
        return encode("EVAL", SCRIPT, 1, key, value), {key: value}, [key]

    def value(self):
        self.counter += 1
        return b"%d:" % self.counter + b"x" * self.rng.choice((0, 10, 10, 300, 5000, 40_000, 150_000))


class Trouble:
    """One misfortune after the other, each undone after a while."""

    def __init__(self, proxy, servers, rng, stop):
        self.proxy = proxy
        self.servers = servers
        self.rng = rng
        self.stop = stop
        self.groups = list(proxy.groups)
        self.did = {}

    def run(self):
        kinds = [self.hang, self.hang_for_long, self.drop_connections, self.lose_scripts, self.reload, self.settings,
                 self.kill_clients, self.nonsense, self.leave_early]
        while not self.stop.is_set():
            kind = self.rng.choice(kinds)
            kind()
            self.did[kind.__name__] = self.did.get(kind.__name__, 0) + 1
            self.stop.wait(self.rng.uniform(0, 0.2))
        return self.did

    def hang(self, seconds=0.2):
        server = self.rng.choice(self.servers)
        server.send_signal(signal.SIGSTOP)
        self.stop.wait(seconds)
        server.send_signal(signal.SIGCONT)

    def hang_for_long(self):
        self.hang(1.2)  # Above backend.request_timeout.

    def drop_connections(self):
        with self.rng.choice(self.servers).client(timeout=20) as direct:
            direct.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def lose_scripts(self):
        with self.rng.choice(self.servers).client(timeout=20) as direct:
            direct.call("SCRIPT", "FLUSH")

    def reload(self):
        self.rng.shuffle(self.groups)
        self.proxy.groups = list(self.groups)
        self.proxy.options["slowlog.max_len"] = self.rng.randrange(1, 200)
        self.proxy.reload()

    def settings(self):
        with self.proxy.client(timeout=20) as client:
            client.call("CONFIG", "SET", "proxy.client_pipeline_max", self.rng.choice((1, 16, 4096)),
                        "slowlog-log-slower-than", self.rng.choice((-1, 0, 1000)))
            for words in (["INFO", "everything"], ["CLIENT", "LIST"], ["SLOWLOG", "GET", -1], ["CONFIG", "GET", "*"]):
                client.call(*words)
        self.proxy.http("/metrics")
        self.proxy.http("/readyz")

    def kill_clients(self):
        with self.proxy.client(timeout=20) as client:
            lines = client.call("CLIENT", "LIST").decode().splitlines()
            for line in self.rng.sample(lines, min(3, len(lines))):
                client.call("CLIENT", "KILL", "ID", line.split(" ")[0][3:])

    def nonsense(self):
        for _ in range(10):
            with self.proxy.client(timeout=20) as client:
                raw = self.rng.choice((self.rng.randbytes(300), encode("GET", "nobody's")[:-3] + b"xx\r\n",
                                       b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9999999\r\nabc", b"*1\r\n$4\r\nPI", b"\r\n\r\n",
                                       b"POST / HTTP/1.1\r\n\r\n"))
                client.send_bytes(raw)
                if self.rng.random() < 0.5:
                    Writer.leave(client)

    def leave_early(self):
        """Many requests, and nobody there for the replies."""
        clients = [self.proxy.client(timeout=20) for _ in range(5)]
        for client in clients:
            try:
                client.send_bytes(encode("GET", "w0:0") * 200 + encode("MGET", "w0:0", "w1:1", "w2:2") * 50 +
                                  encode("CLIENT", "LIST") + encode("EVALSHA", SHA, 1, "nobody's", 1) * 20)
            except OSError:
                pass  # Killed by kill_clients.
        for client in clients:
            client.close()


def test_chaos(t):
    rng = t.rng()
    servers = []
    try:
        for _ in range(GROUPS):
            servers.append(RedisServer())
        groups = [{"name": "g%d" % number, "server": server.address,
                   "slots": "%d-%d" % (number * 1024 // GROUPS, (number + 1) * 1024 // GROUPS - 1)}
                  for number, server in enumerate(servers)]
        with PikaProxy(t.pikaproxy, groups,
                       {"backend.request_timeout": "700ms", "backend.reconnect_max": "100ms"}) as proxy:
            proxy.wait_for_servers()
            with proxy.client() as client:
                client.call("SCRIPT", "LOAD", SCRIPT)
            stop = threading.Event()
            writers = [Writer(proxy, number, random.Random(rng.getrandbits(32)), stop) for number in range(WRITERS)]
            running = [Background(writer.run) for writer in writers]
            trouble = Background(Trouble(proxy, servers, random.Random(rng.getrandbits(32)), stop).run)
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline and all(one.is_running() for one in running + [trouble]):
                time.sleep(0.1)
            stop.set()
            t.note("troubles: %r" % trouble.result())
            for one in running:
                try:
                    one.result()
                    t.check(True, "each reply was one that may be")
                except WrongReply as wrong:
                    t.check(False, "each reply is one that may be", wrong)
            t.note("%d requests, %d errors, %d connections" % (
                sum(w.requests for w in writers), sum(w.errors for w in writers), sum(w.connections for w in writers)))
            t.check(proxy.is_running(), "the proxy lives", proxy.log()[-2000:])
            for server in servers:
                server.send_signal(signal.SIGCONT)
            with proxy.client() as client:
                wait_until(lambda: isinstance(client.call("DBSIZE"), int), 20, "all groups to be well")
                for writer in writers:
                    for key in writer.keys:
                        value = client.call("GET", key)
                        t.check(writer.may_be(key, value), "the last value of %s" % key, short(value),
                                short(writer.known[key]), sorted(map(short, writer.unknown[key])))
            wait_until(lambda: proxy.metric("pikaproxy_client_connections") == 0, 10, "no client to be left")
            for number in range(GROUPS):
                wait_until(lambda: proxy.metric("pikaproxy_backend_inflight_requests", group="g%d" % number) == 0, 10,
                           "nothing to be left in flight")
            wait_until(lambda: proxy.metric("pikaproxy_queued_bytes") == 0, 10, "nothing to be left queued")
            t.check(True, "all gauges are back at 0")
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
