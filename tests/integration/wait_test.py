#!/usr/bin/python3
"""WAIT, CLIENT PAUSE, UNBLOCK and KILL: commands that are about a connection, over servers that others share."""

import signal
import sys
import time

from checks import keys_of_group, run_tests
from fake_server import FakeServer
from resp import RespError
from servers import PikaProxy, RedisServer, wait_until

IO_TIMEOUT_S = 20


def replicate(replica, master):
    replica.client().call("REPLICAOF", master.host, master.port)
    def is_online():
        with master.client() as client:
            return b"port=%d,state=online" % replica.port in client.call("INFO", "replication")
    wait_until(is_online, 30, "a replica to be online")


class Replicated:
    """Group 0 with two replicas, group 1 with one, group 2 with none."""

    def __init__(self, t, **kwargs):
        options = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
        self.masters = [RedisServer(*options) for _ in range(3)]
        self.replicas = [RedisServer() for _ in range(3)]
        for replica, master in zip(self.replicas, (self.masters[0], self.masters[0], self.masters[1])):
            replicate(replica, master)
        self.proxy = PikaProxy(t.pikaproxy, self.masters, {"proxy.workers": 2}, **kwargs)
        self.proxy.wait_for_servers()
        self.keys = [keys_of_group(group, 3, 2) for group in range(3)]

    def client(self):
        return self.proxy.client(timeout=IO_TIMEOUT_S)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.proxy.__exit__(kind, *_)
        for server in (*self.replicas, *self.masters):
            server.send_signal(signal.SIGCONT)
            server.stop()


def test_wait(t):
    with Replicated(t) as cluster, cluster.client() as client:
        two, one, none = ([key[0] for key in cluster.keys])
        t.equal(client.call("WAIT", 0, 0), 0, "without any write, the group with fewest replicas counts")
        client.call("SET", two, 1)
        for round_ in range(20):
            client.call("INCR", two)
            t.equal(client.call("WAIT", 2, 0), 2, "both replicas have the write")
            for replica in cluster.replicas[:2]:
                with replica.client() as direct:
                    t.equal(direct.call("GET", two), b"%d" % (round_ + 2), "and so they have")
        t.equal(client.call("WAIT", 3, 500), 2, "a third one does not come")
        client.call("SET", one, 1)
        t.equal(client.call("WAIT", 1, 0), 1, "it has come to a replica of each group")
        t.equal(client.call("WAIT", 2, 500), 1, "the group with fewest counts")
        client.call("MSET", two, 1, none, 1)
        t.equal(client.call("WAIT", 1, 30), 0, "also one with none")
        with cluster.client() as other:
            other.call("EVAL", "return redis.call('SET',KEYS[1],1)", 1, one)
            t.equal(other.call("WAIT", 1, 0), 1, "a script writes too")
            t.check(other.call("WAIT", -1, 0) in (0, 1), "any number is enough")
        with cluster.client() as other:
            replies = other.call_many([["SET", two, 1], ["WAIT", 2, 0], ["GET", two], ["PING"]])
            t.equal(replies, ["OK", 2, b"1", "PONG"], "in a pipeline")
            other.call("MULTI")
            t.error(other.call("WAIT", 1, 0), "ERR 'wait' .* cannot be part of a transaction", "not in MULTI")


def test_wait_for_who_is_late(t):
    """A stopped replica lets WAIT wait, others go on meanwhile, and its return ends the wait."""
    with Replicated(t) as cluster, cluster.client() as client, cluster.client() as other:
        key = cluster.keys[1][0]
        cluster.replicas[2].send_signal(signal.SIGSTOP)
        client.call("SET", key, 1)
        start = time.monotonic()
        t.equal(client.call("WAIT", 1, 100), 0, "nobody has it when the time is up")
        t.check(time.monotonic() - start >= 0.1, "and not before")
        client.send("WAIT", 1, 0)
        client.send("PING")
        for number in range(50):
            t.equal(other.call("SET", cluster.keys[1][1], number), "OK", "another client is not stopped")
        wait_until(lambda: b" flags=b " in other.call("CLIENT", "LIST"), 10, "CLIENT LIST to show who waits")
        cluster.replicas[2].send_signal(signal.SIGCONT)
        t.equal(client.read(), 1, "the replica has it")
        t.equal(client.read(), "PONG", "and the next request is answered")


def test_wait_ends(t):
    with Replicated(t) as cluster, cluster.client() as boss:
        none = cluster.keys[2][0]
        for mode, expected in ((), 0), (("TIMEOUT",), 0), (("ERROR",), "UNBLOCKED "):
            with cluster.client() as client:
                number = client.call("CLIENT", "ID")
                t.equal(boss.call("CLIENT", "UNBLOCK", number, *mode), 0, "it does not wait yet")
                client.call("SET", none, 1)
                client.send("WAIT", 1, 0)
                wait_until(lambda: boss.call("CLIENT", "UNBLOCK", number, *mode) == 1, 10, "UNBLOCK to end a WAIT")
                reply = client.read()
                t.check(reply == expected if expected == 0 else isinstance(reply, RespError)
                        and reply.startswith(expected), "UNBLOCK %r" % (mode,), reply)
                t.equal(client.call("PING"), "PONG", "it goes on")
        gone = cluster.client()
        number = gone.call("CLIENT", "ID")
        gone.call("SET", none, 1)
        gone.send("WAIT", 1, 0)
        gone.close()
        wait_until(lambda: boss.call("CLIENT", "LIST", "ID", number) == b"", 10, "a client that left to be gone")
        with cluster.client() as killed:
            number = killed.call("CLIENT", "ID")
            killed.call("SET", none, 1)
            killed.send("WAIT", 1, 0)
            t.equal(boss.call("CLIENT", "KILL", "ID", number), 1, "who waits can be killed")
            t.check(killed.at_end(), "and is gone")
        with cluster.client() as client:
            client.call("SET", none, 1)
            cluster.masters[2].kill()
            # By this client's worker.
            wait_until(lambda: "is not reachable" in str(client.call("GET", none)), 10, "the master's end to be noticed")
            t.error(client.call("WAIT", 1, 0), "ERR server .* is not reachable", "a master that is down is told")
            with cluster.client() as two:
                two.call("SET", cluster.keys[0][0], 1)
                t.equal(two.call("WAIT", 1, 0) >= 1, True, "and concerns nobody who did not write there")


class Disks:
    """How a server answers WAITAOF: `numbers` in their order, the last one again and again."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)
        self.asked = []  # What came over the connections that were asked, without their greeting.
        self.server = FakeServer(self.answer)

    def answer(self, connection, args):
        if args[0] == b"SPUBLISH":
            self.asked.append((connection.number, args[0]))
            return b":0\r\n"
        if args[0] == b"WAITAOF":
            self.asked.append((connection.number, args[0]))
            numbers = self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]
            return numbers if isinstance(numbers, bytes) else b"*2\r\n:%d\r\n:%d\r\n" % numbers
        if args[:2] == [b"CLIENT", b"ID"]:
            return b":%d\r\n" % (connection.number + 1)
        return self.server.healthy(args)


def test_waitaof(t):
    """The client's own writes, in all groups that it wrote to; over a connection that has a mark behind them."""
    first, second = Disks((0, 0), (1, 0), (1, 2)), Disks((1, 1), (1, 3))
    with first.server, second.server, PikaProxy(t.pikaproxy, [first.server, second.server]) as proxy, \
            proxy.client(timeout=IO_TIMEOUT_S) as client:
        proxy.wait_for_servers()
        keys = [keys_of_group(group, 2, 1)[0] for group in range(2)]
        client.call("SET", keys[0], "v")
        t.equal(client.call("WAITAOF", 1, 0, 0), [1, 0], "it goes on until there is enough")
        t.equal([what for _, what in first.asked], [b"SPUBLISH", b"WAITAOF", b"WAITAOF"], "behind a mark")
        t.equal(len({number for number, _ in first.asked}), 1, "over one connection")
        t.equal(second.asked, [], "a server that was not written to is not asked")
        client.call("SET", keys[1], "v")
        t.equal(client.call("WAITAOF", 1, 2, 0), [1, 2], "the fewest of both groups")
        t.equal(client.call("WAITAOF", 1, 9, 300), [1, 2], "when the time is up")
        t.equal(client.call_many([["SET", keys[0], 1], ["WAITAOF", 0, 0, 0], ["PING"]]), ["OK", [1, 2], "PONG"], "in a pipeline")
        asked = [len(disks.asked) for disks in (first, second)]
        client.send("WAITAOF", 1, 9, 0)
        client.send("PING")
        wait_until(lambda: len(first.asked) > asked[0] + 4 and len(second.asked) > asked[1] + 4, 10, "both to be asked again")
        with proxy.client(timeout=IO_TIMEOUT_S) as boss:
            waiting = [line for line in boss.call("CLIENT", "LIST").split(b"\n") if b"cmd=client" not in line and line]
            number = int(waiting[0].split()[0][3:])
            wait_until(lambda: boss.call("CLIENT", "UNBLOCK", number) == 1, 10, "UNBLOCK to end a WAITAOF")
        t.equal([client.read(), client.read()], [[1, 2], "PONG"], "then it goes on")
        first.numbers = [b"-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n"]
        t.error(client.call("WAITAOF", 1, 0, 0), "ERR WAITAOF cannot be used when numlocal", "what a server says is passed on")
        t.equal(client.call("GET", keys[0]), b"1", "others go on")
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server]) as proxy, proxy.client() as ours, server.client() as theirs:
        proxy.wait_for_servers()
        for args in (("1", "0", "100"), ("x", "0", "0"), ("0", "0", "-1"), ("0", "0", "x"), ("0",)):
            reply = ours.call("WAITAOF", *args)
            t.check(reply == theirs.call("WAITAOF", *args) or len(args) == 1 and "wrong number" in reply,
                    "WAITAOF %s before Redis 7.2" % " ".join(args), reply)


def test_arguments_as_redis(t):
    requests = [["WAIT"], ["WAIT", "x", "1"], ["WAIT", "1", "x"], ["WAIT", "1", "-1"], ["WAIT", "1", "9" * 20],
                ["CLIENT", "PAUSE"], ["CLIENT", "PAUSE", "x"], ["CLIENT", "PAUSE", "-1"], ["CLIENT", "PAUSE", "1", "x"],
                ["CLIENT", "PAUSE", "1", "ALL", "x"], ["CLIENT", "PAUSE", "0"], ["CLIENT", "PAUSE", "0", "write"],
                ["CLIENT", "PAUSE", "9" * 20], ["CLIENT", "UNPAUSE"], ["CLIENT", "UNPAUSE", "x"],
                ["CLIENT", "UNBLOCK"], ["CLIENT", "UNBLOCK", "x"], ["CLIENT", "UNBLOCK", "-1"],
                ["CLIENT", "UNBLOCK", "1", "x"], ["CLIENT", "UNBLOCK", "1", "ERROR", "x"],
                ["CLIENT", "UNBLOCK", "99999"], ["CLIENT", "UNBLOCK", "99999", "error"], ["CLIENT", "UNBLOCK", "9" * 20],
                ["CLIENT", "KILL", "USER", "nobody"], ["CLIENT", "KILL", "USER", "default", "ID", "99999"],
                ["CLIENT", "KILL", "ID", "x"], ["CLIENT", "KILL", "TYPE", "x"], ["CLIENT", "KILL", "ID"],
                ["CLIENT", "KILL", "ID", "99999", "SKIPME", "x"], ["CLIENT", "KILL", "TYPE", "pubsub"],
                ["CLIENT", "LIST", "TYPE", "x"], ["CLIENT", "LIST", "ID", "x"], ["CLIENT", "LIST", "x"]]
    with RedisServer() as server, RedisServer() as plain, PikaProxy(t.pikaproxy, [server]) as proxy, \
            proxy.client() as ours, plain.client() as theirs:
        proxy.wait_for_servers()
        for request in requests:
            t.equal(ours.call(*request), theirs.call(*request), " ".join(request))
        # Newer than the Redis here.
        t.equal(ours.call("CLIENT", "NO-TOUCH", "ON"), "OK", "NO-TOUCH")
        t.check(b" flags=T " in ours.call("CLIENT", "INFO"), "is shown")
        t.equal(ours.call("CLIENT", "NO-TOUCH", "OFF"), "OK", "NO-TOUCH OFF")
        t.error(ours.call("CLIENT", "NO-TOUCH", "x"), "ERR syntax error", "NO-TOUCH x")
        t.equal(ours.call("CLIENT", "KILL", "MAXAGE", "1000"), 0, "nobody is that old")
        t.error(ours.call("CLIENT", "KILL", "MAXAGE", "0"), "ERR maxage", "MAXAGE 0")


def test_unblock_at_a_server(t):
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 2}) as proxy, \
            proxy.client(timeout=IO_TIMEOUT_S) as boss:
        clients = [proxy.client(timeout=IO_TIMEOUT_S) for _ in range(4)]
        for client in clients:
            number = client.call("CLIENT", "ID")
            for mode in ("TIMEOUT", "ERROR"):
                client.send("BLPOP", "list", 0)
                wait_until(lambda: boss.call("CLIENT", "UNBLOCK", number, mode) == 1, 10, "UNBLOCK of a BLPOP")
                reply = client.read()
                if mode == "TIMEOUT":
                    t.equal(reply, None, "BLPOP after UNBLOCK")
                else:
                    t.error(reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK$", "BLPOP after UNBLOCK ERROR")
            t.equal(boss.call("CLIENT", "UNBLOCK", number), 0, "it does not wait any more")
        boss.call("RPUSH", "list", "x")
        t.equal(clients[0].call("BLPOP", "list", 0), [b"list", b"x"], "nothing was lost")
        for client in clients:
            client.close()


def test_pause(t):
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], {"proxy.workers": 2}) as proxy, \
            proxy.client(timeout=IO_TIMEOUT_S) as boss:
        clients = [proxy.client(timeout=IO_TIMEOUT_S) for _ in range(6)]
        t.equal(boss.call("CLIENT", "PAUSE", 1_000_000, "WRITE"), "OK", "a pause for writes")
        for number, client in enumerate(clients):
            t.equal(client.call("GET", "k"), None, "reads go on")
            client.send_bytes(b"PING\r\nINCR n\r\nGET n\r\nPING\r\n")
            t.equal(client.read(), "PONG", "what comes before the write is answered")
        with server.client() as direct:
            t.equal(direct.call("GET", "n"), None, "no write has come")
        t.equal(boss.call("CLIENT", "UNPAUSE"), "OK", "the end of the pause")
        got = sorted(client.read() for client in clients)
        t.equal(got, list(range(1, 7)), "then all writes are made")
        for client in clients:
            t.check(int(client.read()) >= 1, "and what stood behind them is done")
            t.equal(client.read(), "PONG", "all of it")

        boss.call("CLIENT", "PAUSE", 1_000_000)
        for client in clients:
            client.send("PING")
        clients.pop().close()
        t.equal(boss.call("CLIENT", "PAUSE", 10, "WRITE"), "OK", "a lesser pause meanwhile")
        wait_until(lambda: boss.call("CLIENT", "LIST").count(b"id=") == 6, 10, "a client that leaves to be noticed")
        for client in clients:
            client.set_timeout(0.05)
            try:
                t.check(False, "a pause for all holds PING", client.read())
            except TimeoutError:
                pass
        # A timed-out buffered reader is of no more use.
        for client in clients:
            client.close()
        t.equal(boss.call("CLIENT", "UNPAUSE"), "OK", "UNPAUSE is not held")
        with proxy.client(timeout=IO_TIMEOUT_S) as client:
            t.equal(client.call("PING"), "PONG", "it is over")
            start = time.monotonic()
            boss.call("CLIENT", "PAUSE", 150)
            t.equal(client.call("PING"), "PONG", "and a short one ends by itself")
            t.check(time.monotonic() - start >= 0.15, "not too early")
            client.call("MULTI")
            client.call("SET", "k", 1)
            boss.call("CLIENT", "PAUSE", 1_000_000, "WRITE")
            client.send("EXEC")
            with proxy.client(timeout=IO_TIMEOUT_S) as other:
                other.call("MULTI")
                other.call("GET", "k")
                t.equal(other.call("EXEC"), [None], "a transaction that only reads is not held")
            boss.call("CLIENT", "UNPAUSE")
            t.equal(client.read(), ["OK"], "one that writes was")


def test_who_may_pause(t):
    users = [{"name": "boss", "password": "b", "admin": True}, {"name": "joe", "password": "j"}]
    with RedisServer() as server, PikaProxy(t.pikaproxy, [server], users=users) as proxy, proxy.client() as client:
        client.call("AUTH", "joe", "j")
        for words in (["PAUSE", 1], ["UNPAUSE"], ["UNBLOCK", 1], ["KILL", "ID", 1]):
            t.error(client.call("CLIENT", *words), "NOPERM ", "CLIENT %s by anybody" % words[0])
        with proxy.client() as boss, proxy.client(timeout=IO_TIMEOUT_S) as late:
            boss.call("AUTH", "boss", "b")
            boss.call("CLIENT", "PAUSE", 1_000_000)
            t.equal(late.call("AUTH", "boss", "b"), "OK", "an administrator can log in during a pause")
            t.equal(late.call("CLIENT", "UNPAUSE"), "OK", "and end it")
            t.equal(client.call("PING"), "PONG", "then all go on")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
