#!/usr/bin/python3
"""MONITOR shows what all workers are asked, as Redis writes it, and neither passwords nor too much."""

import re
import sys
import time

from checks import run_tests
from servers import PikaProxy, RedisServer

LINE = re.compile(r"(\d+\.\d{6}) \[(\d+) (\S+)\] (.*)", re.S)


def quoted(line):
    """What stands behind the client's address."""
    match = LINE.fullmatch(line)
    return match.group(4) if match else line


def test_as_redis(t):
    requests = [["SET", "a", "1"], ["set", "b", b"\x00\xff\"\\\r\n\t\a\b x"], ["GET", "a"], ["SELECT", "1"], ["GET", "a"],
                ["SELECT", "0"], ["MGET", "a", "b"], ["PING"], ["NOSUCH", "x"], ["GET"], ["ECHO", ""], ["MULTI"], ["INCR", "n"],
                ["EXEC"], ["CONFIG", "GET", "port"], ["DEL", "a", "b", "n"]]
    with RedisServer() as server, RedisServer() as plain, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 2}) as proxy:
        seen = []
        for side in (proxy, plain):
            with side.client() as watcher, side.client() as client:
                t.equal(watcher.call("MONITOR"), "OK", "MONITOR")
                for request in requests:
                    client.call(*request)
                client.call("ECHO", "the end")
                lines = []
                while not lines or lines[-1] != '"ECHO" "the end"':
                    line = watcher.read()
                    t.check(LINE.fullmatch(line), "has the form of a line", line)
                    t.check(abs(float(line.split()[0]) - time.time()) < 60, "and the time")
                    lines.append(quoted(line))
                    if side is proxy and lines[-1] == '"PING"':
                        t.equal(LINE.fullmatch(line).group(3), "%s:%d" % client.socket.getsockname(), "and the client")
                seen.append(lines)
        # Redis shows what a transaction does at EXEC, too.
        expected = [line for line in seen[1]]
        t.equal(seen[0], expected, "the same lines as Redis'")


def test_all_workers(t):
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 4}) as proxy:
        watchers = [proxy.client() for _ in range(3)]
        clients = [proxy.client() for _ in range(8)]
        for watcher in watchers:
            t.equal(watcher.call("MONITOR"), "OK", "MONITOR")
        for number, client in enumerate(clients):
            client.call("SET", "key%d" % number, number)
        for watcher in watchers:
            got = sorted(quoted(watcher.read()) for _ in clients)
            t.equal(got, ['"SET" "key%d" "%d"' % (number, number) for number in range(8)], "each request once")
        with proxy.client() as client:
            t.check(client.call("CLIENT", "LIST").count(b" flags=O ") == 3, "CLIENT LIST shows who watches")
            t.equal(watchers[0].call("RESET"), "RESET", "RESET ends it")
            client.call("SET", "x", 1)
            t.equal(watchers[0].call("ECHO", "nothing"), b"nothing", "and nothing more comes")
            watchers[1].close()
            t.equal(quoted(watchers[2].read()), '"RESET"', "the others watch on")
            t.equal(quoted(watchers[2].read()), '"SET" "x" "1"', "the others watch on")
        for client in (*clients, *watchers):
            client.close()


def test_secrets(t):
    users = [{"name": "boss", "password": "bosspass", "admin": True}, {"name": "joe", "password": "joepass"}]
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"auth.password": "first"}, users=users) as proxy, \
            proxy.client() as watcher, proxy.client() as client:
        t.error(watcher.call("MONITOR"), "NOAUTH ", "not without a login")
        watcher.call("AUTH", "joe", "joepass")
        t.error(watcher.call("MONITOR"), "NOPERM ", "nor for everybody")
        watcher.call("AUTH", "boss", "bosspass")
        watcher.call("MONITOR")
        client.call("AUTH", "boss", "bosspass")
        client.call("AUTH", "first")
        client.call("AUTH", "boss", "wrongpass")
        client.call("HELLO", "2", "AUTH", "boss", "bosspass", "SETNAME", "n")
        client.call("CONFIG", "SET", "auth.password", "secondpass")
        client.call("MIGRATE", "127.0.0.1", "1", "k", "0", "1", "AUTH", "migratepass")
        client.call("SET", "long", "x" * 100_000)
        client.call("ECHO", "the end")
        lines = []
        while not lines or "the end" not in lines[-1]:
            lines.append(quoted(watcher.read()))
        t.equal(lines, ['"AUTH" "(redacted)" "(redacted)"', '"AUTH" "(redacted)"', '"AUTH" "(redacted)" "(redacted)"',
                        '"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "n"',
                        '"SET" "long" "%s... (98976 more bytes)"' % ("x" * 1024), '"ECHO" "the end"'],
                "no secret, nothing too long")


def test_who_does_not_read(t):
    """A watcher that reads nothing costs bounded memory and is told how much it has missed."""
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 2}) as proxy, \
            proxy.client(timeout=60) as watcher, proxy.client(timeout=60) as client:
        watcher.call("MONITOR")
        value = "v" * 1000
        for _ in range(150):
            client.call_many([["SET", "k", value]] * 100)
        t.check(client.call("PING") == "PONG", "others go on")
        t.check(proxy.metric("pikaproxy_queued_bytes") < 8 << 20, "memory is bounded", proxy.metric("pikaproxy_queued_bytes"))
        # The number is told with the next lines after it, so there must be some.
        asked = 15_001
        shown = missed = 0
        line = ""
        while line != '"ECHO" "the end"':
            line = quoted(watcher.read())
            match = re.fullmatch(r'"MONITOR" "dropped" "(\d+)"', line)
            shown += not match
            if match and not missed:
                client.call("ECHO", "the end")
                asked += 1
            elif not missed and shown % 100 == 0:
                client.call("TIME")
                asked += 1
            missed += int(match.group(1)) if match else 0
        t.equal(shown + missed, asked, "every request is shown or counted")
        t.check(missed > 0 and shown > 0, "some were missed", shown, missed)


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
