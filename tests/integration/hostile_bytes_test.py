#!/usr/bin/env python3
"""Clients and servers that send whatever they like: nobody else notices, and nothing of them stays behind.

    hostile_bytes_test.py --pikaproxy build/dev/pikaproxy [--seed N] [names of tests]

The clients speak valid pipelines of every kind of command, damaged, cut off at any byte, sent slowly or never read;
the server answers with replies of any shape. Meanwhile well-behaved clients check each of their answers.
"""

import os
import re
import socket
import struct
import sys
import threading

from checks import keys_of_group, read_raw, run_tests
from fake_server import FakeServer
from resp import encode
from servers import PikaProxy, RedisServer, wait_until

ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "120"))  # Connections of each hostile client.
HOSTILE_CLIENTS = 4
IDLE_CLIENTS = 200
READS_MAX = 50
SERVER_ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "120"))
ANSWER_S = 20  # A well-behaved client that waits for longer was forgotten.
OPTIONS = {"proxy.workers": 2, "backend.request_timeout": "2s", "backend.connect_timeout": "2s",
           "backend.reconnect_max": "50ms"}
QUEUED_MAX = 4 << 20  # What idle workers keep for the next request.
MARKED = b"\r\n*$+-:%>~_#,(!=|0123456789 \"'\0\xff"
KEYS = [key for group in range(2) for key in keys_of_group(group, 2, 5, "h")]


class Watcher(threading.Thread):
    """Sets and reads keys of its own over one connection; every answer has to be right."""

    def __init__(self, proxy, number, keys):
        super().__init__()
        self.proxy = proxy
        self.keys = [b"watcher:%d:{%s}" % (number, key.encode()) for key in keys]
        self.ended = threading.Event()
        self.wrong = None
        self.rounds = 0

    def run(self):
        try:
            with self.proxy.client(timeout=ANSWER_S) as client:
                while not self.ended.is_set() and self.wrong is None:
                    self.rounds += 1
                    value = b"%d \r\n$5\r\n" % self.rounds
                    requests = [request for key in self.keys for request in (("SET", key, value), ("GET", key))]
                    requests.append(("MGET", *self.keys))
                    expected = ["OK", value] * len(self.keys) + [[value] * len(self.keys)]
                    replies = client.call_many(requests)
                    if replies != expected:
                        self.wrong = replies
        except Exception as error:  # Whatever it is, the test shows it.
            self.wrong = repr(error)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def requests_of(rng):
    """Some requests of one client, of every kind that a proxy has a way of its own for."""
    key = rng.choice(KEYS)
    same = "{%s}%d" % (key, rng.randrange(3))
    kinds = [
        lambda: [("SET", key, rng.randbytes(rng.choice((0, 1, 30, 5000, 70000))))],
        lambda: [("GET", key), ("GET", rng.choice(KEYS))],
        lambda: [("MGET", *rng.choices(KEYS, k=rng.randint(1, 8)))],
        lambda: [("MSET", *[word for name in rng.choices(KEYS, k=3) for word in (name, "v")])],
        lambda: [("DEL", *rng.choices(KEYS, k=3))],
        lambda: [("MULTI",), ("SET", key, "a"), ("GET", same), (rng.choice(("EXEC", "DISCARD", "MULTI", "QUIT")),)],
        lambda: [("WATCH", key), ("GET", key), ("MULTI",), ("INCR", same), ("EXEC",)],
        lambda: [("BLPOP", same + "list", rng.choice(("0", "0.01", "x")))],
        lambda: [("XREAD", "BLOCK", rng.choice(("0", "5")), "STREAMS", same + "stream", "$")],
        lambda: [("HELLO", rng.choice(("2", "3", "4")))],
        lambda: [("HELLO", "3"), ("CLIENT", "TRACKING", "ON", *rng.choice(((), ("BCAST",)))), ("GET", key)],
        lambda: [("SUBSCRIBE", "channel", key), ("PUBLISH", key, "m"), ("UNSUBSCRIBE",)],
        lambda: [("PSUBSCRIBE", "*"), ("PING",), ("RESET",)],
        lambda: [("MONITOR",)],
        lambda: [("SELECT", str(rng.randrange(4))), ("GET", key)],
        lambda: [("CLIENT", "REPLY", rng.choice(("ON", "OFF", "SKIP"))), ("GET", key)],
        lambda: [("EVAL", "return redis.call('get', KEYS[1])", "1", key)],
        lambda: [("EVALSHA", "0" * 40, "1", key)],
        lambda: [("SCAN", str(rng.choice((0, 1, 1 << 50))), "COUNT", "3")],
        lambda: [("SORT", same, "BY", "nosort", "GET", "#")],
        lambda: [("CLIENT", rng.choice(("LIST", "INFO", "ID", "NO-EVICT", "UNPAUSE", "KILL", "UNBLOCK")))],
        lambda: [("INFO",)],
        lambda: [("COMMAND",)],
        lambda: [("WAIT", "0", "1")],
        lambda: [("OBJECT", "ENCODING", key), ("DUMP", key)],
        lambda: [("PROXY", "EXPLAIN", "GET", key)],
    ]
    return [request for _ in range(rng.randint(1, 5)) for request in rng.choice(kinds)()]


def damage(rng, raw):
    """A few bytes changed, added, left out or repeated, or a length that promises too much."""
    damaged = bytearray(raw)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        at = rng.randrange(len(damaged)) if damaged else 0
        kind = rng.randrange(6)
        if kind == 0 and damaged:
            damaged[at] = rng.choice(MARKED)
        elif kind == 1:
            damaged[at:at] = bytes([rng.choice(MARKED)])
        elif kind == 2:
            del damaged[at:at + rng.randint(1, 4)]
        elif kind == 3:
            damaged[at:at] = damaged[at:at + rng.randint(1, 60)]
        elif kind == 4:
            damaged[at:at] = rng.choice((b"*1048576\r\n", b"*1000000\r\n$1\r\na\r\n", b"$536870912\r\n", b"*-1\r\n",
                                         b"%2\r\n", b">1\r\n", b"=8\r\ntxt:abcd\r\n", b"*1\r\n*1\r\n", b"\r\n"))
        else:
            del damaged[at:]
    return bytes(damaged)


def attack(proxy, rng):
    """One hostile connection."""
    raw = damage(rng, b"".join(encode(*request) for request in requests_of(rng)))
    try:
        connection = socket.create_connection((proxy.host, proxy.port), ANSWER_S)
    except OSError:
        return
    with connection:
        try:
            connection.settimeout(0.02)
            if rng.random() < 0.2 and len(raw) <= 400:
                for at in range(len(raw)):
                    connection.send(raw[at:at + 1])
            else:
                connection.sendall(raw)
            end = rng.randrange(4)
            if end == 0:
                connection.shutdown(socket.SHUT_WR)
            if end <= 1:
                for _ in range(READS_MAX):  # MONITOR never ends.
                    if not connection.recv(65536):
                        break
            elif end == 2:  # A reset instead of an orderly end.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # Closed by the proxy, or silent, as one that waits for an element is.


def attack_often(proxy, rng, rounds):
    for _ in range(rounds):
        attack(proxy, rng)


def check_nothing_stays(t, proxy, what):
    """All that the hostile connections were given has been given back."""
    def left():
        with proxy.client() as client:
            info = client.call("INFO", "clients").decode()
        # This one counts, too.
        return [int(re.search(r"%s:(\d+)" % name, info)[1]) - ours
                for name, ours in (("connected_clients", 1), ("blocked_clients", 0))]
    try:
        wait_until(lambda: left() == [0, 0] and proxy.metric("pikaproxy_queued_bytes") < QUEUED_MAX, ANSWER_S, what)
        t.check(True, what)
    except TimeoutError:
        t.check(False, what, "connected and blocked clients: %r" % left(),
                "queued bytes: %r" % proxy.metric("pikaproxy_queued_bytes"))


def test_clients(t):
    rng = t.rng()
    with RedisServer() as first, RedisServer() as second, PikaProxy(t.pikaproxy, [first, second], OPTIONS) as proxy:
        idle = []
        try:
            for number in range(IDLE_CLIENTS):
                idle.append(socket.create_connection((proxy.host, proxy.port), ANSWER_S))
                idle[-1].sendall((b"", b"*", b"*3\r\n$3\r\nSET\r\n", b"$", b"GE")[number % 5])
            with Watcher(proxy, 1, KEYS) as one, Watcher(proxy, 2, KEYS) as other:
                hostile = [threading.Thread(target=attack_often, args=(proxy, t.rng_of(number), ROUNDS))
                           for number in range(HOSTILE_CLIENTS)]
                for thread in hostile:
                    thread.start()
                for thread in hostile:
                    thread.join()
            for watcher in (one, other):
                t.check(watcher.wrong is None and watcher.rounds > 0, "a client among them has its answers",
                        watcher.wrong)
        finally:
            for connection in idle:
                connection.close()
        check_nothing_stays(t, proxy, "nothing of the hostile clients stays")
        attack(proxy, rng)
        with proxy.client() as client:
            t.equal(client.call("PING"), "PONG", "a new connection afterwards")


def hostile_reply(rng, depth=0):
    """Anything between a right reply and none."""
    size = rng.choice((0, 1, 3, 200, 70000))
    kinds = [
        lambda: b"$%d\r\n%s\r\n" % (size, rng.randbytes(size)),
        lambda: b"+%s\r\n" % (b"x" * size),
        lambda: b"-%s\r\n" % rng.choice((b"ERR", b"NOAUTH Authentication required.", b"LOADING", b"NOSCRIPT x",
                                         b"MOVED 1 127.0.0.1:1", b"", b"x" * size)),
        lambda: b":%d\r\n" % rng.choice((0, -1, 1 << 62)),
        lambda: b":99999999999999999999999999\r\n",
        lambda: b"*-1\r\n",
        lambda: b"$-1\r\n",
        lambda: b"*%d\r\n" % rng.choice((1, 5, 1 << 20, 1 << 31, 1 << 62)),
        lambda: b"*1\r\n" * rng.choice((1, 50, 300)) + b":1\r\n",
        lambda: rng.choice((b">", b"%", b"~", b"|")) + b"%d\r\n" % rng.randrange(4) + b"+a\r\n" * rng.randrange(9),
        lambda: b">2\r\n+invalidate\r\n" + rng.choice((b"_\r\n", b"*1\r\n$2\r\nh0\r\n", b":1\r\n", b"*1\r\n*0\r\n")),
        lambda: b">3\r\n+message\r\n+c\r\n" + b"$1\r\nm\r\n",
        lambda: rng.choice((b"#t\r\n", b"#x\r\n", b",inf\r\n", b",x\r\n", b"(1\r\n", b"_\r\n", b"=4\r\ntxt:\r\n",
                            b"!3\r\nERR\r\n", b"$3\r\nabcde\r\n", b"$3\r\nab\r\n", b"\r\n", b"\r", b"\0")),
        lambda: rng.randbytes(rng.randint(1, 50)),
        lambda: b"+" + b"never ends" * rng.choice((1, 20000)),
        lambda: b"",
    ]
    if depth < 4:
        kinds += [lambda: b"".join(hostile_reply(rng, depth + 1) for _ in range(3)),
                  lambda: b"*3\r\n" + b"".join(hostile_reply(rng, depth + 1) for _ in range(3))]
    return damage(rng, rng.choice(kinds)()) if rng.random() < 0.1 else rng.choice(kinds)()


def ask_hostile(t, proxy, rng, keys):
    """A pipeline for the hostile server. Whatever that says: for each request one reply, until the proxy closes."""
    key = rng.choice(keys)
    requests = [rng.choice((("GET", key), ("SET", key, "v"), ("MGET", *rng.choices(KEYS + keys, k=4)),
                            ("DEL", key, rng.choice(KEYS)), ("HGETALL", key), ("EVALSHA", "0" * 40, "1", key),
                            ("SCAN", "0"), ("DBSIZE",), ("KEYS", "*"), ("XREAD", "STREAMS", key, "0"),
                            ("PUBLISH", key, "m"), ("SCRIPT", "EXISTS", "0" * 40), ("RANDOMKEY",)))
                for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.2:
        requests += [("MULTI",), ("GET", key), ("SET", key, "v"), ("EXEC",)]
    if rng.random() < 0.2:
        requests += [("WATCH", key), ("BLPOP", key, "0.01")]
    if rng.random() < 0.2:
        requests.append(("INFO", "keyspace"))
    if rng.random() < 0.3:
        requests.insert(0, ("HELLO", "3"))
    if rng.random() < 0.1:
        requests.insert(1, ("CLIENT", "TRACKING", "ON"))
    with socket.create_connection((proxy.host, proxy.port), ANSWER_S) as connection:
        connection.sendall(b"".join(encode(*request) for request in requests) + encode("ECHO", "the end"))
        reader = connection.makefile("rb")
        replies = []
        try:
            for _ in range(len(requests) + 1):
                reply = b">"
                while reply[:1] == b">":
                    reply = read_raw(reader)
                replies.append(reply)
        except (ConnectionError, ValueError) as error:
            # A reply of which a part was passed on can only be ended so.
            return t.check("closed" in str(error) or isinstance(error, ConnectionResetError),
                           "well-formed replies", requests, replies[-1:], repr(error))
        return t.check(replies[-1] == b"$7\r\nthe end\r\n", "a reply for each request", requests, replies)


def test_server(t):
    rng, replies = t.rng(), t.rng_of("replies")
    lock = threading.Lock()
    hostile_part = [0.0]

    def behave(connection, args):
        with lock:
            if replies.random() >= hostile_part[0]:
                return fake.healthy(args)
            if replies.random() < 0.1:
                connection.close()
                return None
            return hostile_reply(replies)

    with FakeServer(behave) as fake, RedisServer() as good, \
            PikaProxy(t.pikaproxy, [good, fake], OPTIONS, allowed_errors=[""]) as proxy:
        good_keys = keys_of_group(0, 2, 5, "good")
        bad_keys = keys_of_group(1, 2, 5, "bad")
        with Watcher(proxy, 1, good_keys) as one, Watcher(proxy, 2, good_keys) as other:
            for number in range(SERVER_ROUNDS):
                hostile_part[0] = rng.choice((0.0, 0.05, 0.2, 0.7))
                if not ask_hostile(t, proxy, rng, bad_keys):
                    break
                if number % 25 == 0:
                    fake.close_connections()
        for watcher in (one, other):
            t.check(watcher.wrong is None and watcher.rounds > 0, "clients of the other group have their answers",
                    watcher.wrong)
        hostile_part[0] = 0.0
        fake.close_connections()

        def is_well():
            with proxy.client() as client:
                return client.call_many([("SET", bad_keys[0], "well"), ("GET", bad_keys[0])]) == ["OK", b"well"]
        try:
            wait_until(is_well, ANSWER_S, "the group to work again")
            t.check(True, "the group works once its server is well")
        except TimeoutError as error:
            t.check(False, "the group works once its server is well", error)


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
