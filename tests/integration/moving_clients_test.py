#!/usr/bin/python3
"""Clients that wait or watch while their slot moves: each element is delivered once, and an EXEC that succeeds saw
what it watched."""

import hashlib
import os
import select
import sys
import threading

from admin_api import AdminApi
from checks import run_tests, slot_of
from servers import PikaProxy, RedisServer, wait_until

MOVES = 12
ELEMENTS = 400


class Moving:
    """Two groups, all slots with the first one; move() takes a key's slot to the other group."""

    def __init__(self, t):
        self.servers = [RedisServer(), RedisServer()]
        self.proxy = PikaProxy(t.pikaproxy, [])
        password = os.path.join(self.proxy.directory, "pikaproxy-data", "admin-password")
        wait_until(lambda: os.path.exists(password) and open(password).read().strip(), 20, "the first password")
        self.api = AdminApi("http://127.0.0.1:%d" % self.proxy.admin_port)
        self.api.log_in("admin", open(password).read().strip())
        self.groups = [self.api.add_group([server.address]) for server in self.servers]
        self.api.assign(0, 1023, self.groups[0])
        self.at = 0

    def move(self, key):
        slot = slot_of(key.encode())
        self.at = 1 - self.at
        self.api.await_migration(self.api.migrate(slot, slot, self.groups[self.at]))

    def move_under(self, key, threads, ended=None):
        """Moves the key's slot MOVES times while they run; sets `ended`, if that is what they wait for."""
        for thread in threads:
            thread.start()
        for _ in range(MOVES):
            self.move(key)
        if ended is not None:
            ended.set()
        for thread in threads:
            thread.join()

    def blocked(self):
        return sum(server.client().call("CLIENT", "LIST").count(b"flags=b") for server in self.servers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.proxy, *self.servers):
            process.stop()


def has_reply(client):
    return bool(select.select([client.socket], [], [], 0)[0])


def test_waiting(t):
    """Those who wait at the old server wait on at the new one."""
    with Moving(t) as cluster:
        waiting = [cluster.proxy.client(timeout=60) for _ in range(3)]
        requests = (["BLPOP", "q", "0"], ["BLMOVE", "q", "{q}2", "LEFT", "RIGHT", "50"],
                    ["BLMPOP", "60", "1", "q", "LEFT"])
        for client, request in zip(waiting, requests):
            client.send(*request)
        wait_until(lambda: cluster.blocked() == 3, 20, "three waits")
        cluster.move("q")
        wait_until(lambda: cluster.servers[1].client().call("CLIENT", "LIST").count(b"flags=b") == 3, 20,
                   "the waits to be at the new server")
        with cluster.proxy.client() as other:
            other.call("RPUSH", "q", "1", "2", "3")
            got = [client.read() for client in waiting]
            delivered = sorted([got[0][1], got[1], got[2][1][0]])
            t.equal(delivered, [b"1", b"2", b"3"], "each element went to one of them")
            t.equal(other.call("EXISTS", "q"), 0, "none is left")
        with cluster.proxy.client(timeout=30) as client:
            # Once it has been seen to wait: the end may come before one has looked.
            while True:
                client.send("BLPOP", "q", "1")
                wait_until(lambda: cluster.blocked() == 1 or has_reply(client), 20, "a wait with an end")
                if not has_reply(client):
                    break
                t.equal(client.read(), None, "the end of a wait")
            cluster.move("q")
            t.equal(client.read(), None, "which comes in time all the same")
        for client in waiting:
            client.close()


def test_waits_of_other_slots(t):
    """Who waits for a key of a slot that stays, for ever maybe, does not keep the group's other slots from leaving."""
    with Moving(t) as cluster, cluster.proxy.client(timeout=60) as waiting:
        waiting.send("BLPOP", "q", "0")
        wait_until(lambda: cluster.blocked() == 1, 20, "the wait")
        listed = cluster.servers[0].client().call("CLIENT", "LIST").splitlines()
        [wait] = [line for line in listed if b"flags=b" in line]
        cluster.move("another")
        cluster.move("another")
        t.check(wait.split()[0] in cluster.servers[0].client().call("CLIENT", "LIST"), "the wait was left alone")
        cluster.move("q")
        wait_until(lambda: cluster.servers[1].client().call("CLIENT", "LIST").count(b"flags=b") == 1, 20,
                   "the wait to be at the new server")
        with cluster.proxy.client() as other:
            other.call("RPUSH", "q", "1")
        t.equal(waiting.read(), [b"q", b"1"], "and gets what comes")


def test_delivered_once(t):
    """Elements pushed and popped while the slot goes back and forth."""
    with Moving(t) as cluster:
        got = []
        errors = []
        ended = threading.Event()

        def pop():
            with cluster.proxy.client(timeout=60) as client:
                while not ended.is_set():
                    reply = client.call("BLPOP", "{w}q", "0.3")
                    if isinstance(reply, list):
                        got.append(int(reply[1]))
                    elif reply is not None:
                        errors.append(reply)

        def push():
            with cluster.proxy.client(timeout=60) as client:
                for number in range(ELEMENTS):
                    reply = client.call("RPUSH", "{w}q", number)
                    if not isinstance(reply, int):
                        errors.append(reply)
                    threading.Event().wait(0.005)

        poppers = [threading.Thread(target=pop) for _ in range(4)]
        pusher = threading.Thread(target=push)
        for thread in (*poppers, pusher):
            thread.start()
        for _ in range(MOVES):
            cluster.move("{w}q")
        pusher.join()
        wait_until(lambda: len(got) >= ELEMENTS or errors, 30, "all elements to arrive")
        ended.set()
        for thread in poppers:
            thread.join()
        t.equal(errors, [], "no error")
        t.equal(sorted(got), list(range(ELEMENTS)), "each element arrived once")


def test_scripts_in_transactions(t):
    """An EXEC that waits for its slot finds the scripts of its EVALSHA where it goes."""
    with Moving(t) as moving, moving.proxy.client(timeout=60) as client:
        stop = threading.Event()
        replies = []

        def run(number):
            with moving.proxy.client(timeout=60) as own:
                key = "{k}%d" % number
                rounds = 0
                while not stop.is_set():
                    # Only the server that has the slot now knows them.
                    bodies = ["return {%d, %d}" % (number, rounds + i) for i in range(20)]
                    for body in bodies:
                        own.call("EVAL", body, 1, key)
                    for i, body in enumerate(bodies):
                        own.call("MULTI")
                        own.call("EVALSHA", hashlib.sha1(body.encode()).hexdigest(), 1, key)
                        replies.append((own.call("EXEC"), [number, rounds + i]))
                    rounds += len(bodies)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        moving.move_under("{k}", threads, stop)
        t.check(len(replies) > MOVES, "transactions were run", len(replies))
        wrong = [(got, wanted) for got, wanted in replies if got != [wanted]]
        t.equal(wrong[:3], [], "each EVALSHA found its script")


def test_watching(t):
    """Additions under WATCH while the slot goes back and forth."""
    with Moving(t) as cluster:
        clients, rounds = 3, 60
        errors = []

        def add():
            with cluster.proxy.client(timeout=60) as client:
                count = 0
                while count < rounds and not errors:
                    replies = [client.call("WATCH", "{w}n")]
                    value = client.call("GET", "{w}n")
                    replies.append(client.call("MULTI"))
                    replies.append(client.call("SET", "{w}n", int(value or 0) + 1))
                    done = client.call("EXEC")
                    if replies != ["OK", "OK", "QUEUED"] or not (done is None or done == ["OK"]):
                        errors.append((replies, done))
                    count += done is not None

        threads = [threading.Thread(target=add) for _ in range(clients)]
        cluster.move_under("{w}n", threads)
        with cluster.proxy.client() as client:
            t.equal(errors, [], "no error")
            t.equal(client.call("GET", "{w}n"), b"%d" % (clients * rounds), "every addition counts")


def test_between_databases(t):
    """MOVE and COPY DB while the slot goes back and forth: the key is where it was put, and nowhere else."""
    with Moving(t) as cluster:
        wrong = []
        ended = threading.Event()

        def change(number):
            key = "{w}%d" % number
            value = b"of %d" % number
            rng = t.rng_of("client %d" % number)
            with cluster.proxy.client(timeout=60) as zero, cluster.proxy.client(timeout=60) as one:
                one.call("SELECT", "1")
                zero.call("SET", key, value)
                at = 0
                here, there = zero, one
                while not ended.is_set() and not wrong:
                    kind = rng.choice(("move", "move what is not there", "copy", "look"))
                    if kind == "move":
                        replies, expected = [here.call("MOVE", key, 1 - at)], [1]
                    elif kind == "move what is not there":
                        replies, expected = [there.call("MOVE", key, at)], [0]
                    elif kind == "copy":
                        replies = [here.call("COPY", key, key, "DB", 1 - at), there.call("GET", key)]
                        replies.append(here.call("DEL", key))
                        expected = [1, value, 1]
                    else:
                        replies, expected = [here.call("GET", key), there.call("GET", key)], [value, None]
                    if replies != expected:
                        wrong.append((key, kind, at, replies))
                    if kind in ("move", "copy"):
                        at = 1 - at
                        here, there = there, here

        threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
        cluster.move_under("{w}n", threads, ended)
        t.equal(wrong, [], "every reply is that of one Redis")


if __name__ == "__main__":
    sys.exit(run_tests(__doc__))
