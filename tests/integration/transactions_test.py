#!/usr/bin/python3
"""MULTI, EXEC, WATCH and what waits at a server (BLPOP ...) behave as with one Redis, within a slot."""

import itertools
import re
import sys
import threading

from checks import Background, run_tests
from fake_server import FakeServer
from resp import RespError, encode
from servers import PikaProxy, RedisServer, wait_until

# Sent one after the other to the proxy and to a redis-server: the replies are the same.
SEQUENCES = [
    "MULTI|SET {t}a 1|INCR {t}a|LPUSH {t}l x|INCR {t}l|GET {t}a|EXEC|GET {t}a",
    "EXEC|DISCARD|MULTI|EXEC|MULTI|DISCARD|UNWATCH",
    "MULTI|NOSUCH|EXEC|GET {t}a",
    "MULTI|MULTI|SET {t}b 1|EXEC",
    "MULTI|SET x|SET {t}c 1|EXEC|EXISTS {t}c",
    "MULTI|WATCH {t}a|SET {t}d 1|EXEC",
    "MULTI|PING|ECHO hello|EXEC",
    "SET {t}a 1|WATCH {t}a|SET {t}a 2|MULTI|EXEC|WATCH {t}a|MULTI|EXEC|MULTI|EXEC",
    "MULTI|SET {t}a 1|EXEC x|EXEC|EXEC x",
    "WATCH {t}a|SET {t}a 9|EXEC x|MULTI|GET {t}a|EXEC",
    "WATCH {t}a|MULTI|INCR {t}a|EXEC|GET {t}a",
    "WATCH {t}a|SET {t}a 9|MULTI|INCR {t}a|EXEC|GET {t}a",
    "WATCH {t}a|SET {t}a 9|UNWATCH|MULTI|INCR {t}a|EXEC|GET {t}a",
    "WATCH {t}a|SET {t}a 9|MULTI|INCR {t}a|DISCARD|MULTI|INCR {t}a|EXEC",
    "WATCH {t}a {t}b|WATCH {t}c|MULTI|GET {t}a|EXEC",
    "WATCH {t}a|MULTI|EXEC|WATCH {t}a|MULTI|GET|EXEC",
    "MULTI|MGET {t}a {t}b|MSET {t}a 1 {t}b 2|DEL {t}a {t}zz|EXISTS {t}b|EXEC",
    "MULTI|EVAL return{KEYS[1],ARGV[1]} 1 {t}a v|EXEC",
    "MULTI|BLPOP {t}none 0|EXEC|RPUSH {t}q 1 2 3|MULTI|BLPOP {t}q 0|BRPOP {t}q 0|EXEC|LRANGE {t}q 0 -1",
    "SELECT 3|MULTI|SET {t}x 3|GET {t}x|EXEC|SELECT 0|GET {t}x",
    "BLPOP {t}q 0|BLPOP {t}q 0.01|BRPOPLPUSH {t}q {t}r 0.01|BLMOVE {t}q {t}r LEFT RIGHT 0.01",
    "RPUSH {t}m 1 2 3 4|BLMPOP 0 2 {t}none {t}m LEFT COUNT 2|BLMOVE {t}m {t}n LEFT RIGHT 0|LRANGE {t}n 0 -1",
    "ZADD {t}z 1 a 2 b 3 c|BZPOPMIN {t}z 0|BZPOPMAX {t}none {t}z 0|BZMPOP 0 1 {t}z MIN|BZPOPMIN {t}z 0.01",
    "BLPOP {t}q x|BLPOP {t}q -1|BLMPOP x 1 {t}q LEFT|SET {t}a 1|BLPOP {t}a 0|BLPOP",
    "XADD {t}s 1-1 f v|XREAD BLOCK 0 STREAMS {t}s 0|XREAD BLOCK 1 STREAMS {t}s $|XREAD COUNT 1 BLOCK x STREAMS {t}s 0",
    "XGROUP CREATE {t}s g 0|XREADGROUP GROUP g c BLOCK 0 STREAMS {t}s >|XREADGROUP GROUP g c BLOCK 1 STREAMS {t}s >",
]


class Two:
    """Two groups behind the proxy, and a redis-server to compare with."""

    def __init__(self, t, options=None):
        self.plain = RedisServer()
        self.servers = [RedisServer(), RedisServer()]
        self.proxy = PikaProxy(t.pikaproxy, self.servers, options or {"proxy.workers": 2})
        self.client = self.proxy.client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.proxy, self.plain, *self.servers):
            process.stop()


def test_as_redis(t):
    with Two(t) as cluster:
        for pipelined in (False, True):
            for sequence in SEQUENCES:
                requests = [line.split(" ") for line in sequence.split("|")]
                with cluster.client() as ours, cluster.plain.client() as plain:
                    got = []
                    for side in (ours, plain):
                        if pipelined:
                            for request in requests:
                                side.send(*request)
                            got.append([side.read() for _ in requests])
                        else:
                            got.append([side.call(*request) for request in requests])
                    t.equal(got[0], got[1], ("pipelined: " if pipelined else "") + sequence)
            with cluster.client() as ours, cluster.plain.client() as plain:
                ours.call("FLUSHALL")
                plain.call("FLUSHALL")


def test_one_slot(t):
    with Two(t) as cluster, cluster.client() as client:
        client.call("MULTI")
        client.call("SET", "a", "1")
        t.error(client.call("SET", "b", "2"), "CROSSSLOT Keys in request don't hash", "another slot is refused at once")
        t.error(client.call("EXEC"), "EXECABORT ", "and the transaction with it")
        t.equal(client.call("GET", "a"), None, "nothing of it was executed")
        t.error(client.call("WATCH", "a", "b"), "CROSSSLOT ", "WATCH of two slots")
        client.call("WATCH", "a")
        client.call("MULTI")
        t.error(client.call("SET", "b", "2"), "CROSSSLOT ", "a transaction in another slot than the watched keys")
        t.error(client.call("EXEC"), "EXECABORT ", "is refused")
        for words in (["DBSIZE"], ["KEYS", "*"], ["SCAN", "0"], ["SELECT", "1"], ["CLIENT", "ID"], ["FLUSHALL"],
                      ["SCRIPT", "LOAD", "return 1"], ["INFO"]):
            client.call("MULTI")
            t.error(client.call(*words), "ERR '.*' (concerns all groups|is answered by the proxy) and cannot be part",
                    "%s in a transaction" % words[0])
            t.error(client.call("EXEC"), "EXECABORT ", "EXEC after %s" % words[0])


def test_isolation(t):
    """Clients that add up with WATCH lose nothing."""
    clients, rounds = 6, 60
    with Two(t) as cluster:
        done = []

        def add():
            with cluster.client() as client:
                count = 0
                while count < rounds:
                    client.call("WATCH", "{sum}n")
                    value = int(client.call("GET", "{sum}n") or 0)
                    client.call("MULTI")
                    client.call("SET", "{sum}n", value + 1)
                    client.call("RPUSH", "{sum}log", value)
                    if client.call("EXEC") is not None:
                        count += 1
                done.append(count)

        threads = [threading.Thread(target=add) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with cluster.client() as client:
            t.equal(done, [rounds] * clients, "all clients came through")
            t.equal(client.call("GET", "{sum}n"), b"%d" % (clients * rounds), "every addition counts")
            t.equal(client.call("LRANGE", "{sum}log", 0, -1), [b"%d" % i for i in range(clients * rounds)],
                    "each saw the one before")


def test_server_refuses(t):
    """What the server says of a queued request is in the error of EXEC."""
    with RedisServer("--maxmemory", "1mb") as full, PikaProxy(t.pikaproxy, [full]) as proxy, \
            proxy.client() as client:
        client.call("MULTI")
        t.equal(client.call("SET", "k", "v" * 100), "QUEUED", "the proxy queues")
        t.error(client.call("EXEC"), "EXECABORT Transaction discarded because of: OOM ", "EXEC when the server is full")
        t.equal(client.call("ECHO", "on"), b"on", "the connection goes on")


def test_blocking(t):
    with Two(t) as cluster:
        server = cluster.servers
        for index in range(20):
            key = "q%d" % index
            with cluster.client() as waiting, cluster.client() as other:
                waiting.send("BLPOP", key, "{%s}b" % key, "30")
                waiting.send("ECHO", "behind it")
                if index % 2 == 0:  # Once it waits at the server, and once perhaps before.
                    wait_until(lambda: any(b"flags=b" in s.client().call("CLIENT", "LIST") for s in server), 20,
                               "the wait")
                other.call("RPUSH", key, "element")
                t.equal(waiting.read(), [key.encode(), b"element"], "the element arrives")
                t.equal(waiting.read(), b"behind it", "what was sent behind it is answered behind it")
        with cluster.client() as waiting, cluster.client() as other:
            waiting.send("BLPOP", "gone", "0")
            wait_until(lambda: any(b"flags=b" in s.client().call("CLIENT", "LIST") for s in server), 20, "the wait")
            waiting.close()
            wait_until(lambda: not any(b"flags=b" in s.client().call("CLIENT", "LIST") for s in server), 20,
                       "the end of the wait with its client")
            other.call("RPUSH", "gone", "kept")
            t.equal(other.call("LRANGE", "gone", 0, -1), [b"kept"], "nothing is taken for a client that has gone")


def test_who_leaves_with_much_behind_a_wait(t):
    """Its later requests are more than is read while it waits, and its end stands behind them."""
    with Two(t) as cluster, cluster.client() as other:
        with cluster.client() as waiting:
            waiting.send_bytes(encode("BLPOP", "left", "0") + encode("ECHO", "x" * 100) * 700)
            wait_until(lambda: b"blocked_clients:1\r\n" in other.call("INFO", "clients"), 20, "the wait")
        wait_until(lambda: b"blocked_clients:0\r\n" in other.call("INFO", "clients"), 20, "the end of the wait")
        t.equal(other.call("RPUSH", "left", "kept"), 1, "nothing is taken for a client that has gone")


def test_a_group_called_block(t):
    """Names of groups and consumers are no options: the wait may take as long as BLOCK says, not as any request."""
    with Two(t, {"backend.request_timeout": "300ms"}) as cluster, cluster.client() as client:
        client.call("XADD", "s", "1-1", "f", "v")
        for group in ("block", "count", "streams"):
            client.call("XGROUP", "CREATE", "s", group, "$")
            t.equal(client.call("XREADGROUP", "GROUP", group, "block", "COUNT", "1", "BLOCK", "1500", "STREAMS", "s", ">"),
                    None, "group %s: the time is up" % group)


def test_bound(t):
    with Two(t, {"proxy.workers": 1, "backend.dedicated_max": 2}) as cluster:
        clients = [cluster.client() for _ in range(3)]
        for client in clients[:2]:
            client.send("BLPOP", "bound", "0")
        wait_until(lambda: sum(s.client().call("CLIENT", "LIST").count(b"flags=b") for s in cluster.servers) == 2,
                   20, "two waits")
        t.check(b"blocked_clients:2\r\n" in clients[2].call("INFO", "clients"), "INFO counts them")
        t.equal(clients[2].call("CLIENT", "LIST").count(b" flags=b "), 2, "CLIENT LIST shows them")
        t.error(clients[2].call("BLPOP", "bound", "0"), "ERR too many clients wait .*dedicated_max", "a third one")
        t.error(clients[2].call("WATCH", "bound"), "ERR too many clients wait .*dedicated_max", "or a WATCH")
        clients[2].call("RPUSH", "bound", "1", "2")
        t.equal(sorted(client.read()[1] for client in clients[:2]), [b"1", b"2"], "the others get their elements")
        t.equal(clients[2].call("WATCH", "bound"), "OK", "then there is room again")
        t.check(b"blocked_clients:0\r\n" in clients[2].call("INFO", "clients"), "nobody waits any more")
        for client in clients:
            client.close()


def test_much_behind_a_wait(t):
    """What a client sends while it waits is kept, however much, and is answered afterwards."""
    with Two(t) as cluster, cluster.client() as client:
        # The proxy receives in pieces of 64 KiB: their edges, and more.
        for size in (30_000, 65_536 - 70, 65_536, 66_000, 400_000):
            work = Background(client.send_bytes, encode("BLPOP", "none", "0.05") + encode("SET", "a", b"x" * size) * 3 +
                              encode("STRLEN", "a"))
            t.equal([client.read() for _ in range(5)], [None, "OK", "OK", "OK", size], "%d bytes behind BLPOP" % size)
            work.result()


def test_large_results(t):
    """Results that do not fit into what the proxy receives at once."""
    with Two(t) as cluster, cluster.client() as client:
        for size in (60_000, 65_536, 66_000, 300_000, 3_000_000):
            client.call("SET", "{t}big", "x" * size)
            for watched in (False, True):
                if watched:
                    client.call("WATCH", "{t}big")
                replies = client.call_many([["MULTI"], ["GET", "{t}big"], ["STRLEN", "{t}big"], ["GET", "{t}big"],
                                            ["EXEC"]])
                t.check(replies[4] == [b"x" * size, size, b"x" * size], "EXEC with %d bytes, watched: %s" % (size, watched),
                        replies[4])
                t.equal(client.call("ECHO", "next"), b"next", "the next reply")


def is_read(connection):
    """Whether the other side's program has read all that was sent to it over 127.0.0.1."""
    port = connection.socket.getpeername()[1]
    own = connection.socket.getsockname()[1]
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.read().splitlines()[1:]:
            words = line.split()
            if words[1].endswith(":%04X" % port) and words[2].endswith(":%04X" % own):
                return words[4].endswith(":00000000")
    return False


class InPieces:
    """A server whose replies to transactions come byte by byte."""

    def __init__(self):
        self.server = FakeServer(self.behave)
        self.refuses = False

    def behave(self, connection, args):
        name = args[0].upper()
        # What precedes EXEC may go at once.
        reply = {b"WATCH": b"+OK\r\n", b"MULTI": b"+OK\r\n", b"CLIENT": b":7\r\n", b"UNWATCH": b"+OK\r\n",
                 b"SET": b"-OOM full\r\n" if self.refuses else b"+QUEUED\r\n",
                 b"EXEC": b"-EXECABORT all\r\n" if self.refuses else b"*2\r\n+OK\r\n$3\r\nabc\r\n",
                 b"GET": b"+QUEUED\r\n"}.get(name)
        if reply is None:
            return self.server.healthy(args)
        for at in range(len(reply) if name in (b"EXEC", b"WATCH") else 0):
            connection.send(reply[at:at + 1])
            wait_until(lambda: is_read(connection), 20, "the proxy to read")
        return reply if name not in (b"EXEC", b"WATCH") else b""


def test_results_in_pieces(t):
    slow = InPieces()
    with slow.server, PikaProxy(t.pikaproxy, [slow.server]) as proxy, proxy.client() as client:
        for slow.refuses, expected in ((False, ["OK", b"abc"]),
                                       (True, RespError("EXECABORT Transaction discarded because of: OOM full"))):
            for watched in (False, True):
                if watched:
                    t.equal(client.call("WATCH", "{t}a"), "OK", "WATCH in pieces")
                replies = client.call_many([["MULTI"], ["SET", "{t}a", "1"], ["GET", "{t}b"], ["EXEC"]])
                t.equal(replies[3], expected, "EXEC in pieces, watched: %s" % watched)
                t.equal(client.call("ECHO", "next"), b"next", "the next reply")
        names = [args[0].upper() for args in slow.server.seen]
        t.equal(names.count(b"UNWATCH"), 0, "what was watched stayed watched until EXEC")


def test_server_lost(t):
    with Two(t) as cluster, cluster.client() as waiting, cluster.client() as watching:
        key = "lost"
        waiting.send("BLPOP", key, "0")
        watching.call("WATCH", key)
        wait_until(lambda: any(b"flags=b" in s.client().call("CLIENT", "LIST") for s in cluster.servers), 20,
                   "the wait")
        watching.call("MULTI")
        watching.call("SET", key, "1")
        for server in cluster.servers:
            server.kill()
        t.error(waiting.read(), "ERR server .* of group .*", "who waits is told")
        t.equal(watching.call("EXEC"), None, "EXEC over a lost WATCH does nothing")
        t.error(watching.call("EXEC"), "ERR EXEC without MULTI", "and ends the transaction")
        t.error(watching.call("WATCH", key), "ERR server .* of group .*", "another WATCH tells why")


def test_server_without_room(t):
    """A server that takes no further connection is well for those that there are."""
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 1}) as proxy, \
            proxy.client() as client, server.client() as direct:
        t.equal(client.call("SET", "key", "value"), "OK", "the connection of all")
        number = int(re.search(rb"connected_clients:(\d+)", direct.call("INFO", "clients")).group(1))
        t.equal(direct.call("CONFIG", "SET", "maxclients", number), "OK", "no room")
        t.error(client.call("BLPOP", "queue", "0.01"), "ERR server .* is not reachable: .*",
                "a connection of one's own")
        t.equal(client.call("GET", "key"), b"value", "the others go on")
        t.equal(proxy.metric("pikaproxy_backend_up"), 1, "the server is up")
        t.equal(proxy.http("/readyz")[0], 200, "the proxy is ready")
        direct.call("CONFIG", "SET", "maxclients", number + 1)
        t.equal(client.call("BLPOP", "queue", "0.01"), None, "with room")


def test_connection_of_watch_lost(t):
    """A server that closes idle connections forgets what they watched, and the next connection knows nothing of it."""
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 1}) as proxy, \
            proxy.client() as client, proxy.client() as other, server.client() as direct:
        def close_watching():
            direct.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            # Over the connection of all: the proxy sees the ends of both at once.
            wait_until(lambda: other.call("INCR", "seen") in range(1, 10 ** 6), 20, "the server to be there again")

        change = [["MULTI"], ["SET", "key", "mine"]]
        for when in ("after WATCH", "in MULTI"):
            other.call("SET", "key", "old")
            t.equal(client.call("WATCH", "key"), "OK", "WATCH")
            if when == "in MULTI":
                client.call_many(change)
            close_watching()
            t.equal(other.call("SET", "key", "theirs"), "OK", "somebody else writes")
            if when == "after WATCH":
                client.call_many(change)
            t.equal(client.call("EXEC"), None, "EXEC when the connection was lost %s" % when)
            t.equal(other.call("GET", "key"), b"theirs", "nothing was written when it was lost %s" % when)
        t.equal(client.call("WATCH", "key"), "OK", "WATCH")
        close_watching()
        t.equal(client.call("WATCH", "{key}2"), "OK", "WATCH of another key, over another connection")
        t.equal(client.call_many([*change, ["EXEC"]])[2], None, "the first one was lost")
        t.equal(client.call("WATCH", "key"), "OK", "and then, WATCH")
        t.equal(client.call_many([*change, ["EXEC"]])[2], ["OK"], "works as ever")


def test_connections_that_were_lost_are_replaced(t):
    """Those that are kept for the next client, when its server has closed all of them."""
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 1}) as proxy, \
            server.client() as direct:
        clients = [proxy.client() for _ in range(40)]
        for client in clients:
            t.equal(client.call("WATCH", "key"), "OK", "WATCH")
        for client in clients:
            t.equal(client.call("UNWATCH"), "OK", "UNWATCH")
        direct.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

        def connections():
            stats = direct.call("INFO", "stats")
            return int(re.search(rb"total_connections_received:(\d+)", stats).group(1))

        def is_one_kept():
            before = connections()
            for _ in range(5):
                clients[0].call_many([["WATCH", "key"], ["UNWATCH"]])
            return connections() == before

        wait_until(is_one_kept, 20, "a connection that serves one WATCH after the other")
        for client in clients:
            client.close()


def move_away(t, answers, then, **options):
    """A BLPOP waits at a server of which only what it `answers` to CLIENT UNBLOCK is of interest; its slot goes to a
    real one. then(the waiting client, a client of the new server)."""
    waiting = []
    asked = iter(answers)

    def behave(connection, args):
        words = [word.upper() for word in args[:2]]
        if words[0] == b"BLPOP":
            waiting.append(connection)
            return None
        if words == [b"CLIENT", b"ID"]:
            return b":%d\r\n" % (connection.number + 1)
        if words == [b"CLIENT", b"UNBLOCK"]:
            return next(asked)(waiting[0])
        return old.healthy(args)

    with FakeServer(behave) as old, RedisServer() as new:
        def groups(slots_of_old, slots_of_new):
            return [{"name": "old", "server": old.address, "slots": slots_of_old},
                    {"name": "new", "server": new.address, "slots": slots_of_new}]

        with PikaProxy(t.pikaproxy, groups("1-1023", "0"), {"proxy.workers": 1, **options}) as proxy, \
                proxy.client() as client:
            client.send("BLPOP", "q", "0")
            wait_until(lambda: waiting, 20, "the wait")
            proxy.groups = groups("0", "1-1023")
            proxy.reload()
            with new.client() as direct:
                then(client, direct)


def nothing_came(connection):
    connection.send(b"*-1\r\n")
    return b":1\r\n"


def test_the_end_of_a_wait_is_asked_for_again(t):
    """CLIENT UNBLOCK goes over another connection, and may be there before what it is to end."""
    def then(client, direct):
        wait_until(lambda: b"flags=b" in direct.call("CLIENT", "LIST"), 20, "the wait at the new server")
        direct.call("RPUSH", "q", "element")
        t.equal(client.read(), [b"q", b"element"], "the wait goes on at the new server")
    move_away(t, [lambda connection: b":0\r\n", lambda connection: b":0\r\n", nothing_came], then)


def test_a_wait_that_is_lost_when_its_slot_moves(t):
    """It may have taken an element."""
    def then(client, direct):
        t.error(client.read(), "ERR server .*; the request may or may not have been executed$", "the client is told")
        t.equal(client.call("RPUSH", "q", "x"), 1, "and goes on at the new server")

    def is_lost(connection):
        connection.close()
        return b":1\r\n"
    move_away(t, [is_lost], then)


def test_a_wait_that_cannot_be_ended(t):
    """The server knows nothing of it any more: its slot must not wait for ever."""
    def then(client, direct):
        t.error(client.read(), "ERR server .* did not answer within 300 ms; the request may or may not have been executed$",
                "the client is told")
        t.equal(client.call("RPUSH", "q", "x"), 1, "and goes on at the new server")
    move_away(t, itertools.repeat(lambda connection: b":0\r\n"), then, **{"backend.request_timeout": "300ms"})


def test_a_connection_that_may_be_unblocked_late(t):
    """An element comes while CLIENT UNBLOCK is on its way: the next wait must not be what it ends."""
    waiting = []
    asked = []

    def behave(connection, args):
        words = [word.upper() for word in args[:2]]
        if words[0] == b"BLPOP":
            waiting.append(connection)
            return None
        if words == [b"CLIENT", b"ID"]:
            return b":%d\r\n" % (connection.number + 1)
        if words == [b"CLIENT", b"UNBLOCK"]:
            asked.append(args[2])
            waiting[0].send(b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n")
            return b":0\r\n"
        return server.healthy(args)

    with FakeServer(behave) as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 1}) as proxy, \
            proxy.client() as first, proxy.client() as second, proxy.client() as boss:
        number = first.call("CLIENT", "ID")
        first.send("BLPOP", "q", "0")
        wait_until(lambda: waiting, 20, "the wait")
        t.equal(boss.call("CLIENT", "UNBLOCK", number), 0, "it was over")
        t.equal(first.read(), [b"q", b"x"], "an element had come")
        second.send("BLPOP", "q", "0")
        wait_until(lambda: len(waiting) == 2, 20, "the next wait")
        t.check(waiting[0] is not waiting[1], "the next wait has a connection that nobody asked to unblock")
        waiting[1].send(b"*-1\r\n")
        t.equal(second.read(), None, "its end")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
